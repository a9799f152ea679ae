"""The books (promise 5): accepted = stored + quarantined + queued + lost, selected = ticketed + in flight + failed.

Guarantees: neither side waits for the other to stand still, and no traffic makes balanced books look wrong. The
queue is read between two readings of Postgres:

- what was accepted is afterwards either still queued or already in Postgres, so
  `accepted - queued - (stored + quarantined, read later)` above zero means that something is *missing*;
- what is in Postgres was accepted before, and an entry stands both there and in the queue only while it is
  delivered and not acknowledged, so `(stored + quarantined, read before) + queued - pending - accepted` above
  zero means that something is counted *double*.

With nothing in motion both are exact.

A recovery may leave a difference for good: what a restored Postgres does not hold any more is missing, what a new Redis
never counted looks double. A person settles it: `lost` is written off, `earlier` counts as accepted by a queue that is
gone. Settling takes only what is certain at that moment, so doing it again, or under traffic, never takes too much.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from heed.contracts import TERMINAL, QuarantineKind, TicketState
from heed.db import engine as db
from heed.db import outbox
from heed.db.quarantine import standing
from heed.db.tables import quarantine, rollup, settlements, ticket_counts
from heed.errors import Later
from heed.stream.queue import Queue, Snapshot

_LOCK = 0x426F6F6B  # "Book"
_TICKETED = (TicketState.OPENED, TicketState.SOLVED)
SETTLEMENTS_SHOWN = 20
MOST_ASTRAY, MOST_LOOKED_AT = 50, 100_000


class Settlement(BaseModel):
    """A difference that a person settled."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    reason: str
    lost: int
    earlier: int


class Books(BaseModel):
    """The ledger at `taken_at`. What only Redis knows is None while it is away; so is `balanced` then.

    `accepted` includes what earlier queues accepted; `settlements` are the newest, newest first.
    """

    accepted: int | None
    stored: int
    quarantined: int
    queued: int | None
    lost: int
    selected: int
    ticketed: int
    in_flight: int
    failed: int
    balanced: bool | None
    imbalance: int
    problems: list[str]
    settlements: list[Settlement]
    oldest_queued_seconds: float | None
    taken_at: datetime

    @property
    def tickets_off(self) -> int:
        """By how many the selected submissions and their tickets differ."""
        return self.selected - self.ticketed - self.failed - self.in_flight


class Why(StrEnum):
    """By what a submission unbalances the tickets' side."""

    UNTICKETED = "unticketed"  # selected, and neither on its way nor in the ledger
    STUCK = "stuck"  # its ticket was begun, and nothing is on its way that would carry it on
    ENDED = "ended"  # its ticket is terminal, and it still stands as on its way
    UNSELECTED = "unselected"  # it is in the ledger and was never selected


class Astray(BaseModel):
    """A submission by which the selected ones and their tickets differ."""

    id: UUID
    survey: str
    why: Why


@dataclass(frozen=True, slots=True)
class Difference:
    """What can be settled: accepted submissions that are gone, and submissions that a queue which is gone accepted."""

    lost: int
    earlier: int


class _Posted(BaseModel):
    """Postgres' side, read in one transaction."""

    stored: int
    selected: int
    quarantined: int
    in_flight: int
    tickets: dict[str, int]
    lost: int
    earlier: int
    settlements: list[Settlement]

    @property
    def accounted(self) -> int:
        """Submissions of the present queue that are in Postgres, or written off."""
        return self.stored + self.quarantined + self.lost - self.earlier


def in_words(settled: Difference | Settlement) -> str:
    """What was, or can be, settled."""
    parts = [f"{settled.lost} accepted and lost"] if settled.lost else []
    parts += [f"{settled.earlier} accepted by an earlier queue"] if settled.earlier else []
    return ", ".join(parts) or "nothing"


def take(engine: sa.Engine, queue: Queue) -> Books:
    """Take the books now; raises `Later` when Postgres is away."""
    before = _posted(engine)
    try:
        snapshot = queue.snapshot()
    except Later as error:
        return _compare(before, before, None, f"The queue cannot be read: {error}")
    return _compare(before, _posted(engine), snapshot, None)


def difference(engine: sa.Engine, queue: Queue) -> Difference:
    """What is certainly missing or double now; raises `Later` when Postgres or Redis is away."""
    before, snapshot, after = _posted(engine), queue.snapshot(), _posted(engine)
    return Difference(
        lost=max(_missing(snapshot, after), 0),
        # A Redis that was put back to an older state may hold again what is stored: only what is more than it ever
        # accepted is certain. The rest shows when the queue is empty.
        earlier=max(before.accounted - snapshot.added, 0),
    )


