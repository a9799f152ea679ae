"""Slowing down who guesses: failed logins are counted by address and by name, for all processes and over restarts.

Guarantees: an attempt counts before its password is looked at, so that neither many at once nor a process that dies get
one for nothing; a name that nobody has is counted like any other.
"""

from datetime import timedelta

import sqlalchemy as sa

from heed.contracts import fingerprint
from heed.db.tables import login_attempts

SECONDS = 300
MOST_OF_ADDRESS = 10
MOST_OF_NAME = 20  # more, since anybody can fail in somebody else's name


def attempt(connection: sa.Connection, address: str, name: str) -> tuple[int, float]:
    """Begin an attempt: its number and 0, or how many seconds to wait instead."""
    hidden = fingerprint(name)
    window = timedelta(seconds=SECONDS)
    connection.execute(sa.delete(login_attempts).where(login_attempts.c.at < sa.func.now() - window))
    wait = 0.0
    for kind, column, value, most in (
        ("a", login_attempts.c.address, address, MOST_OF_ADDRESS),
        ("n", login_attempts.c.name, hidden, MOST_OF_NAME),
    ):
        # One after the other, by address and then by name, so that nobody waits for each other.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{kind}{value}", 0))))
        oldest = (
            sa.select(sa.extract("epoch", login_attempts.c.at + window - sa.func.clock_timestamp()))
            .where(column == value, login_attempts.c.at >= sa.func.now() - window)
            .order_by(login_attempts.c.id.desc())
            .offset(most - 1)
            .limit(1)
        )
        left = connection.execute(oldest).scalar_one_or_none()
        wait = max(wait, 0.0 if left is None else float(left))
    if wait > 0:
        return 0, wait
    values = {"address": address, "name": hidden, "at": sa.func.clock_timestamp()}
    return connection.execute(
        sa.insert(login_attempts).values(**values).returning(login_attempts.c.id)
    ).scalar_one(), 0.0


def succeeded(connection: sa.Connection, number: int) -> None:
    """That attempt was no failure."""
    connection.execute(sa.delete(login_attempts).where(login_attempts.c.id == number))
