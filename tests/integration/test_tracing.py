"""Traces: off, nothing of them is there; on, a collector that hangs or is away costs nothing but spans."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from uuid import UUID

import httpx
import pytest
from collector import Collector, collecting
from conftest import SECRET, free_port, wait_for

from heed import tracing
from heed.contracts import new_id
from heed.errors import Refused
from heed.otlp import root_of
from heed.settings import Settings

SERVICES = ("worker.__main__", "worker.relay", "ticketing.__main__")
SITES = ("api.feedback.__main__", "api.results.__main__")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def traced(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """This process' spans go to the collector."""
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.configure(Settings(otlp_endpoint=collector.url), "tests")
    yield collector
    tracing.close()


def after(prelude: str, modules: Sequence[str]) -> list[str]:
    """What of OpenTelemetry these modules load, and what they call of `heed.tracing`, while there is no collector."""
    code = (
        f"{prelude}\nimport json, sys, {', '.join(modules)}\n"
        "from heed import tracing; from heed.settings import load\n"
        "tracing.configure(load(), 'tests')\n"
        "with tracing.span(None, 'x'), tracing.step('y'): tracing.note(z=1)\n"
        "tracing.close()\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(('opentelemetry.', 'heed.otlp'))]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout))


def test_off_nothing_is_loaded() -> None:
    # redis-py and FastAPI load its interface where they find it; nothing may load what makes and sends spans.
    found = after("", [*SERVICES, *SITES])
    assert not [name for name in found if "sdk.trace" in name or "exporter" in name or name == "heed.otlp"]
    # And where it is not installed at all, nothing misses it. (FastAPI would.)
    assert after("import sys; sys.modules['opentelemetry'] = None", SERVICES) == []


def test_a_trace_is_found_by_its_submission(traced: Collector) -> None:
    submission = new_id()
    started = tracing.now()

    def refuse() -> None:
        with tracing.span(submission, "outer", survey="default"):
            tracing.note(attempt=2)
            with tracing.step("inner"):
                raise Refused("Ada Lovelace says that it broke")

    with pytest.raises(Refused):
        refuse()
    with tracing.step("in nothing"):
        pass
    tracing.record(submission, "between", started, tracing.now())
    tracing.admit(submission, started, outcome="accepted")
    tracing.close()
    spans = {span.name: span for span in traced.spans(submission.hex)}
    assert set(spans) == {"admit", "outer", "inner", "between"}
    assert (spans["admit"].id, spans["admit"].parent) == (submission.hex[16:], "")
    assert {spans[name].parent for name in ("outer", "between")} == {spans["admit"].id}
    assert spans["inner"].parent == spans["outer"].id
    assert spans["outer"].attributes == {"survey": "default", "attempt": 2, "error": "refused"}
    assert not [body for body in traced.bodies if b"Ada" in body or b"in nothing" in body]
    assert {span.service for span in spans.values()} == {"heed-tests"}


def test_the_root_is_never_zero() -> None:
    # Whatever the random bits are, the variant's are there.
    smallest = root_of(UUID("00000000-0000-7000-8000-000000000000"))
    assert smallest.is_valid
    assert smallest.span_id == 1 << 63


def process(endpoint: str) -> "subprocess.Popen[str]":
    """A process that makes more spans than may wait, says how long that took, and ends."""
    code = (
        "import time; from heed import telemetry, tracing; from heed.contracts import new_id\n"
        "from heed.settings import Settings\n"
        "telemetry.configure('tests')\n"
        f"tracing.configure(Settings(otlp_endpoint={endpoint!r}), 'tests')\n"
        "begun = time.monotonic()\n"
        "for _ in range(8): [tracing.admit(new_id(), tracing.now()) for _ in range(1000)]; time.sleep(0.2)\n"
        "print(time.monotonic() - begun, flush=True)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["hangs", "away"])
def test_no_collector_stops_nothing(collector: Collector, kind: str) -> None:
    collector.hangs.set()
    started = time.monotonic()
    running = process(collector.url if kind == "hangs" else f"http://127.0.0.1:{free_port()}")
    said, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    working = float(said)
    assert working < 8 * 0.2 + 4, "making spans must not wait for the collector"
    assert time.monotonic() - started < working + 8, "ending must not wait for the collector"
    assert 1 <= len(complaints.splitlines()) <= 3, complaints
    assert (kind == "hangs") == collector.asked.is_set()


def test_a_site_sends_its_last_spans_before_it_ends(collector: Collector, redis_url: str) -> None:
    port = free_port()
    environment = {
        "HEED_FEEDBACK_PORT": str(port),
        "HEED_REDIS_URL": redis_url,
        "HEED_SECRET_KEY": SECRET,
        "HEED_OTLP_ENDPOINT": collector.url,
    }
    site = subprocess.Popen([sys.executable, "-m", "api.feedback"], env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    wait_for(ready, 30, "the site")
    answer = httpx.post(f"{url}/api/v1/surveys/default/feedback", json={"vote": "good"}, trust_env=False)
    site.terminate()
    site.wait(15)
    [span] = collector.spans(answer.json()["id"].replace("-", ""))
    assert (span.service, span.name, span.attributes["outcome"]) == ("heed-feedback", "admit", "accepted")


def test_where_it_is_not_installed_the_start_says_so() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from heed import tracing; from heed.settings import Settings\n"
        "tracing.configure(Settings(otlp_endpoint='http://127.0.0.1:4318'), 'tests')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "HEED_OTLP_ENDPOINT" in ran.stderr
    assert "Traceback" not in ran.stderr
