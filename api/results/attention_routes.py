"""The JSON routes of what needs a person, and of trying again what failed."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from api.results.again import Again
from api.results.answers import Answers
from api.results.attention import Needs
from api.results.attention_models import Attention, Held, HeldNumber, TriedAgain
from api.results.models import Answer
from api.results.routes import asking
from heed.books import Astray
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.text import Slug

SurveyAsked = Annotated[Slug, Query(description="Of which survey.", examples=["default"])]


def router(needs: Needs, again: Again, answers: Answers) -> APIRouter:
    """The routes /api/v1/attention, /api/v1/books/missing, and those that try again."""
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/attention")
    def attention(request: Request, survey: SurveyAsked = DEFAULT_SURVEY.slug) -> Attention:
        """What needs a person now, most urgent first: the books, refused tickets, the quarantine, suspicious answers,
        the review queue."""
        return needs.load(survey, asking(request))

    @routes.get("/books/missing")
    def missing() -> list[Astray]:
        """By which submissions the selected ones and their tickets differ: at most 50, newest first, among the newest
        100,000. Empty while that side of the books balances."""
        return needs.astray()

    @routes.post("/feedback/{answer_id}/ticket/retry")
    def retry(answer_id: UUID, request: Request) -> Answer:
        """Try a ticket again that the desk refused; the answer as it is then. Where the ticket has not failed (any
        more), this changes nothing."""
        who = asking(request)
        again.ticket(answer_id, who)
        return answers.one(answer_id, who.surveys)

    @routes.post("/tickets/retry")
    def retry_all(request: Request, survey: SurveyAsked = DEFAULT_SURVEY.slug) -> TriedAgain:
        """Try every ticket of a survey again that the desk refused; how many are on their way now."""
        return TriedAgain(count=again.tickets(survey, asking(request)))

    @routes.get("/quarantine/{number}/replay")
    def held(number: HeldNumber) -> Held:
        """What became of trying one thing in quarantine again: `replay_at` while it waits for that, `resolved_at` when
        it was stored, neither when it still cannot be processed (or nobody asked)."""
        return again.one(number)

    @routes.post("/quarantine/{number}/replay")
    def replay(number: HeldNumber, request: Request) -> Held:
        """Try one thing in quarantine again; as it is then. The worker does it within seconds. What waits for that, or
        is stored by now, stays as it is; events cannot be tried again (409)."""
        return again.item(number, asking(request))

    @routes.post("/quarantine/replay")
    def replay_all(request: Request) -> TriedAgain:
        """Try everything in quarantine again that can be; how many that are, without those that waited for it."""
        return TriedAgain(count=again.items(asking(request)))

    return routes
