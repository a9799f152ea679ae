"""Which schema this version of the code works with, and whether the database has it. Light enough for every service."""

import sqlalchemy as sa

HEAD = "0001"  # the newest migration; revisions are numbers of four digits, so they compare as text


def check(engine: sa.Engine) -> str | None:
    """Readiness: None when the schema is new enough, else a sentence.

    A newer one is fine: migrations stay usable for the version before them.
    """
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return "the database is empty; run: heed migrate"
        current = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if current is None or current < HEAD:
        return f"the schema is at {current}, this version needs {HEAD}; run: heed migrate"
    return None
