"""The benchmarks run, in miniature: what they measure at full size is theirs to say, and never a test's."""

import tempfile
from pathlib import Path

import pytest

from bench import admission, drain, results, system
from bench.__main__ import SAMPLE, texts_of
from bench.servers import Servers


def test_every_benchmark_gives_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SECONDS", 0.2)
    monkeypatch.setattr(admission, "ROUNDS", 1)
    monkeypatch.setattr(drain, "ENTRIES", 300)
    monkeypatch.setattr(drain, "ROUNDS", 1)
    monkeypatch.setattr(results, "FEW", 100)
    monkeypatch.setattr(results, "MANY", 1_000)
    monkeypatch.setattr(results, "AT_ONCE", 500)
    monkeypatch.setattr(results, "TIMES", 5)
    texts = texts_of(SAMPLE)
    with tempfile.TemporaryDirectory(prefix="heed-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with Servers(Path(folder)) as servers:
            figures = [each for part in (admission, drain, results) for each in part.run(servers, texts, str)]
    assert [figure.what for figure in figures] == [
        "admissions, durable",
        "admissions, p99",
        "scoring",
        "worker drain, with VADER",
        "worker drain",
        "results at 1,000 answers",
    ]
    assert all(figure.ours > 0 and figure.theirs > 0 for figure in figures)


@pytest.mark.stack
def test_the_whole_system_gives_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {
        "PAGE_RATE": 20,
        "PAGE_SECONDS": 1,
        "TICKET_RATE": 5,
        "TICKET_SECONDS": 1,
        "VIEWERS": 30,
    }.items():
        monkeypatch.setattr(system, name, small)
    with tempfile.TemporaryDirectory(prefix="heed-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        figures = system.run(Path(folder) / "system", texts_of(SAMPLE), str)
    assert [figure.what for figure in figures] == [
        "ready again",
        "memory of a service, idle",
        "to the page at 20/s, p95",
        "to the ticket at 5/s, p95",
        "to the last of 30 viewers",
    ]
    assert all(figure.ours > 0 for figure in figures)
