"""The results site's composition root: its parts, its routes, its gate, its health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from api.results import (
    account,
    attention_pages,
    attention_routes,
    checklist,
    feedback_pages,
    login,
    openapi,
    overview_routes,
    pages,
    people,
    people_pages,
    routes,
    sign_in,
    surveys,
    surveys_pages,
)
from api.results.access import Access, Gate
from api.results.again import Again
from api.results.answers import Answers
from api.results.attention import Needs
from api.results.digest import Digests
from api.results.entrance import Entrance
from api.results.live import Live
from api.results.made_up import MadeUp
from api.results.overview import Overviews
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
    access, templates, answers = Access(settings, engine), Templates(MadeUp(engine)), Answers(engine, settings)
    persons, digests = people.People(engine), Digests(engine)
    asked = surveys.Surveys(settings, engine)
    entrance = Entrance(settings, access, templates)
    provider = None
    if settings.oidc_issuer:
        from api.results.oidc import Provider  # its libraries take 14 MB, which the others need not have

        provider = Provider(settings)
    live = Live(settings, partial(routes.load, engine, answers))
    recent_books = Recent(partial(books.take, engine, Queue.connect(settings)))
    needs, again = Needs(engine, answers, recent_books, Recent(partial(books.astray, engine))), Again(engine)

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
    app.include_router(overview_routes.router(Overviews(engine), digests, recent_books))
    app.include_router(overview_routes.page_router(engine, digests, templates))
    app.include_router(people.router(persons))
    app.include_router(login.router(settings, engine, access, entrance))
    app.include_router(sign_in.router(settings, engine, entrance, provider))
    app.include_router(pages.router(settings, engine, answers, templates))
    app.include_router(feedback_pages.router(engine, answers, templates))
    app.include_router(people_pages.router(engine, persons, templates, signs_in=provider is not None))
    app.include_router(account.router(engine, persons, templates))
    app.include_router(surveys.router(asked))
    app.include_router(surveys_pages.router(asked, templates))
    app.include_router(attention_routes.router(needs, again, answers))
    app.include_router(attention_pages.router(needs, again, answers, templates))
    app.include_router(checklist.router(settings, engine))
    ready = {"postgres": partial(db.check, engine), "schema": partial(schema.check, engine)}
    app.router.routes.extend(health.routes(ready=ready))
    folders = ("results/static", "shared", "vendor", "feedback/static")  # the last for previews of the form
    app.mount("/static", Static(*(FRONTEND / each for each in folders)))
    fastapi_problems.install(app)
    pages.show_errors(app, templates)
    app.add_middleware(Gate, access=access, settings=settings, refuse=partial(pages.answer_problem, templates))
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measure)
    return app
