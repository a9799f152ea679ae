"""Has erased what was kept as long as HEED_RETENTION_DAYS says, beside the relay.

Guarantees: what customers wrote is gone within a day after its time is over, from answers and from the quarantine, also
what was stored late or came back with a restore; its counts stay; an answer whose ticket is still to be opened waits
for it. While Postgres is away it waits. Several relays side by side do no harm. How it is erased: heed.db.erasures.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from heed.db import engine as db
from heed.db import erasures
from heed.errors import Later
from heed.lifecycle import Stop
from heed.telemetry import log

AT_ONCE = 5_000
PAUSE_SECONDS = 0.1  # between two looks, so that a long walk takes little from the others
AGAIN_SECONDS = 86_400.0
LATER_SECONDS = 30.0


def run(engine: sa.Engine, kept_for: timedelta, stop: Stop) -> None:
    """Until told to stop."""
    while not stop:
        pause = AGAIN_SECONDS
        try:
            walk(engine, datetime.now(UTC) - kept_for, stop)
        except Later as error:
            log.warning("retention-waits", reason=str(error))
            pause = LATER_SECONDS
        except Exception as error:  # noqa: BLE001 - this thread ends with the process, not before
            log.error("retention-failed", reason=type(error).__name__)
            pause = LATER_SECONDS
        stop.wait(pause)


def walk(engine: sa.Engine, before: datetime, stop: Stop) -> int:
    """Wish for all that came before `before` to be erased; how much that was. Raises Later when Postgres is away."""
    with db.begin(engine) as connection:
        total = erasures.outlived_aside(connection, before)
    after: UUID | None = UUID(int=0)
    while after is not None and not stop:
        with db.begin(engine) as connection:
            wished, after = erasures.outlived(connection, before, after, AT_ONCE)
        total += wished
        stop.wait(PAUSE_SECONDS)
    if total:
        log.info("kept-long-enough", wishes=total)
    return total
