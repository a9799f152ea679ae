"""The JSON routes of results and answers. Who may ask at all was settled at the gate; here each sees their surveys."""

from functools import partial
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.results import export, performance, summary
from api.results.access import Who
from api.results.answers import Answers
from api.results.live import Live
from api.results.models import Answer, Filter, Listing, Page, Performance, Push, Quarantined, Results, Verdict
from api.results.recent import Recent
from api.results.rights import EXPORT
from api.results.stream import Stream
from heed.books import Books
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.web.problems import Problem

NEWEST = 20


def asking(request: Request) -> Who:
    """Who asks, as the gate knows them."""
    who: Who = request.state.who
    return who


def first_survey(who: Who) -> str:
    """The survey that somebody is shown who names none: the default, or the first of theirs when they do not see it."""
    slug = DEFAULT_SURVEY.slug
    return slug if who.sees(slug) or not who.surveys else min(who.surveys)


def load(engine: sa.Engine, answers: Answers, survey: str) -> Push:
    """All that a viewer sees of a survey; a 404 problem when there is no such survey."""
    with db.begin(engine) as connection:
        results = summary.load(connection, survey)
    newest = answers.newest(Filter(survey=survey), NEWEST)
    return Push(results=results, newest=newest, waiting=answers.waiting(survey))


def router(engine: sa.Engine, answers: Answers, books: Recent[Books], live: Live) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1")
    performances: dict[str, Recent[Performance]] = {}

    def found(survey: str) -> None:
        with db.begin(engine) as connection:
            summary.find(connection, survey)

    def measured(survey: str) -> Performance:
        with db.begin(engine) as connection:
            return performance.load(connection, survey)

    @routes.get("/surveys/{slug}/results")
    def results(slug: Slug, request: Request) -> Results:
        """Totals by option and by sentiment, by hour and by day, and tickets by state."""
        asking(request).check_sees(slug)
        with db.begin(engine) as connection:
            return summary.load(connection, slug)

    @routes.get("/surveys/{slug}/triage")
    def triage(slug: Slug, request: Request) -> Performance:
        """How well triage works: precision and recall, estimated from what people said of its decisions."""
        asking(request).check_sees(slug)
        if slug not in performances:
            found(slug)
        return performances.setdefault(slug, Recent(partial(measured, slug))).read()

    @routes.get(
        "/surveys/{slug}/live",
        response_class=Response,
        responses={
            200: {
                "description": "Events `results`, each a Push as JSON; `away` while the database is.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
    )
    async def watch(slug: Slug, request: Request) -> Response:
        """Server-sent events: the state at once, then again after each change."""
        who = asking(request)
        who.check_sees(slug)
        if not live.watched(slug):
            await run_in_threadpool(found, slug)
        return Stream(live, slug, who)

    @routes.get(
        "/feedback",
        response_model=Page,
        responses={
            200: {"content": {kind.media_type: {"schema": {"type": "string"}} for kind in export.KINDS.values()}}
        },
    )
    def feedback(listing: Annotated[Listing, Query()], request: Request) -> Page | Response:
        """Answers that fit, newest first, in parts or as a file (which takes a manager)."""
        who = asking(request)
        if listing.format in export.KINDS:
            if who.level < EXPORT:
                raise Problem(403, "An export takes a manager; an admin can let you.", kind="forbidden")
            fetch = partial(answers.newest, listing, export.BATCH, only=who.surveys, after=listing.after)
            return export.Export(engine, who.actor, listing, fetch)
        return answers.part(listing, who.surveys)

    @routes.get("/feedback/{answer_id}")
    def answer(answer_id: UUID, request: Request) -> Answer:
        """One answer, with its scores, the decision and its ticket."""
        return answers.one(answer_id, asking(request).surveys)

    @routes.post("/feedback/{answer_id}/verdict")
    def judge(answer_id: UUID, verdict: Verdict, request: Request) -> Answer:
        """Say whether an answer needs a person; the answer as it is then.

        The verdict is kept with who gave it (a manager, or a program with the API key), the newest counts, and nobody
        is asked about this answer any more. If it needs a person and has no ticket, it gets one. If it has one and
        needs none, that is a false alarm: the ticket stays as it is. The same verdict again changes nothing more.
        """
        return answers.judge(answer_id, verdict.needs_person, asking(request))

    @routes.get("/books")
    def current_books() -> Books:
        """Whether everything accepted and everything selected is accounted for."""
        return books.read()

    @routes.get("/quarantine")
    def quarantine() -> list[Quarantined]:
        """What could not be processed and waits, newest first."""
        return answers.quarantined()

    return routes
