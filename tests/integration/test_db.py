"""Migrations make the tables the code describes; ledger and outbox move together."""

import secrets
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from heed.db import engine as db
from heed.db.migrate import migrate
from heed.db.schema import HEAD, check, wait
from heed.db.tables import metadata, surveys
from heed.errors import HeedError
from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings


def test_migrations_equal_tables_and_run_twice(engine: sa.Engine) -> None:
    assert migrate(engine) == HEAD
    assert check(engine) is None
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(sa.select(surveys.c.slug)).scalars().all() == ["default"]


def test_a_newer_schema_is_left_alone(engine: sa.Engine) -> None:
    """An older version that is put back migrates nothing and works."""
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert migrate(engine) == "9999"
    assert check(engine) is None


def test_who_waits_for_a_backup_keeps_nobody_else_waiting(engine: sa.Engine) -> None:
    """A dump holds the tables for as long as it takes, and who comes after a migration that waits for it waits, too."""
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(db.__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    one_row = sa.text("SELECT 1 FROM feedback LIMIT 1")
    waiter = threading.Thread(target=migrate, args=(engine,))
    with engine.begin() as dump:
        dump.execute(one_row)
        waiter.start()
        for _ in range(5):
            time.sleep(0.3)
            with engine.begin() as reader:
                reader.execute(one_row)  # Postgres waits no longer than 5 s here
        assert waiter.is_alive()
    waiter.join(20)
    assert not waiter.is_alive()
    assert check(engine) is None


def test_a_database_that_cannot_hold_every_word_is_refused(postgres_url: str) -> None:
    name = f"t{secrets.token_hex(6)}"
    server = db.connect(Settings(database_url=postgres_url.replace("/heed?", "/postgres?")), "tests")
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"))
    engine = db.connect(Settings(database_url=postgres_url.replace("/heed?", f"/{name}?")), "tests")
    try:
        with pytest.raises(HeedError, match="SQL_ASCII"):
            migrate(engine)
    finally:
        engine.dispose()
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def test_a_service_waits_until_somebody_has_migrated(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    waiter = threading.Thread(target=wait, args=(engine, Stop(), Heartbeat(60)))
    waiter.start()
    waiter.join(0.7)
    assert waiter.is_alive()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
    waiter.join(10)
    assert not waiter.is_alive()
