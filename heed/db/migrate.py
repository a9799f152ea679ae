"""Bring the schema to this version's head; `heed migrate` and the one-machine system call it.

Guarantees: two migrations at once wait for each other (advisory lock); each runs in one transaction; the default
survey exists afterwards; services that work on wait for no longer than LOCK_SECONDS while a migration waits for others,
a backup for example.
"""

import time
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext

from heed.db import surveys
from heed.db.schema import HEAD
from heed.errors import HeedError
from heed.telemetry import log

LOCK_SECONDS = 2.0
_LOCK = 0x48656564  # "Heed"
_LOCKED = "55P03"  # Postgres' code for a lock that was not to be had in time


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def migrate(engine: sa.Engine) -> str:
    """Upgrade to the head, unless a newer version of Heed has been there already, and create the default survey; the
    revision reached. Raises HeedError when the database cannot hold every customer's words.
    """
    while True:
        try:
            revision = _step(engine)
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "pgcode", None) != _LOCKED:
                raise
            log.warning("waiting", reason="somebody reads or writes what is to be migrated")
            time.sleep(LOCK_SECONDS)
            continue
        if revision >= HEAD:
            return revision


def _step(engine: sa.Engine) -> str:
    """One migration, if there is one left to do; the revision reached."""
    with engine.begin() as connection:
        # Everybody who comes after one who waits for a table waits, too.
        connection.execute(
            sa.text(f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        )
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise HeedError(f"The database's encoding is {encoding}; Heed needs one made with ENCODING 'UTF8'.")
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None or revision < HEAD:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "+1")
            revision = MigrationContext.configure(connection).get_current_revision() or ""
        if revision >= HEAD:
            surveys.make_default(connection)
    return revision
