"""The JSON routes of the overview and the digest."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.results.overview import Overviews
from api.results.overview_models import Asked, Overview
from api.results.recent import Recent
from api.results.rights import RIGHTS
from api.results.routes import asking
from heed.books import Books
from heed.contracts.text import Slug

_BOOKS = RIGHTS["GET", "/api/v1/books"]


def router(overviews: Overviews, books: Recent[Books]) -> APIRouter:
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

    return routes
