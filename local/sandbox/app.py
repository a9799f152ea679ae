"""The sandbox's composition root: API, fault controls, agent pages and health in one app."""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from heed.settings import Settings
from heed.web import health
from heed.web.guards import BodyLimit, SecurityHeaders
from local.sandbox import agent, api, errors, faults
from local.sandbox.access import Access, JsonSuffix
from local.sandbox.store import Store
from local.sandbox.webhook import Webhook

REQUEST_MAX = 1024 * 1024


def create_app(settings: Settings, database: Path, clock: Callable[[], float] = time.time) -> FastAPI:
    """The sandbox with its data in the file `database`; `clock` gives Unix seconds."""
    webhook = Webhook.of(settings)
    store = Store(database, clock, webhook.send if webhook else lambda _ticket: None)
    orders = faults.Faults()

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        if webhook:
            webhook.start()
        yield
        if webhook:
            webhook.close()
        store.close()

    app = FastAPI(
        title="Zendesk sandbox",
        docs_url=None,
        redoc_url=None,
        lifespan=running,
        routes=[*health.routes(ready={"database": store.check})],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(JsonSuffix),
            Middleware(Access, limit=settings.sandbox_rate_limit),
            Middleware(faults.FaultInjection, faults=orders),
            Middleware(BodyLimit, most=REQUEST_MAX),
        ],
        exception_handlers={
            errors.ZendeskError: errors.answer,
            RequestValidationError: _malformed,
            HTTPException: _unknown,
            sqlite3.OperationalError: _busy,
        },
    )
    app.state.store, app.state.faults, app.state.requests = store, orders, 0
    app.include_router(api.router)
    app.include_router(faults.router)
    app.include_router(agent.router)
    app.mount("/agent/static", agent.static)

    @app.get("/sandbox/stats")
    def stats() -> dict[str, Any]:
        """Counts for tests: tickets, comments, users, requests, tickets by status, external ids used twice."""
        return {**store.stats(), "requests": app.state.requests}

    return app


async def _malformed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return errors.invalid_attribute(str(first["loc"][-1]), first["msg"]).response()


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": "InvalidEndpoint", "description": error.detail}, error.status_code, error.headers)


async def _busy(_request: Request, _error: Exception) -> JSONResponse:
    body = {"error": "ServiceUnavailable", "description": "The sandbox's database is busy or full"}
    return JSONResponse(body, 503, {"Retry-After": "1"})
