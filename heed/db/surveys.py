"""Surveys as people define them, with everything that they said before; the worker publishes them to the form.

Guarantees: a definition is changed whole, in one transaction with its version and the audit; nobody overwrites what
they have not seen; an option that stored answers chose stays one of its survey, so that what they said keeps its name
(one that comes later, from a form that was open, is counted by its key); saving what is there already changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import DEFAULT_SURVEY, Survey
from heed.db import audit
from heed.db.audit import Action
from heed.db.notify import changed
from heed.db.tables import rollup, survey_versions, surveys
from heed.errors import Invalid

RESERVED = "new"  # the address of the page that makes one


class Conflict(Invalid):
    """Somebody saved it meanwhile."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The survey as it is now, whether it is a new one, and the fields that were changed by saving."""

    survey: Survey
    new: bool = False
    changed: tuple[str, ...] = ()


def every(connection: sa.Connection) -> list[Survey]:
    """All of them, by slug."""
    definitions = connection.execute(sa.select(surveys.c.definition).order_by(surveys.c.slug)).scalars()
    return [Survey.model_validate(each) for each in definitions]


def one(connection: sa.Connection, slug: str, *, hold: bool = False) -> Survey | None:
    """The survey of this name, if there is one; `hold` it, and nobody else saves it before the transaction ends."""
    found = sa.select(surveys.c.definition).where(surveys.c.slug == slug)
    # Others who save wait; answers, which refer to it and come all the time, do not.
    definition = connection.execute(found.with_for_update(key_share=True) if hold else found).scalar_one_or_none()
    return None if definition is None else Survey.model_validate(definition)


def versions(connection: sa.Connection, slug: str, limit: int, before: int | None = None) -> Sequence[sa.Row[Any]]:
    """Up to `limit` versions of a survey as they are kept, newest first, older than `before`."""
    older = [] if before is None else [survey_versions.c.version < before]
    return connection.execute(
        sa.select(survey_versions)
        .where(survey_versions.c.survey == slug, *older)
        .order_by(survey_versions.c.version.desc())
        .limit(limit)
    ).all()


def version(connection: sa.Connection, slug: str, number: int) -> Survey | None:
    """What a survey said as this version, if that is known."""
    definition = connection.execute(
        sa.select(survey_versions.c.definition).where(
            survey_versions.c.survey == slug, survey_versions.c.version == number
        )
    ).scalar_one_or_none()
    return None if definition is None else Survey.model_validate(definition)


def save(connection: sa.Connection, actor: str, survey: Survey, *, new: bool = False) -> Saved:
    """Keep a definition as the newest version of its survey; of a survey that there was not, as the first.

    `survey.version` is the one that was changed: `Conflict` when there is a newer one, and when there is the survey
    already although it is to be `new`. `Invalid` when it lacks an option that was chosen.
    """
    first = survey.model_copy(update={"version": 1})
    statement = insert(surveys).values(slug=survey.slug, definition=first.written())
    if connection.execute(statement.on_conflict_do_nothing()).rowcount:
        if survey.slug == RESERVED:
            raise Invalid(f"slug: {RESERVED!r} is the address of a page; choose another name.")
        _keep(connection, actor, first)
        return Saved(first, new=True)
    before = one(connection, survey.slug, hold=True)
    assert before is not None
    if new:
        raise Conflict(f"slug: There is a survey {survey.slug!r} already.")
    if survey.version != before.version:
        raise Conflict(
            f"version: {survey.slug} was saved meanwhile and is now version {before.version}; this was made from "
            f"version {survey.version}. Look at what changed, and make your change anew."
        )
    differing = differences(before, survey)
    if not differing:
        return Saved(before)
    chosen = connection.execute(
        sa.select(rollup.c.vote, sa.func.sum(rollup.c.answers))
        .where(rollup.c.survey == survey.slug, rollup.c.grain == "total", rollup.c.vote != "", rollup.c.answers > 0)
        .group_by(rollup.c.vote)
        .order_by(rollup.c.vote)
    )
    for key, answers in chosen:
        if survey.option(key) is None:
            raise Invalid(f"options: {key!r} has to stay, since {answers} answers chose it.")
    after = survey.model_copy(update={"version": before.version + 1})
    connection.execute(sa.update(surveys).where(surveys.c.slug == survey.slug).values(definition=after.written()))
    _keep(connection, actor, after, differing)
    changed(connection, survey.slug)
    return Saved(after, changed=differing)


def differences(before: Survey, after: Survey) -> tuple[str, ...]:
    """The fields in which two versions of a survey differ."""
    return tuple(
        name for name in Survey.model_fields if name != "version" and getattr(before, name) != getattr(after, name)
    )


def make_default(connection: sa.Connection) -> None:
    """The survey that is there from the beginning, where there is none of its name; with its first version."""
    statement = insert(surveys).values(slug=DEFAULT_SURVEY.slug, definition=DEFAULT_SURVEY.written())
    if connection.execute(statement.on_conflict_do_nothing()).rowcount:
        connection.execute(_version(DEFAULT_SURVEY))


def _keep(connection: sa.Connection, actor: str, survey: Survey, differing: Sequence[str] = ()) -> None:
    connection.execute(_version(survey, actor))
    audit.note(connection, actor, Action.SURVEY_SAVED, survey.slug, version=survey.version, changed=list(differing))


def _version(survey: Survey, actor: str | None = None) -> sa.Insert:
    values = {"survey": survey.slug, "version": survey.version, "definition": survey.written(), "saved_by": actor}
    return sa.insert(survey_versions).values(values)
