"""The JSON routes of the overview and the digest, and the digest's page, which is whole without scripts."""

from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.results import summary
from api.results.digest import Digests, percent
from api.results.overview import Overviews
from api.results.overview_models import Asked, Digest, DigestAsked, DigestPageAsked, Overview
from api.results.recent import Recent
from api.results.rights import RIGHTS
from api.results.routes import asking, first_survey
from api.results.templates import Templates
from heed.books import Books
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.web.problems import invalid

_BOOKS = RIGHTS["GET", "/api/v1/books"]


def router(overviews: Overviews, digests: Digests, books: Recent[Books]) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1/surveys/{slug}")

    @routes.get("/overview")
    def overview(slug: Slug, asked: Annotated[Asked, Query()], request: Request) -> Overview:
        """A period in numbers, by local hours, days, weeks or months, beside the period before; why tickets were
        opened, and the words that tell why customers were unhappy. At most a second old."""
        who = asking(request)
        who.check_sees(slug)
        found = overviews.read(slug, asked)
        if not who.may(_BOOKS):
            return found
        return found.model_copy(update={"oldest_queued_seconds": books.read().oldest_queued_seconds})

    @routes.get("/digest")
    def digest(slug: Slug, asked: Annotated[DigestAsked, Query()], request: Request) -> Digest:
        """A day or a week in plain sentences, with the figures behind them and up to five answers in their customers'
        words: by default yesterday, or the last week that is over."""
        asking(request).check_sees(slug)
        return digests.read(slug, asked)

    return routes


def page_router(engine: sa.Engine, digests: Digests, templates: Templates) -> APIRouter:
    """The route /digest."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/digest")
    def page(request: Request) -> Response:
        who = asking(request)
        try:  # a form sends what is empty, too
            given = {name: value for name, value in request.query_params.items() if value}
            asked = DigestPageAsked.model_validate(given)
        except ValidationError as error:
            raise invalid(error) from None
        slug = asked.survey or first_survey(who)
        who.check_sees(slug)
        found = digests.read(slug, asked)
        with db.begin(engine) as connection:
            surveys = {each: name for each, name in summary.questions(connection).items() if who.sees(each)}

        def link(**change: object) -> str:
            day = found.overview.first_day
            return "/digest?" + urlencode(
                {"survey": slug, "period": asked.period, "date": day, "tz": asked.tz, **change}
            )

        values: dict[str, Any] = {
            "digest": found,
            "surveys": surveys,
            "link": link,
            "percent": percent,
            "urlencode": urlencode,
        }
        return templates.page("digest.html", slug=slug, here="/digest", who=who, **values)

    return routes
