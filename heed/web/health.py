"""`/healthz` (is the process alive), `/readyz` (has it what it needs) and `/metrics`, the same on every service.

Guarantees: whatever is asked for them may hang, and still all three answer within PATIENCE_SECONDS; nothing that hangs
is asked again before it has answered; a gauge that cannot be read is left out.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from heed.lifecycle import Heartbeat
from heed.telemetry import HEARTBEAT_AGE, READY

T = TypeVar("T")

# None when all is well, else a sentence; may block, may raise.
Check = Callable[[], str | None]
# Gauges read just now; may block, may raise.
Source = Callable[[], Iterable[Metric]]

PATIENCE_SECONDS = 3.0


class _Question(Generic[T]):
    """Something that may hang, asked in a thread of its own; those who ask meanwhile get the same answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._answer: Future[T] | None = None

    def put(self) -> Future[T]:
        """Ask, unless that is under way (call in the event loop)."""
        if self._answer is None or self._answer.done():
            answer: Future[T] = Future()
            self._answer = answer
            # A daemon: what hangs here must not keep the process from ending.
            threading.Thread(target=lambda: answer.set_result(self._ask()), name="health", daemon=True).start()
        return self._answer


async def _ask(questions: Sequence[_Question[T]]) -> list[T | None]:
    """All answers, in order; None where there is none in time."""
    answers = [question.put() for question in questions]
    if answers:
        await asyncio.wait([asyncio.wrap_future(answer) for answer in answers], timeout=PATIENCE_SECONDS)
    return [answer.result() if answer.done() else None for answer in answers]


def routes(
    heartbeat: Heartbeat | None = None,
    ready: Mapping[str, Check] | None = None,
    sources: Sequence[Source] = (),
) -> list[Route]:
    """The three routes, for a loop that beats (if there is one), with what it needs and the gauges it can read."""
    checks = {name: _Question(_checked(check)) for name, check in (ready or {}).items()}
    readings = [_Question(_read(source)) for source in sources]
    printer = ThreadPoolExecutor(1, "metrics")  # of its own: the threads for requests may all hang

    async def problems() -> dict[str, str]:
        late = f"no answer within {PATIENCE_SECONDS:.0f} s"
        answers = await _ask(list(checks.values()))
        return {name: late if found is None else found for name, found in zip(checks, answers, strict=True)}

    async def healthz(_request: Request) -> Response:
        problem = heartbeat.problem() if heartbeat else None
        return JSONResponse({"status": problem or "ok"}, 503 if problem else 200)

    async def readyz(_request: Request) -> Response:
        found = await problems()
        failing = any(found.values())
        answers = {name: problem or "ok" for name, problem in found.items()}
        return JSONResponse({"status": "not ready" if failing else "ok", "checks": answers}, 503 if failing else 200)

    async def metrics(_request: Request) -> Response:
        found, read = await asyncio.gather(problems(), _ask(readings))
        gauges = [metric for part in read for metric in part or ()]
        if found:
            gauges.append(READY.by({name: float(not problem) for name, problem in found.items()}))
        if heartbeat:
            gauges.append(HEARTBEAT_AGE.of(heartbeat.age()))
        text = await asyncio.wrap_future(printer.submit(generate_latest, _All(gauges)))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


class _All(Collector):
    """The process' own metrics and what was read for them."""

    def __init__(self, gauges: Iterable[Metric]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        yield from REGISTRY.collect()
        yield from self._gauges


def _checked(check: Check) -> Callable[[], str]:
    """The check's sentence; empty when all is well."""

    def ask() -> str:
        try:
            return check() or ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what readiness has to say
            return type(error).__name__

    return ask


def _read(source: Source) -> Callable[[], list[Metric]]:
    def ask() -> list[Metric]:
        try:
            return list(source())
        except Exception:  # noqa: BLE001 - readiness says what is away
            return []

    return ask
