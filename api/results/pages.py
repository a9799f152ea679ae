"""The managers' pages. Each is a frame with its data as JSON in it; the module results.js shows the data (of the
overview, the totals are in the page for those without scripts).

Guarantees: a page that is open stays while Postgres is away, and goes on when it is back; one that is opened meanwhile
says so, and comes up by itself; a page offers nothing that who looks at it may not do.
"""

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.results import summary
from api.results.answers import Answers
from api.results.models import Push
from api.results.rights import RIGHTS
from api.results.routes import asking, first_survey, load
from api.results.templates import Templates
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.errors import Later
from heed.settings import Settings
from heed.web.fastapi_problems import as_problem
from heed.web.problems import RETRY_SECONDS, Problem

_BOOKS = RIGHTS["GET", "/api/v1/books"]
_TITLES = {403: "Not allowed", 404: "This page does not exist", 503: "Not available at the moment"}


def router(settings: Settings, engine: sa.Engine, answers: Answers, templates: Templates) -> APIRouter:
    """The routes /, /s/{slug} and /review."""
    routes = APIRouter(include_in_schema=False)
    form = str(settings.feedback_url or f"http://127.0.0.1:{settings.feedback_port}").rstrip("/")

    @routes.get("/")
    def home(request: Request) -> Response:
        return show(first_survey(asking(request)), request)

    @routes.get("/s/{slug}")
    def show(slug: Slug, request: Request) -> Response:
        who = asking(request)
        who.check_sees(slug)
        surveys: dict[str, str] = {}
        state: Push | None = None
        try:
            with db.begin(engine) as connection:
                known = summary.questions(connection)
            surveys = {each: question for each, question in known.items() if who.sees(each)}
            state = load(engine, answers, slug)
        except Later:
            pass  # the page says so, and comes alive when it can
        path = "/" if slug == DEFAULT_SURVEY.slug else f"/s/{slug}"
        shown = state and state.model_dump(mode="json")
        values: dict[str, Any] = {
            "data": {"survey": slug, "state": shown, "form": f"{form}{path}", "books": who.may(_BOOKS)},
            "title": surveys.get(slug, "Results"),
            "totals": state and state.results,
            "surveys": surveys,
        }
        return templates.page("results.html", slug=slug, here="/", who=who, **values)

    @routes.get("/review")
    def review(request: Request, survey: Slug | None = None) -> Response:
        who = asking(request)
        slug = survey or first_survey(who)
        who.check_sees(slug)
        asked = "Review"
        options: list[dict[str, Any]] = []
        try:
            with db.begin(engine) as connection:
                found = summary.find(connection, slug)
            asked, options = found.question, [each.model_dump() for each in found.options]
        except Later:
            pass  # the page says so, and comes alive when it can
        data = {"review": slug, "options": options}
        return templates.page("review.html", data=data, slug=slug, title=asked, who=who)

    return routes


def _wants_page(request: HTTPConnection) -> bool:
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def answer_problem(templates: Templates, request: HTTPConnection, problem: Problem) -> Response:
    """A problem as a page for those who asked for one; the JSON routes keep their problem documents."""
    if not _wants_page(request):
        return problem.response()
    values: dict[str, Any] = {"title": _TITLES.get(problem.status, "That did not work"), "detail": problem.detail}
    # What is away comes back, and then the page comes up by itself.
    again = RETRY_SECONDS if problem.status == 503 and request.scope["method"] == "GET" else None
    who = getattr(request.state, "who", None)
    return templates.page("problem.html", problem.status, problem.headers, again=again, who=who, **values)


def show_errors(app: FastAPI, templates: Templates) -> None:
    """Errors by `answer_problem`."""

    async def respond(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if isinstance(error, RequestValidationError) and _wants_page(request):
            problem = Problem(404, "There is nothing at this address.")  # it cannot be one of ours
        return answer_problem(templates, request, problem)

    for kind in (Problem, HTTPException, RequestValidationError, Later):
        app.add_exception_handler(kind, respond)
