"""Which schema this version of the code works with, and whether the database has it. Light enough for every service."""

import sqlalchemy as sa

from heed.db import engine as db
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.telemetry import log

HEAD = "0010"  # the newest migration; revisions are numbers of four digits, so they compare as text


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


def wait(engine: sa.Engine, stop: Stop, heartbeat: Heartbeat) -> None:
    """Until the database has the schema (somebody else migrates it), or a stop is asked for."""
    pauses = Backoff(0.5, 5.0)
    while not stop:
        heartbeat.beat()
        try:
            problem = check(engine)
        except db.RETRYABLE as error:
            problem = f"Postgres does not answer: {db.first_line(error)}"
        if problem is None:
            return
        log.warning("waiting", reason=problem)
        stop.wait(pauses.next())
