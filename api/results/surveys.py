"""Surveys on the results site: what they ask, every version of it, and changing it; the JSON routes.

Guarantees: a change is one transaction with its version and the audit (heed.db.surveys); who made it from an old
version is told so, and nothing is changed; who sees only some surveys changes those and makes none.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response

from api.results import rehearsal, summary
from api.results.access import Who
from api.results.routes import asking
from api.results.surveys_models import (
    Change,
    Color,
    LinesWanted,
    Number,
    Rehearsal,
    SurveyListed,
    SurveyShown,
    VersionPart,
    VersionShown,
)
from heed import definition, theme
from heed.contracts import Survey
from heed.contracts.text import Slug
from heed.db import engine as db
from heed.db import surveys as kept
from heed.db.surveys import Conflict, Saved
from heed.db.tables import rollup, survey_versions, surveys
from heed.definition import NotASurvey
from heed.errors import Invalid
from heed.settings import Settings
from heed.theme import Theme
from heed.web.problems import Problem

VERSIONS_PAGE = 20
# heed.definition reads the body, since it also tells of fields that there are not.
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Survey"},
            "example": {
                "slug": "delivery",
                "question": "How was our delivery?",
                "options": [{"key": "fine", "label": "Fine"}, {"key": "late", "label": "Late", "unhappy": True}],
            },
        }
    },
}

_version = sa.func.coalesce(surveys.c.definition["version"].as_integer(), 1)
_answers = sa.func.coalesce(
    sa.select(sa.func.sum(rollup.c.answers))
    .where(rollup.c.survey == surveys.c.slug, rollup.c.grain == "total")
    .scalar_subquery(),
    0,
)
_LISTED: sa.Select[Any] = (
    sa.select(surveys.c.definition, _answers.label("answers"), survey_versions.c.saved_at, survey_versions.c.saved_by)
    .outerjoin(
        survey_versions, sa.and_(survey_versions.c.survey == surveys.c.slug, survey_versions.c.version == _version)
    )
    .order_by(surveys.c.slug)
)


class Surveys:
    """What the JSON routes and the pages do alike, each in one transaction."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self._engine = engine
        self._form = str(settings.feedback_url or f"http://127.0.0.1:{settings.feedback_port}").rstrip("/")

    @property
    def form(self) -> str:
        """The feedback site's address."""
        return self._form

    def every(self, who: Who) -> list[SurveyListed]:
        """Those that they see, by slug."""
        with db.begin(self._engine) as connection:
            rows = connection.execute(_LISTED).all()
        listed = [SurveyListed(**_listed(row)) for row in rows]
        return [each for each in listed if who.sees(each.slug)]

    def one(self, who: Who, slug: str) -> SurveyShown:
        """One of them; a 404 problem when there is none such."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            return self._read(connection, slug)

    def versions(self, who: Who, slug: str, before: int | None = None) -> VersionPart:
        """A part of a survey's versions, newest first."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            summary.find(connection, slug)
            rows = kept.versions(connection, slug, VERSIONS_PAGE + 1, before)
        items = [_shown(row, older) for row, older in zip(rows, [*rows[1:], None], strict=True)]
        more = len(items) > VERSIONS_PAGE
        return VersionPart(items=items[:VERSIONS_PAGE], next=items[VERSIONS_PAGE - 1].version if more else None)

    def version(self, who: Who, slug: str, number: int) -> VersionShown:
        """One version; a 404 problem when there is none such."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            summary.find(connection, slug)
            row, older = (*kept.versions(connection, slug, 2, number + 1), None, None)[:2]
        if row is None or row.version != number:
            raise Problem(404, "There is no such version.", kind="unknown-version")
        return _shown(row, older)

    def since(self, who: Who, slug: str, number: int) -> list[Change]:
        """What was changed since that version; nothing when it is not known."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            before, now = kept.version(connection, slug, number), summary.find(connection, slug)
        return changes(before, now) if before else []

    def save(self, who: Who, survey: Survey, *, new: bool) -> Saved:
        """Make a survey, or change one; a problem when that cannot be."""
        if new and who.surveys is not None:
            raise Problem(403, "You see some surveys only, so you cannot make one.", kind="forbidden")
        with db.begin(self._engine) as connection:
            if not new:
                who.check_sees(survey.slug)
                summary.find(connection, survey.slug)
            return _save(connection, who, survey, new=new)

    def close(self, who: Who, slug: str) -> Saved:
        """Take no more answers from now on."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            survey = self._hold(connection, slug)
            now = datetime.now(UTC).replace(microsecond=0)
            match survey.state(now):
                case "early":
                    raise Problem(409, "It is not open yet. Change when it opens.", kind="not-open-yet")
                case "closed":
                    return Saved(survey)
            if survey.opens_at is not None:
                now = max(now, survey.opens_at + timedelta(seconds=1))  # an end comes after its beginning
            return _save(connection, who, survey.model_copy(update={"closes_at": now}))

    def reopen(self, who: Who, slug: str) -> Saved:
        """Take answers again, without an end."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            survey = self._hold(connection, slug)
            return _save(connection, who, survey.model_copy(update={"closes_at": None}))

    def draw(self, who: Who, slug: str, version: int, ticket: float | None, review: float | None) -> Saved:
        """Change a survey's lines; None: where the model draws them."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            survey = self._hold(connection, slug)
            lines = {"threshold": ticket, "review_threshold": review, "version": version}
            return _save(connection, who, survey.model_copy(update=lines))

    def rehearse(self, who: Who, slug: str, wanted: LinesWanted) -> Rehearsal:
        """What these lines would have made of the answers."""
        who.check_sees(slug)
        with db.begin(self._engine) as connection:
            db.one_moment(connection)
            return rehearsal.load(connection, summary.find(connection, slug), wanted.ticket, wanted.review)

    def _hold(self, connection: sa.Connection, slug: str) -> Survey:
        summary.find(connection, slug)
        survey = kept.one(connection, slug, hold=True)
        assert survey is not None
        return survey

    def _read(self, connection: sa.Connection, slug: str) -> SurveyShown:
        survey = summary.find(connection, slug)
        row = connection.execute(_LISTED.where(surveys.c.slug == slug)).one()
        return SurveyShown(
            **_listed(row),
            survey=survey,
            address=f"{self._form}/s/{slug}",
            model_lines=rehearsal.model_lines(connection),
            theme=theme.theme(survey.color) if survey.color else None,
        )


def router(found: Surveys) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1")

    async def body(request: Request) -> Any:
        try:
            return await request.json()
        except (ValueError, RecursionError):
            raise Problem(422, "The request's body is not JSON.", kind="invalid") from None

    @routes.get("/surveys")
    def every(request: Request) -> list[SurveyListed]:
        """The surveys that you see."""
        return found.every(asking(request))

    @routes.get("/surveys/{slug}")
    def one(slug: Slug, request: Request) -> SurveyShown:
        """What a survey asks, and how it triages."""
        return found.one(asking(request), slug)

    @routes.put("/surveys/{slug}", openapi_extra={"requestBody": _BODY})
    def save(slug: Slug, request: Request, response: Response, said: Annotated[Any, Depends(body)]) -> SurveyShown:
        """Make a survey, or change one: with the `version` that was changed, and a 409 when somebody has saved a newer
        one meanwhile. Without a `version` it is to be a new one (201). The form shows it within seconds.
        """
        who = asking(request)
        try:
            wanted = definition.read(said)
        except NotASurvey as error:
            raise problem_of(error) from None
        if wanted.slug != slug:
            raise problem_of(NotASurvey([definition.Wrong("slug", "it is not the one in the address")]))
        saved = found.save(who, wanted, new="version" not in said)
        response.status_code = 201 if saved.new else 200
        return found.one(who, slug)

    @routes.post("/surveys/{slug}/close")
    def close(slug: Slug, request: Request) -> SurveyShown:
        """Take no more answers from now on. What was sent before is counted."""
        found.close(asking(request), slug)
        return found.one(asking(request), slug)

    @routes.post("/surveys/{slug}/reopen")
    def reopen(slug: Slug, request: Request) -> SurveyShown:
        """Take answers again, without an end."""
        found.reopen(asking(request), slug)
        return found.one(asking(request), slug)

    @routes.get("/surveys/{slug}/versions")
    def versions(
        slug: Slug,
        request: Request,
        before: Annotated[int | None, Query(ge=1, lt=2**31, description="Older than this one.")] = None,
    ) -> VersionPart:
        """What a survey said before, newest first, with what each version changed."""
        return found.versions(asking(request), slug, before)

    @routes.get("/surveys/{slug}/versions/{number}")
    def version(slug: Slug, number: Number, request: Request) -> VersionShown:
        """What a survey said as this version."""
        return found.version(asking(request), slug, number)

    @routes.get("/surveys/{slug}/rehearsal")
    def rehearse(slug: Slug, wanted: Annotated[LinesWanted, Query()], request: Request) -> Rehearsal:
        """What other lines would have made of the answers of the last 30 days, before anything is saved."""
        return found.rehearse(asking(request), slug, wanted)

    @routes.get("/colors/{color}")
    def shades(color: Color) -> Theme:
        """What becomes of a colour on light and dark grounds, so that it can be read."""
        return theme.theme(f"#{color}")

    return routes


def problem_of(error: Invalid) -> Problem:
    """What stood in the way of saving: 409 for what somebody saved meanwhile, else 422 with each field."""
    if isinstance(error, Conflict):
        return Problem(409, str(error).partition(": ")[2], kind="conflict")
    if isinstance(error, NotASurvey):
        wrongs = [{"field": each.field, "message": each.why} for each in error.wrongs]
        first = error.wrongs[0]
        return Problem(422, f"{first.field or 'survey'}: {first.why}", kind="invalid", errors=wrongs)
    field, _, why = str(error).partition(": ")
    return Problem(422, str(error), kind="invalid", errors=[{"field": field, "message": why}])


def changes(before: Survey | None, after: Survey) -> list[Change]:
    """Field by field, what is different."""
    old, new = (dict(_flat(each.written())) if each else {} for each in (before, after))
    names = [name for name in {**old, **new} if name not in ("slug", "version")]
    return [
        Change(field=name, before=old.get(name), after=new.get(name))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Each value in JSON with its place; lists of plain values as one."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(each, f"{where}.{name}" if where else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, each in enumerate(value):
            yield from _flat(each, f"{where}.{number}")
    elif isinstance(value, list):
        yield where, ", ".join(map(str, value))
    else:
        yield where, {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _save(connection: sa.Connection, who: Who, survey: Survey, *, new: bool = False) -> Saved:
    try:
        return kept.save(connection, who.actor, survey, new=new)
    except Invalid as error:
        raise problem_of(error) from None


def _listed(row: sa.Row[Any]) -> dict[str, Any]:
    survey = Survey.model_validate(row.definition)
    return {
        "slug": survey.slug,
        "question": survey.question,
        "state": survey.state(datetime.now(UTC)),
        "version": survey.version,
        "answers": row.answers,
        "origins": list(survey.origins),
        "saved_at": row.saved_at,
        "saved_by": row.saved_by,
    }


def _shown(row: sa.Row[Any], older: sa.Row[Any] | None) -> VersionShown:
    survey = Survey.model_validate(row.definition)
    before = Survey.model_validate(older.definition) if older is not None else None
    changed = changes(before, survey) if before else []
    return VersionShown(
        version=row.version, saved_at=row.saved_at, saved_by=row.saved_by, changes=changed, survey=survey
    )
