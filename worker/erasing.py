"""Erases what customers want erased (heed.db.erasures), all the time, beside the relay.

Guarantees: a wish is carried out within a second after it is asked for, or after its submission is stored; while
Postgres is away it waits; several relays side by side share the work; the log tells ids alone.
"""

import sqlalchemy as sa

from heed.db import engine as db
from heed.db import erasures
from heed.errors import Later
from heed.lifecycle import Stop
from heed.telemetry import log, log_ids

AT_ONCE = 500
IDLE_SECONDS = 0.5


def run(engine: sa.Engine, stop: Stop) -> None:
    """Until told to stop."""
    while not stop:
        done = 0
        try:
            with db.begin(engine) as connection:
                erased = erasures.carry_out(connection, AT_ONCE)
            log_ids("erased", [str(each) for each in erased])
            done = len(erased)
        except Later as error:
            log.warning("not-erased", reason=str(error))
        except Exception as error:  # noqa: BLE001 - this thread ends with the process, not before
            log.error("not-erased", reason=type(error).__name__)
        if done < AT_ONCE:
            stop.wait(IDLE_SECONDS)
