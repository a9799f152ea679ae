"""Surveys as people define them; the worker publishes them to the form.

Guarantees: a definition is changed whole, in one transaction; an option that stored answers chose stays one of its
survey, so that what they said keeps its name (one that comes later, from a form that was open, is counted by its key).
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import Survey
from heed.db.notify import changed
from heed.db.tables import rollup, surveys
from heed.errors import Invalid


def every(connection: sa.Connection) -> list[Survey]:
    """All of them, by slug."""
    definitions = connection.execute(sa.select(surveys.c.definition).order_by(surveys.c.slug)).scalars()
    return [Survey.model_validate(each) for each in definitions]


def one(connection: sa.Connection, slug: str) -> Survey | None:
    """The survey of this name, if there is one."""
    definition = connection.execute(sa.select(surveys.c.definition).where(surveys.c.slug == slug)).scalar_one_or_none()
    return None if definition is None else Survey.model_validate(definition)


def save(connection: sa.Connection, survey: Survey) -> bool:
    """Keep a definition in the place of the one before; whether it is a new survey. `Invalid` when it lacks an option
    that was chosen."""
    statement = insert(surveys).values(slug=survey.slug, definition=survey.written())
    if connection.execute(statement.on_conflict_do_nothing()).rowcount:
        return True
    # One after the other; not against answers, which refer to it and come all the time.
    connection.execute(sa.select(surveys.c.slug).where(surveys.c.slug == survey.slug).with_for_update(key_share=True))
    chosen = connection.execute(
        sa.select(rollup.c.vote, sa.func.sum(rollup.c.answers))
        .where(rollup.c.survey == survey.slug, rollup.c.grain == "total", rollup.c.vote != "", rollup.c.answers > 0)
        .group_by(rollup.c.vote)
        .order_by(rollup.c.vote)
    )
    for key, answers in chosen:
        if survey.option(key) is None:
            raise Invalid(f"options: {key!r} has to stay, since {answers} answers chose it.")
    connection.execute(sa.update(surveys).where(surveys.c.slug == survey.slug).values(definition=survey.written()))
    changed(connection, survey.slug)
    return False
