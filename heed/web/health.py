"""`/healthz` (is the process alive), `/readyz` (has it what it needs) and `/metrics`, the same on every service."""

from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# None when all is well, else a sentence; may block, may raise.
Check = Callable[[], str | None]


def routes(
    alive: Check = lambda: None,
    ready: Mapping[str, Check] | None = None,
    measure: Callable[[], None] = lambda: None,
) -> list[Route]:
    """The three routes. `measure` sets gauges just before they are read."""

    async def healthz(_request: Request) -> Response:
        problem = alive()
        return JSONResponse({"status": problem or "ok"}, 503 if problem else 200)

    async def readyz(_request: Request) -> Response:
        found = {name: await run_in_threadpool(_outcome, check) for name, check in (ready or {}).items()}
        failing = any(found.values())
        checks = {name: problem or "ok" for name, problem in found.items()}
        return JSONResponse({"status": "not ready" if failing else "ok", "checks": checks}, 503 if failing else 200)

    async def metrics(_request: Request) -> Response:
        await run_in_threadpool(_outcome, lambda: measure())
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _outcome(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what readiness has to say
        return type(error).__name__
