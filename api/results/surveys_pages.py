"""The pages of surveys: the list, one of them with what it said before, the poster, the rehearsal of its lines.

Guarantees: everything works without scripts; what is wrong with a form is said on its page, with what was written kept
in it, and nothing is changed; the preview is the form itself, and sends nothing; who may not change is offered nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.results.access import Who
from api.results.rights import MANAGER
from api.results.routes import asking
from api.results.surveys import Surveys
from api.results.surveys_form import UNHAPPY, Given, definition_of, fields_of, given_by, percent, sentences, share
from api.results.surveys_models import LinesWanted, Number, Rehearsal
from api.results.templates import Templates
from heed import definition, qr, theme
from heed.contracts import DEFAULT_SURVEY, Survey
from heed.contracts.survey import OPTIONS_MOST
from heed.contracts.text import Slug
from heed.db.surveys import RESERVED
from heed.definition import NotASurvey, Wrong
from heed.web import form as customers_form
from heed.web import theme as web_theme
from heed.web.guards import csp
from heed.web.languages import ENGLISH, LANGUAGES
from heed.web.problems import Problem

_SAID = {
    "made": "The survey is made. The form shows it within seconds.",
    "saved": "Saved. The form shows it within seconds.",
    "same": "Nothing was changed, so there is no new version.",
    "closed": "Closed. The form says so within seconds, and takes no more answers.",
    "open": "Open again. The form takes answers within seconds.",
}
_NEW = DEFAULT_SURVEY.model_copy(update={"slug": RESERVED})
# The preview may be framed by its own site's pages alone.
_FRAMED = {"Content-Security-Policy": csp("'self'"), "Cache-Control": "no-store"}
_FRAMES = {"Content-Security-Policy": csp(frame_src="'self'")}


async def _fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=1, max_fields=300, max_part_size=100_000) as form:
        return given_by(form)


Fields = Annotated[dict[str, str], Depends(_fields)]


def router(found: Surveys, templates: Templates) -> APIRouter:
    """The routes under /surveys, and the stylesheet of a colour."""
    routes = APIRouter(include_in_schema=False)

    def new_page(request: Request, given: Given, problem: Problem | None = None, **more: Any) -> Response:
        _may_make(asking(request))
        return _page(templates, "survey.html", request, problem, shown=None, given=given, **_editor(given), **more)

    def survey_page(
        request: Request, slug: str, given: Given | None = None, problem: Problem | None = None, **more: Any
    ) -> Response:
        who = asking(request)
        shown = found.one(who, slug)
        given = fields_of(shown.survey) if given is None else given
        known: dict[str, Any] = {
            "shown": shown,
            "given": given,
            "versions": found.versions(who, slug),
            "site": found.form,
            **_editor(given),
            **more,
        }
        return _page(templates, "survey.html", request, problem, slug=slug, **known)

    def rehearsal_page(request: Request, slug: str, given: Given, problem: Problem | None = None) -> Response:
        who = asking(request)
        shown = found.one(who, slug)
        rehearsed: Rehearsal | None = None
        if problem is None:
            try:
                rehearsed = found.rehearse(who, slug, _lines(given))
            except Problem as error:
                problem = error
        values = {"shown": shown, "given": given, "rehearsed": rehearsed, "percent": percent}
        return _page(templates, "rehearsal.html", request, problem, slug=slug, **values)

    @routes.get("/surveys")
    def every(request: Request) -> Response:
        who = asking(request)
        return _page(templates, "surveys.html", request, surveys=found.every(who), makes=_makes(who))

    @routes.get("/surveys/{slug}")
    def one(slug: Slug, request: Request, said: str = "") -> Response:
        if slug == RESERVED:
            return new_page(request, {**fields_of(_NEW), "slug": ""})
        return survey_page(request, slug, said=_SAID.get(said, ""))

    @routes.post("/surveys/{slug}")
    def save(slug: Slug, given: Fields, request: Request) -> Response:
        who, new = asking(request), slug == RESERVED
        try:
            survey = _read(given, given.get("slug", "").strip() if new else slug)
            saved = found.save(who, survey, new=new)
        except NotASurvey as error:
            refused = Problem(422, "The survey is not saved.", kind="invalid")
            wrongs = sentences(error.wrongs, given)
            if new:
                return new_page(request, given, refused, wrongs=wrongs)
            return survey_page(request, slug, given, refused, wrongs=wrongs)
        except Problem as problem:
            if problem.status not in (409, 422):
                raise
            wrongs = sentences([Wrong(**_named(each)) for each in problem.extensions.get("errors", ())], given)
            if new:
                wrongs = wrongs or sentences([Wrong("slug", problem.detail)], given)
                return new_page(request, given, problem, wrongs=wrongs)
            since = found.since(who, slug, _number(given)) if problem.status == 409 else []
            return survey_page(request, slug, given, problem, wrongs=wrongs, since=since)
        return _to(saved.survey.slug, "made" if saved.new else "saved" if saved.changed else "same")

    @routes.get("/surveys/{slug}/preview")
    def preview(slug: Slug, request: Request) -> Response:
        survey = _NEW if slug == RESERVED else found.one(asking(request), slug).survey
        return _preview(survey, survey.language)

    @routes.post("/surveys/{slug}/preview")
    def preview_of(slug: Slug, given: Fields, request: Request) -> Response:
        if slug != RESERVED:
            asking(request).check_sees(slug)
        try:
            survey = _read(given, "preview")
        except NotASurvey as error:
            wrongs = sentences(error.wrongs, given)
            return templates.page("survey-unseen.html", 422, _FRAMED, wrongs=wrongs)
        return _preview(survey, given.get("preview_language", ""))

    @routes.post("/surveys/{slug}/close")
    def close(slug: Slug, request: Request) -> Response:
        try:
            found.close(asking(request), slug)
        except Problem as problem:
            if problem.status != 409:
                raise
            return survey_page(request, slug, problem=problem)
        return _to(slug, "closed")

    @routes.post("/surveys/{slug}/reopen")
    def reopen(slug: Slug, request: Request) -> Response:
        found.reopen(asking(request), slug)
        return _to(slug, "open")

    @routes.get("/surveys/{slug}/qr.svg")
    def code(slug: Slug, request: Request) -> Response:
        return Response(qr.svg(found.one(asking(request), slug).address), media_type="image/svg+xml")

    @routes.get("/surveys/{slug}/poster")
    def poster(slug: Slug, request: Request) -> Response:
        return _page(templates, "survey-poster.html", request, shown=found.one(asking(request), slug), slug=slug)

    @routes.get("/surveys/{slug}/versions/{number}")
    def version(slug: Slug, number: Number, request: Request) -> Response:
        shown = found.version(asking(request), slug, number)
        return _page(templates, "survey-version.html", request, version=shown, slug=slug)

    @routes.get("/surveys/{slug}/rehearsal")
    def rehearse(slug: Slug, request: Request) -> Response:
        given = dict(request.query_params)
        if not {"ticket", "review"} & given.keys():  # as they are now
            survey = found.one(asking(request), slug).survey
            given = {"ticket": percent(survey.threshold), "review": percent(survey.review_threshold)}
        return rehearsal_page(request, slug, given)

    @routes.post("/surveys/{slug}/rehearsal")
    def draw(slug: Slug, given: Fields, request: Request) -> Response:
        who = asking(request)
        found.one(who, slug)
        try:
            wanted = _lines(given)
            saved = found.draw(who, slug, _number(given), wanted.ticket, wanted.review)
        except Problem as problem:
            if problem.status not in (409, 422):
                raise
            return rehearsal_page(request, slug, given, problem)
        return _to(slug, "saved" if saved.changed else "same")

    routes.add_route(web_theme.PATH, web_theme.answer, methods=["GET"])
    return routes


def _page(templates: Templates, name: str, request: Request, problem: Problem | None = None, **values: Any) -> Response:
    who = asking(request)
    known = {"problem": problem, "wrongs": [], "since": [], "said": "", "changes": who.may(MANAGER), **values}
    return templates.page(name, problem.status if problem else 200, _FRAMES, who=who, here="/surveys", **known)


def _editor(given: Given) -> Mapping[str, Any]:
    """What the editor shows besides the fields."""
    texts = {name.split(".")[1] for name in given if name.startswith("texts.") and name.count(".") > 1}
    others = sorted(texts - LANGUAGES.keys())  # none that the form speaks, and kept all the same
    names = {code: language.name for code, language in LANGUAGES.items()} | {code: code for code in others}
    language = given.get("language", "")
    color = given.get("color", "").lower()
    return {
        "languages": names if language in names or not language else {**names, language: language},
        "unhappy": UNHAPPY,
        "options_most": OPTIONS_MOST,
        "theme": theme.theme(color) if theme.is_color(color) else None,
    }


def _read(given: Given, slug: str) -> Survey:
    survey = definition.read(definition_of(given, slug))
    return survey.model_copy(update={"version": _number(given)})


def _number(given: Given) -> int:
    """The version that the page was made from; none is like one that never was."""
    said = given.get("version", "")
    return int(said) if len(said) < 10 and said.isascii() and said.isdecimal() else 0


def _lines(given: Given) -> LinesWanted:
    try:
        return LinesWanted(ticket=share(given.get("ticket", "")), review=share(given.get("review", "")))
    except ValidationError:
        detail = "A line is above 0 and at most 100 %. Leave it empty for the model's own."
        raise Problem(422, detail, kind="invalid") from None


def _preview(survey: Survey, code: str) -> Response:
    """The form as customers see it, without its scripts."""
    language = LANGUAGES.get(code, ENGLISH)
    html = language.templates.get_template("form.html").render(
        preview=True,
        slug=None,
        path="",
        carried={},
        embed=None,
        color=survey.color,
        given={},
        errors=[],
        notice=None,
        key="",
        shown="",
        **customers_form.values(survey, language),
    )
    return HTMLResponse(html, headers=_FRAMED)


def _named(error: Mapping[str, str]) -> dict[str, str]:
    return {"field": error["field"], "why": error["message"]}


def _makes(who: Who) -> bool:
    return who.may(MANAGER) and who.surveys is None


def _may_make(who: Who) -> None:
    if not _makes(who):
        raise Problem(403, "You may not make a survey; an admin can let you.", kind="forbidden")


def _to(slug: str, said: str) -> Response:
    return RedirectResponse(f"/surveys/{slug}?{urlencode({'said': said})}", 303)
