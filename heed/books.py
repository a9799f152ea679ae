"""The books (promise 5): accepted = stored + quarantined + queued, selected = ticketed + in flight + failed.

Guarantees: neither side waits for the other to stand still, and no traffic makes balanced books look wrong. The
queue is read between two readings of Postgres:

- what was accepted is afterwards either still queued or already in Postgres, so
  `accepted - queued - (stored + quarantined, read later)` above zero means that something is *missing*;
- what is in Postgres was accepted before, and an entry stands both there and in the queue only while it is
  delivered and not acknowledged, so `(stored + quarantined, read before) + queued - pending - accepted` above
  zero means that something is counted *double*.

With nothing in motion both are exact.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import BaseModel

from heed.contracts import QuarantineKind, TicketState
from heed.db import engine as db
from heed.db import outbox
from heed.db.quarantine import standing
from heed.db.tables import quarantine, rollup, ticket_counts
from heed.errors import Later
from heed.stream.queue import Queue, Snapshot

_TICKETED = (TicketState.OPENED, TicketState.SOLVED)


class Books(BaseModel):
    """The ledger at `taken_at`. What only Redis knows is None while it is away; so is `balanced` then."""

    accepted: int | None
    stored: int
    quarantined: int
    queued: int | None
    selected: int
    ticketed: int
    in_flight: int
    failed: int
    balanced: bool | None
    imbalance: int
    problems: list[str]
    oldest_queued_seconds: float | None
    taken_at: datetime


class _Posted(BaseModel):
    """Postgres' side, read in one transaction."""

    stored: int
    selected: int
    quarantined: int
    in_flight: int
    tickets: dict[str, int]


def take(engine: sa.Engine, queue: Queue) -> Books:
    """Take the books now; raises `Later` when Postgres is away."""
    before = _posted(engine)
    try:
        snapshot = queue.snapshot()
    except Later as error:
        return _compare(before, before, None, f"The queue cannot be read: {error}")
    return _compare(before, _posted(engine), snapshot, None)


def _posted(engine: sa.Engine) -> _Posted:
    with db.begin(engine) as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        totals = sa.select(
            sa.func.coalesce(sa.func.sum(rollup.c.answers), 0), sa.func.coalesce(sa.func.sum(rollup.c.selected), 0)
        ).where(rollup.c.grain == "total")
        stored, selected = connection.execute(totals).one()
        held = sa.select(sa.func.count()).where(quarantine.c.kind == QuarantineKind.SUBMISSION, standing())
        counts = sa.select(ticket_counts.c.state, sa.func.sum(ticket_counts.c.tickets)).group_by(ticket_counts.c.state)
        return _Posted(
            stored=int(stored),
            selected=int(selected),
            quarantined=connection.execute(held).scalar_one(),
            in_flight=outbox.depth(connection),
            tickets={state: int(count) for state, count in connection.execute(counts).all()},
        )


def _compare(before: _Posted, after: _Posted, snapshot: Snapshot | None, problem: str | None) -> Books:
    problems = [problem] if problem else []
    imbalance = 0
    if snapshot is not None:
        missing = snapshot.added - snapshot.length - (after.stored + after.quarantined)
        double = before.stored + before.quarantined + snapshot.length - snapshot.pending - snapshot.added
        if missing > 0:
            problems.append(f"{missing} accepted submission(s) are neither queued nor stored nor quarantined.")
        if double > 0:
            problems.append(f"{double} submission(s) are in the books that the queue never held.")
        imbalance += max(missing, double, 0)
    ticketed = sum(after.tickets.get(state, 0) for state in _TICKETED)
    failed = after.tickets.get(TicketState.FAILED, 0)
    astray = after.selected - ticketed - failed - after.in_flight
    if astray:
        problems.append(f"Selected submissions and their tickets differ by {astray}.")
        imbalance += abs(astray)
    return Books(
        accepted=snapshot.added if snapshot else None,
        stored=after.stored,
        quarantined=after.quarantined,
        queued=snapshot.length if snapshot else None,
        selected=after.selected,
        ticketed=ticketed,
        in_flight=after.in_flight,
        failed=failed,
        balanced=None if snapshot is None else imbalance == 0,
        imbalance=imbalance,
        problems=problems,
        oldest_queued_seconds=round(snapshot.oldest_age, 3) if snapshot else None,
        taken_at=datetime.now(UTC),
    )
