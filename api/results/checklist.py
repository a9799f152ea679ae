"""The first steps with a new system, each ticked off by what Postgres holds.

Guarantees: a step is done when its effect is there, whoever brought it about; made-up answers tick nothing off; what is
asked costs little, since a system with NEW_UNTIL answers is not new any more and nothing else is looked for in it.
"""

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from api.results import summary
from api.results.access import Who
from api.results.routes import asking
from heed.contracts import DEFAULT_SURVEY, MADE_UP, TicketState
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.db.tables import feedback, tickets
from heed.settings import Settings

NEW_UNTIL = 100
_TICKETED = (TicketState.CREATED, TicketState.OPENED, TicketState.SOLVED)


class Checklist(BaseModel):
    """The first steps. The facts are of all surveys that are seen, the addresses of the survey that was asked for."""

    new: bool = Field(description=f"Fewer than {NEW_UNTIL} answers were stored; made-up ones do not count.")
    done: bool = Field(description="Every step is.")
    answered: bool = Field(description="An answer came.")
    embedded: bool = Field(description="An answer came from a page that is not the feedback site's own.")
    ticketed: bool = Field(description="The desk has opened a ticket.")
    form: str = Field(description="The form's address.")
    test: str = Field(description="The form's address with an unhappy answer chosen, marked by the reference `test`.")
    snippet: str = Field(description="The tag that shows the form on any page.")
    demo: str = Field(description="A page of the feedback site that shows the widget at work.")


def load(connection: sa.Connection, site: str, slug: str, who: Who) -> Checklist:
    """The checklist for a survey; a 404 problem when there is none. `site` is the feedback site's address."""
    survey = summary.find(connection, slug)
    # The oldest of them: a system that has more is not new.
    theirs = [] if who.surveys is None else [feedback.c.survey.in_(who.surveys)]
    first = (
        sa.select(feedback.c.id, feedback.c.context["url"].astext.label("url"))
        .where(feedback.c.source != MADE_UP, *theirs)
        .limit(NEW_UNTIL)
        .subquery()
    )
    elsewhere = ~first.c.url.startswith(f"{site}/", autoescape=True)
    ticketed = sa.exists().where(tickets.c.feedback_id == first.c.id, tickets.c.state.in_(_TICKETED))
    facts = connection.execute(
        sa.select(
            sa.func.count().label("answers"),
            sa.func.coalesce(sa.func.bool_or(elsewhere), False).label("embedded"),
            sa.func.coalesce(sa.func.bool_or(ticketed), False).label("ticketed"),
        ).select_from(first)
    ).one()
    path = "/" if slug == DEFAULT_SURVEY.slug else f"/s/{slug}"
    unhappy = next((option.key for option in survey.options if option.unhappy), survey.options[-1].key)
    return Checklist(
        new=facts.answers < NEW_UNTIL,
        done=bool(facts.answers and facts.embedded and facts.ticketed),
        answered=facts.answers > 0,
        embedded=facts.embedded,
        ticketed=facts.ticketed,
        form=f"{site}{path}",
        test=f"{site}{path}?vote={unhappy}&ref=test",
        snippet=f'<script async src="{site}/widget.js" data-survey="{slug}"></script>',
        demo=f"{site}/demo",
    )


def router(settings: Settings, engine: sa.Engine) -> APIRouter:
    """The route /api/v1/checklist."""
    routes = APIRouter(prefix="/api/v1")
    site = str(settings.feedback_url or f"http://127.0.0.1:{settings.feedback_port}").rstrip("/")

    @routes.get("/checklist")
    def checklist(
        request: Request, survey: Annotated[Slug, Query(examples=["default"])] = DEFAULT_SURVEY.slug
    ) -> Checklist:
        """The first steps with a new system, and which of them are done."""
        who = asking(request)
        who.check_sees(survey)
        with db.begin(engine) as connection:
            return load(connection, site, survey, who)

    return routes
