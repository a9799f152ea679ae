"""Migrations make the tables the code describes; ledger and outbox move together."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from heed.db.migrate import migrate
from heed.db.schema import HEAD, check
from heed.db.tables import metadata, surveys


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
