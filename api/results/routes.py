"""The JSON routes. They say what is asked; who asks was settled at the gate."""

import threading
import time
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from api.results import export, summary
from api.results.answers import Answers
from api.results.live import Live
from api.results.models import Answer, Filter, Listing, Page, Push, Quarantined, Results
from api.results.stream import Stream
from heed import books
from heed.books import Books
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.stream.queue import Queue

NEWEST = 20
BOOKS_SECONDS = 2.0


def load(engine: sa.Engine, answers: Answers, survey: str) -> Push:
    """A survey's state: its results and its newest answers; a 404 problem when there is none."""
    with db.begin(engine) as connection:
        results = summary.load(connection, survey)
    return Push(results=results, newest=answers.newest(Filter(survey=survey), NEWEST))


class RecentBooks:
    """The books, taken at most every BOOKS_SECONDS, however many pages show them.

    While they are taken, which is long when Redis hangs, the others get the last ones instead of each holding a thread.
    """

    def __init__(self, engine: sa.Engine, queue: Queue) -> None:
        self._engine, self._queue = engine, queue
        self._lock = threading.Lock()
        self._taken: Books | None = None
        self._until = 0.0

    def read(self) -> Books:
        """The books; raises `Later` when Postgres is away."""
        last = self._taken
        if not self._lock.acquire(blocking=last is None):
            assert last is not None
            return last
        try:
            if self._taken is None or time.monotonic() > self._until:
                self._taken = books.take(self._engine, self._queue)
                self._until = time.monotonic() + BOOKS_SECONDS
            return self._taken
        finally:
            self._lock.release()


def router(engine: sa.Engine, answers: Answers, recent: RecentBooks, live: Live) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1")

    def found(survey: str) -> None:
        with db.begin(engine) as connection:
            summary.find(connection, survey)

    @routes.get("/surveys/{slug}/results")
    def results(slug: Slug) -> Results:
        """Totals by option and by sentiment, by hour and by day, and tickets by state."""
        with db.begin(engine) as connection:
            return summary.load(connection, slug)

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
    async def watch(slug: Slug) -> Response:
        """Server-sent events: the state at once, then again after each change."""
        if not live.watched(slug):
            await run_in_threadpool(found, slug)
        return Stream(live, slug)

    @routes.get(
        "/feedback",
        response_model=Page,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def feedback(listing: Annotated[Listing, Query()]) -> Page | Response:
        """Answers that fit, newest first, in parts or as a file."""
        if listing.format == "csv":
            text = export.rows(lambda before: answers.newest(listing, export.BATCH, before), listing.before)
            headers = {"Content-Disposition": 'attachment; filename="feedback.csv"'}
            return StreamingResponse(text, media_type="text/csv", headers=headers)
        items = answers.newest(listing, listing.limit + 1, listing.before)
        more = len(items) > listing.limit
        return Page(items=items[: listing.limit], next=items[listing.limit - 1].id if more else None)

    @routes.get("/feedback/{answer_id}")
    def answer(answer_id: UUID) -> Answer:
        """One answer, with its scores, the decision and its ticket."""
        return answers.one(answer_id)

    @routes.get("/books")
    def current_books() -> Books:
        """Whether everything accepted and everything selected is accounted for."""
        return recent.read()

    @routes.get("/quarantine")
    def quarantine() -> list[Quarantined]:
        """What could not be processed and waits, newest first."""
        return answers.quarantined()

    return routes
