"""Counts a site's answers and times them, by route.

Guarantees: nothing that a visitor writes becomes a label, so the number of series is bounded; a stream that stays open
for an hour counts as the moment in which it began; an error that nobody caught counts as 500.
"""

from time import perf_counter
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.telemetry import REQUEST_SECONDS, REQUESTS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measure:
    """ASGI middleware; the outermost of an app's own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._templates: dict[tuple[object, int], str] | None = None
        # What Prometheus' client finds by labels, found by what the scope has at hand: this is on the hot path.
        self._known: dict[tuple[object, ...], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                self._count(scope, message["status"], perf_counter() - started)
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception:
            if not begun:
                self._count(scope, 500, perf_counter() - started)
            raise

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        # Of an endpoint with two addresses, "/" and "/s/{slug}" say, the number of parameters tells which it was.
        endpoint = (scope.get("endpoint"), len(scope.get("path_params", ())))
        key = (endpoint, method, status)
        known = self._known.get(key)
        if known is None:
            route = self._template(scope, endpoint)
            known = self._known[key] = (
                REQUESTS.labels(route, method, str(status)),
                REQUEST_SECONDS.labels(route, method),
            )
        known[0].inc()
        known[1].observe(seconds)

    def _template(self, scope: Scope, endpoint: tuple[object, int]) -> str:
        """The route's path as declared; `none` when there was none, as for what is refused at the gate."""
        declared = getattr(scope.get("route"), "path", None)
        if declared is not None:
            return str(declared)
        if self._templates is None:
            self._templates = dict(_declared(scope["app"]))
        return self._templates.get(endpoint, "none")


def _declared(app: Any) -> list[tuple[tuple[object, int], str]]:
    """((endpoint, number of parameters), path) of an app's plain routes and mounts."""
    found = []
    for route in app.routes:
        if hasattr(route, "path"):
            endpoint = getattr(route, "endpoint", None) or getattr(route, "app", None)
            parameters = [name for name in getattr(route, "param_convertors", ()) if name != "path"]
            found.append(((endpoint, len(parameters)), route.path))
    return found
