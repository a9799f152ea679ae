"""Reads from the desk which tickets changed: finds every status that a lost webhook would have told, and the tag by
which agents say that a ticket was a false alarm. In the same round the desk is told what customers erased
(ticketing.erased).

Guarantees: the cursor is saved in the transaction that records what it brought, so nothing is skipped and a repeat
changes nothing; one process at a time reads.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed import tracing
from heed.db import ledger, verdicts
from heed.db.engine import begin
from heed.db.tables import cursors, tickets
from heed.errors import HeedError
from heed.lifecycle import Stop
from heed.telemetry import RECONCILED, log, log_ids
from ticketing import news
from ticketing.desk import Desk
from ticketing.erased import tell

_LOCK = 0x4465736B  # "Desk"
# The export does not take a start within the last minute.
_MARGIN = timedelta(minutes=5)


def run(engine: sa.Engine, desk: Desk, stop: Stop, seconds: float) -> None:
    """Every `seconds` until told to stop."""
    while not stop.wait(seconds):
        for what, work in (("reconciliation", reconcile), ("telling of erasures", tell)):
            try:
                while work(engine, desk) and not stop:
                    pass
            except HeedError as error:
                log.warning(f"{what} failed", error=str(error))
            except Exception as error:  # noqa: BLE001 - the next round may go well
                log.error(f"{what} failed", error=type(error).__name__)


def reconcile(engine: sa.Engine, desk: Desk) -> bool:
    """Record one page of changes; whether there are more. False, too, while another process reads."""
    began = tracing.now()
    with begin(engine) as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
            return False
        since = _position(connection, desk)
        changes = desk.changes(since)
        # First, because it locks rows of feedback, which everyone locks before any other.
        alarms = verdicts.false_alarms(connection, changes.false_alarms)
        found = ledger.seen(connection, changes.reports)
        moved = changes.cursor is not None and changes.cursor != since
        if moved:
            _save(connection, desk, changes.cursor)
    RECONCILED.now()
    news.tell(found, began, by="poll")
    log_ids("false alarm", [str(each) for each in alarms])
    return moved and changes.more


def _position(connection: sa.Connection, desk: Desk) -> str | datetime:
    saved = connection.execute(sa.select(cursors.c.position).where(cursors.c.name == _name(desk))).first()
    if saved is not None:
        return str(saved.position)
    first: datetime | None = connection.execute(sa.select(sa.func.min(tickets.c.created_at))).scalar_one()
    return (first or datetime.now(UTC)) - _MARGIN


def _save(connection: sa.Connection, desk: Desk, cursor: str | None) -> None:
    statement = insert(cursors).values(name=_name(desk), position=cursor)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"position": statement.excluded.position, "updated_at": sa.func.now()},
        )
    )


def _name(desk: Desk) -> str:
    return f"desk {desk.name}"
