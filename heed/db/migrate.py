"""Bring the schema to this version's head; `heed migrate` and the one-machine system call it.

Guarantees: two migrations at once wait for each other (advisory lock); each runs in one transaction; the default
survey exists afterwards.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import DEFAULT_SURVEY
from heed.db.tables import surveys

_LOCK = 0x48656564  # "Heed"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def head() -> str:
    """The newest revision this version of the code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def migrate(engine: sa.Engine) -> str:
    """Upgrade to the head and create the default survey; the revision reached."""
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(
            insert(surveys)
            .values(slug=DEFAULT_SURVEY.slug, definition=DEFAULT_SURVEY.model_dump(mode="json"))
            .on_conflict_do_nothing()
        )
    return head()


def check(engine: sa.Engine) -> str | None:
    """Readiness: None when the schema is one that this version can work with, else a sentence.

    A newer schema is fine: migrations stay usable for the version before them.
    """
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return "the database is empty; run: heed migrate"
    known = [revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()]
    if current in known[1:]:
        return f"the schema is at {current}, this version needs {known[0]}; run: heed migrate"
    return None
