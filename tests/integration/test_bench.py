"""The benchmarks run, in miniature: what they measure at full size is theirs to say, and never a test's."""

import tempfile
from pathlib import Path

import pytest

from bench import admission, drain
from bench.__main__ import SAMPLE, texts_of
from bench.servers import Servers


def test_every_benchmark_gives_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SECONDS", 0.2)
    monkeypatch.setattr(admission, "ROUNDS", 1)
    monkeypatch.setattr(drain, "ENTRIES", 300)
    monkeypatch.setattr(drain, "ROUNDS", 1)
    texts = texts_of(SAMPLE)
    with tempfile.TemporaryDirectory(prefix="heed-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with Servers(Path(folder)) as servers:
            figures = admission.run(servers, texts, str) + drain.run(servers, texts, str)
    assert [figure.what for figure in figures] == [
        "admissions, durable",
        "admissions, p99",
        "scoring",
        "worker drain, with VADER",
        "worker drain",
    ]
    assert all(figure.ours > 0 and figure.theirs > 0 for figure in figures)
