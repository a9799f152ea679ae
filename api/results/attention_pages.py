"""The page of what needs a person now: plain forms, which work without JavaScript; attention.js keeps it live.

Guarantees: who may not do something is not offered it; each form's answer is the page as it is then, with what was done
in a sentence, and sending a form again (a reload, a second click) does nothing twice.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from api.results.again import Again
from api.results.answers import Answers
from api.results.attention import Needs
from api.results.attention_models import COUNTED, HeldNumber
from api.results.attention_words import ASTRAY, HELD, PRIORITIES
from api.results.routes import asking, first_survey
from api.results.templates import Templates
from api.results.words import FLAGS, LABELS, REASONS, SIGNS
from heed.contracts.text import Slug


class Done(StrEnum):
    """What a form did, as the page that answers says it."""

    RETRIED = "retried"
    NOT_RETRIED = "not-retried"
    REPLAYED = "replayed"
    NOT_REPLAYED = "not-replayed"
    YES = "yes"
    NO = "no"


_SAID = {
    Done.RETRIED: "It is on its way to the desk again.",
    Done.NOT_RETRIED: "Nothing had failed any more, so nothing was done.",
    Done.REPLAYED: "It is tried again within a few seconds.",
    Done.NOT_REPLAYED: "Everything that can be tried again waits for that already.",
    Done.YES: "Yes: the ticket is on its way.",
    Done.NO: "No: noted.",
}

Of = Annotated[Slug, Form()]


def router(needs: Needs, again: Again, answers: Answers, templates: Templates) -> APIRouter:
    """The routes under /attention."""
    routes = APIRouter(prefix="/attention", include_in_schema=False)

    def back(survey: str, done: Done) -> Response:
        return RedirectResponse(f"/attention?survey={survey}&done={done}", 303)

    @routes.get("")
    def attention(
        request: Request, survey: Annotated[Slug | None, Query()] = None, done: Done | None = None
    ) -> Response:
        who = asking(request)
        found = needs.load(survey or first_survey(who), who)
        return templates.page(
            "attention.html",
            who=who,
            slug=found.survey,
            here="/attention",
            now=found,
            options={each.key: f"{each.face} {each.label}".strip() for each in found.options},
            said=_SAID[done] if done else "",
            counted=COUNTED,
            words={
                "astray": ASTRAY,
                "flags": FLAGS,
                "held": HELD,
                "labels": LABELS,
                "priorities": PRIORITIES,
                "reasons": REASONS,
                "signs": SIGNS,
            },
        )

    @routes.post("/tickets/retry")
    def retry_all(request: Request, survey: Of) -> Response:
        return back(survey, Done.RETRIED if again.tickets(survey, asking(request)) else Done.NOT_RETRIED)

    @routes.post("/tickets/{answer_id}/retry")
    def retry(answer_id: UUID, request: Request, survey: Of) -> Response:
        return back(survey, Done.RETRIED if again.ticket(answer_id, asking(request)) else Done.NOT_RETRIED)

    @routes.post("/quarantine/replay")
    def replay_all(request: Request, survey: Of) -> Response:
        return back(survey, Done.REPLAYED if again.items(asking(request)) else Done.NOT_REPLAYED)

    @routes.post("/quarantine/{number}/replay")
    def replay(number: HeldNumber, request: Request, survey: Of) -> Response:
        again.item(number, asking(request))
        return back(survey, Done.REPLAYED)

    @routes.post("/verdicts/{answer_id}")
    def judge(
        answer_id: UUID, request: Request, survey: Of, needs_person: Annotated[str, Form(pattern="^(yes|no)$")]
    ) -> Response:
        answers.judge(answer_id, needs_person == "yes", asking(request))
        return back(survey, Done.YES if needs_person == "yes" else Done.NO)

    return routes
