"""The managers' pages. Each is a frame with its data as JSON in it; the module results.js shows the data.

Guarantees: a page comes up while Postgres is away, and shows the data when it is back.
"""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.results import summary
from api.results.answers import Answers
from api.results.routes import load
from api.results.templates import Templates
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.errors import Later
from heed.settings import Settings
from heed.web.fastapi_problems import as_problem
from heed.web.problems import Problem

_TITLES = {404: "This page does not exist", 503: "Not available at the moment"}


def router(settings: Settings, engine: sa.Engine, answers: Answers, templates: Templates) -> APIRouter:
    """The routes /, /s/{slug}, /review and /feedback/{id}."""
    routes = APIRouter(include_in_schema=False)
    form = str(settings.feedback_url or f"http://127.0.0.1:{settings.feedback_port}").rstrip("/")

    @routes.get("/")
    def home() -> Response:
        return show(DEFAULT_SURVEY.slug)

    @routes.get("/s/{slug}")
    def show(slug: Slug) -> Response:
        surveys: dict[str, str] = {}
        state = None
        try:
            with db.begin(engine) as connection:
                surveys = summary.questions(connection)
            state = load(engine, answers, slug).model_dump(mode="json")
        except Later:
            pass  # the page says so, and comes alive when it can
        path = "/" if slug == DEFAULT_SURVEY.slug else f"/s/{slug}"
        data = {"survey": slug, "state": state, "form": f"{form}{path}"}
        title = surveys.get(slug, "Results")
        return templates.page("results.html", data=data, slug=slug, title=title, surveys=surveys)

    @routes.get("/review")
    def review(survey: Slug = DEFAULT_SURVEY.slug) -> Response:
        asked = "Review"
        options: list[dict[str, Any]] = []
        try:
            with db.begin(engine) as connection:
                found = summary.find(connection, survey)
            asked, options = found.question, [each.model_dump() for each in found.options]
        except Later:
            pass  # the page says so, and comes alive when it can
        data = {"review": survey, "options": options}
        return templates.page("review.html", data=data, slug=survey, title=asked)

    @routes.get("/feedback/{answer_id}")
    def one(answer_id: UUID) -> Response:
        answer = answers.one(answer_id)
        with db.begin(engine) as connection:
            survey = summary.find(connection, answer.survey)
        data = {"answer": answer.model_dump(mode="json"), "options": [each.model_dump() for each in survey.options]}
        return templates.page("answer.html", data=data, answer_id=answer_id, slug=answer.survey)

    return routes


def show_errors(app: FastAPI, templates: Templates) -> None:
    """Errors as a page for those who asked for one; the JSON routes keep their problem documents."""

    async def respond(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return problem.response()
        if isinstance(error, RequestValidationError):  # an address that cannot be one of ours
            problem = Problem(404, "There is nothing at this address.")
        values: dict[str, Any] = {"title": _TITLES.get(problem.status, "That did not work"), "detail": problem.detail}
        return templates.page("problem.html", problem.status, problem.headers, **values)

    for kind in (Problem, HTTPException, RequestValidationError, Later):
        app.add_exception_handler(kind, respond)
