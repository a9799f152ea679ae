"""Erases what customers want erased (heed.db.erasures), all the time, beside the relay.

Guarantees: a wish is carried out within a second after it is asked for, or after its submission is stored; what was
being written while a wish was carried out is found within seconds; while Postgres is away it waits; several relays side
by side share the work; the log tells ids alone.
"""

import time

import sqlalchemy as sa

from heed.db import engine as db
from heed.db import erasures
from heed.errors import Later
from heed.lifecycle import Stop
from heed.telemetry import log, log_ids

AT_ONCE = 500
IDLE_SECONDS = 0.5
LOOK_SECONDS = 5.0
# How far back is looked: longer than any transaction lives, and the first time for as long as nobody may have looked.
BACK_SECONDS, FIRST_BACK_SECONDS = 300.0, 86400.0


def run(engine: sa.Engine, stop: Stop) -> None:
    """Until told to stop."""
    look_at, back = 0.0, FIRST_BACK_SECONDS
    while not stop:
        done = 0
        try:
            with db.begin(engine) as connection:
                erased = erasures.carry_out(connection, AT_ONCE)
            log_ids("erased", [str(each) for each in erased])
            done = len(erased)
            if time.monotonic() >= look_at:
                with db.begin(engine) as connection:
                    left = erasures.look_again(connection, back)
                log_ids("to be erased again", [str(each) for each in left])
                look_at, back = time.monotonic() + LOOK_SECONDS, BACK_SECONDS
        except Later as error:
            log.warning("not-erased", reason=str(error))
        except Exception as error:  # noqa: BLE001 - this thread ends with the process, not before
            log.error("not-erased", reason=type(error).__name__)
        if done < AT_ONCE:
            stop.wait(IDLE_SECONDS)
