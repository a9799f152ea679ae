"""The results site's composition root: its parts, its routes, its gate, its health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from api.results import account, login, openapi, pages, people, people_pages, routes, sign_in
from api.results.access import Access, Gate
from api.results.answers import Answers
from api.results.entrance import Entrance
from api.results.live import Live
from api.results.recent import Recent
from api.results.revoked import keep_out
from api.results.templates import Templates
from heed import __version__, books
from heed.db import engine as db
from heed.db import schema
from heed.settings import Settings
from heed.stream.queue import Queue
from heed.web import fastapi_problems, health
from heed.web.guards import BodyLimit, SecurityHeaders
from heed.web.measure import Measure
from heed.web.static import FRONTEND, Static


def create_app(settings: Settings) -> FastAPI:
    """The site as an ASGI app; connects when first used. `app.state.live.close` ends its open streams."""
    engine = db.connect(settings, "results")
    access, templates, answers = Access(settings, engine), Templates(), Answers(engine, settings)
    persons = people.People(engine)
    entrance = Entrance(settings, access, templates)
    provider = None
    if settings.oidc_issuer:
        from api.results.oidc import Provider  # its libraries take 14 MB, which the others need not have

        provider = Provider(settings)
    live = Live(settings, partial(routes.load, engine, answers))
    recent_books = Recent(partial(books.take, engine, Queue.connect(settings)))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        live.start()
        keeping_out = asyncio.create_task(keep_out(access, live))
        yield
        keeping_out.cancel()
        live.close()
        await live.stopped()
        if provider is not None:
            await provider.close()
        engine.dispose()

    app = FastAPI(
        title="Heed: results",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=fastapi_problems.RESPONSES,
        telemetry=fastapi_problems.NO_TELEMETRY,
    )
    app.state.live = live
    openapi.describe(app)
    app.include_router(routes.router(engine, answers, recent_books, live))
    app.include_router(people.router(persons))
    app.include_router(login.router(settings, engine, access, entrance))
    app.include_router(sign_in.router(settings, engine, entrance, provider))
    app.include_router(pages.router(settings, engine, answers, templates))
    app.include_router(people_pages.router(engine, persons, templates, signs_in=provider is not None))
    app.include_router(account.router(engine, persons, templates))
    ready = {"postgres": partial(db.check, engine), "schema": partial(schema.check, engine)}
    app.router.routes.extend(health.routes(ready=ready))
    app.mount("/static", Static(FRONTEND / "results" / "static", FRONTEND / "shared", FRONTEND / "vendor"))
    fastapi_problems.install(app)
    pages.show_errors(app, templates)
    app.add_middleware(Gate, access=access, settings=settings, refuse=partial(pages.answer_problem, templates))
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measure)
    return app
