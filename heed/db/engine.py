"""The one way to reach Postgres: a small pool, and a time limit on everything.

Guarantees: no statement, lock wait or idle transaction can hang a service; a connection that died is replaced
before it is handed out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import connection as PsycopgConnection

from heed.errors import Later
from heed.settings import Settings

# Postgres is away, or asks to try again (deadlock, serialisation, out of connections or space).
RETRYABLE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)

# Notice a peer that vanished without a word: within about a minute when idle, half of one when sending.
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(settings: Settings, service: str, pool_size: int = 5, statement_seconds: float = 15.0) -> sa.Engine:
    """An engine for `service`; connects when first used."""
    url = sa.make_url(settings.need("database_url")).set(drivername="postgresql+psycopg2")
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # they may be a customer's words, and errors are logged
        connect_args={
            "application_name": f"heed-{service}",
            "connect_timeout": 5,
            **_ALIVE,
            "options": f"-c statement_timeout={int(statement_seconds * 1000)} -c lock_timeout=5000"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        },
    )


@contextmanager
def begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction; when Postgres is away or asks to try again, that is `Later`."""
    try:
        with engine.begin() as connection:
            yield connection
    except RETRYABLE as error:
        # Class 54, program limit exceeded, is filed under operational errors but is the fault of the data.
        if str(getattr(getattr(error, "orig", None), "pgcode", None)).startswith("54"):
            raise
        raise Later(f"Postgres: {first_line(error)}") from error


def one_moment(connection: sa.Connection) -> None:
    """All that this transaction reads is of one moment."""
    connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


def check(engine: sa.Engine) -> str | None:
    """Readiness: None when Postgres answers, else a sentence."""
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except RETRYABLE as error:
        return f"Postgres does not answer: {first_line(error)}"
    return None


def listener(settings: Settings, service: str, channel: str) -> PsycopgConnection:
    """A connection of its own that listens to `channel`; raises psycopg2.OperationalError when Postgres is away."""
    connection = psycopg2.connect(
        settings.need("database_url"),
        application_name=f"heed-{service}-listen",
        connect_timeout=5,
        **_ALIVE,
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'LISTEN "{channel}"')
    return connection


def first_line(error: sa.exc.SQLAlchemyError) -> str:
    """What the driver said, without the statement and its values, which may hold a customer's words."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