# The newest MOST_LOOKED_AT of each, so that it never costs more than that, however many there are.
_ASTRAY = sa.text("""
    WITH chosen AS MATERIALIZED (
        SELECT id, survey FROM feedback WHERE selected ORDER BY id DESC LIMIT :looked_at
    ), begun AS MATERIALIZED (
        SELECT feedback_id, state FROM tickets ORDER BY feedback_id DESC LIMIT :looked_at
    ), waiting AS MATERIALIZED (
        SELECT feedback_id FROM outbox ORDER BY feedback_id DESC LIMIT :looked_at
    )
    SELECT id, survey, 'unticketed' AS why FROM chosen
     WHERE NOT EXISTS (SELECT FROM tickets WHERE feedback_id = chosen.id)
       AND NOT EXISTS (SELECT FROM outbox WHERE feedback_id = chosen.id)
    UNION ALL
    SELECT id, survey, CASE WHEN selected THEN 'stuck' ELSE 'unselected' END FROM begun
      JOIN feedback ON feedback.id = begun.feedback_id
     WHERE NOT selected
        OR (begun.state NOT IN :terminal AND NOT EXISTS (SELECT FROM outbox WHERE feedback_id = begun.feedback_id))
    UNION ALL
    SELECT id, survey, 'ended' FROM waiting
      JOIN tickets ON tickets.feedback_id = waiting.feedback_id JOIN feedback ON feedback.id = waiting.feedback_id
     WHERE tickets.state IN :terminal
    ORDER BY id DESC LIMIT :most
""").bindparams(sa.bindparam("terminal", expanding=True))


def astray(engine: sa.Engine) -> list[Astray]:
    """By which submissions the tickets' side differs, newest first, at most MOST_ASTRAY; none while it balances, or
    when counts alone are wrong. Raises `Later` as above.
    """
    given = {"looked_at": MOST_LOOKED_AT, "most": MOST_ASTRAY, "terminal": [str(each) for each in TERMINAL]}
    with db.begin(engine) as connection:
        return [Astray(**row) for row in connection.execute(_ASTRAY, given).mappings()]


def settle(engine: sa.Engine, queue: Queue, reason: str, agreed: Difference) -> Difference:
    """Settle the difference, as far as it was agreed to and is there now; what was settled. Raises `Later` as above."""
    with db.begin(engine) as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))  # two at once would each take all of it
        now = difference(engine, queue)
        settled = Difference(min(now.lost, agreed.lost), min(now.earlier, agreed.earlier))
        if settled.lost or settled.earlier:
            row = {"reason": reason, "lost": settled.lost, "earlier": settled.earlier}
            connection.execute(sa.insert(settlements).values(row))
    return settled


def _missing(snapshot: Snapshot, after: _Posted) -> int:
    return snapshot.added - snapshot.length - after.accounted


def _posted(engine: sa.Engine) -> _Posted:
    with db.begin(engine) as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        totals = sa.select(
            sa.func.coalesce(sa.func.sum(rollup.c.answers), 0), sa.func.coalesce(sa.func.sum(rollup.c.selected), 0)
        ).where(rollup.c.grain == "total")
        stored, selected = connection.execute(totals).one()
        held = sa.select(sa.func.count()).where(quarantine.c.kind == QuarantineKind.SUBMISSION, standing())
        counts = sa.select(ticket_counts.c.state, sa.func.sum(ticket_counts.c.tickets)).group_by(ticket_counts.c.state)
        settled = sa.select(
            sa.func.coalesce(sa.func.sum(settlements.c.lost), 0),
            sa.func.coalesce(sa.func.sum(settlements.c.earlier), 0),
        )
        lost, earlier = connection.execute(settled).one()
        newest = sa.select(settlements).order_by(settlements.c.id.desc()).limit(SETTLEMENTS_SHOWN)
        return _Posted(
            stored=int(stored),
            selected=int(selected),
            quarantined=connection.execute(held).scalar_one(),
            in_flight=outbox.depth(connection),
            tickets={state: int(count) for state, count in connection.execute(counts).all()},
            lost=int(lost),
            earlier=int(earlier),
            settlements=[Settlement.model_validate(row) for row in connection.execute(newest)],
        )


def _compare(before: _Posted, after: _Posted, snapshot: Snapshot | None, problem: str | None) -> Books:
    problems = [problem] if problem else []
    imbalance = 0
    if snapshot is not None:
        missing = _missing(snapshot, after)
        double = before.accounted + snapshot.length - snapshot.pending - snapshot.added
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
        accepted=snapshot.added + after.earlier if snapshot else None,
        stored=after.stored,
        quarantined=after.quarantined,
        queued=snapshot.length if snapshot else None,
        lost=after.lost,
        selected=after.selected,
        ticketed=ticketed,
        in_flight=after.in_flight,
        failed=failed,
        balanced=None if snapshot is None else imbalance == 0,
        imbalance=imbalance,
        problems=problems,
        settlements=after.settlements,
        oldest_queued_seconds=round(snapshot.oldest_age, 3) if snapshot else None,
        taken_at=datetime.now(UTC),
    )
