"""The outbox: events written with the rows they speak of, kept until the ledger shows their effect.

Guarantees: an event exists exactly when its submission is selected and its ticket is not terminal; what was
claimed and not reported comes due again by itself.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import Label, NegativeFeedback, Priority, Reason, received_at
from heed.db.tables import outbox

LEASE_SECONDS = 30
MOST_SECONDS = 3600

# (id, event, how often it was published)
Claim = tuple[UUID, dict[str, Any], int]

_ADD = sa.text("""
    INSERT INTO outbox (feedback_id, event)
    SELECT CAST(event ->> 'id' AS uuid), event FROM json_array_elements(CAST(:rows AS json)) AS event
    ON CONFLICT DO NOTHING
""")


def event_of(row: Any, reasons: Sequence[str], priority: Priority) -> NegativeFeedback:
    """The event of a stored submission. One that a manager alone selected keeps no reason (see `reasons_of`), and an
    event names one: it tells of the words, and the row of the rest."""
    return NegativeFeedback(
        id=row.id,
        survey=row.survey,
        received_at=received_at(row.id),
        vote=row.vote,
        rating=row.rating,
        label=Label(row.label),
        compound=row.compound,
        p_negative=row.p_negative,
        reasons=tuple(Reason(reason) for reason in reasons) or (Reason.TEXT,),
        priority=priority,
        scorer=row.scorer,
        policy=row.policy,
    )


def add(connection: sa.Connection, events: Sequence[NegativeFeedback]) -> None:
    """Put events into the outbox on the caller's transaction; one that is there already stays as it is."""
    if events:
        rows = ",".join(event.model_dump_json() for event in events)
        connection.execute(_ADD, {"rows": f"[{rows}]"})


def claim(connection: sa.Connection, limit: int) -> list[Claim]:
    """Take due events for LEASE_SECONDS. Several relays share the work."""
    # Later than any pause: the clock was put back since.
    too_late = outbox.c.due_at > sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, 2 * MOST_SECONDS)
    connection.execute(sa.update(outbox).where(too_late).values(due_at=sa.func.now()))
    due = (
        sa.select(outbox.c.feedback_id)
        .where(outbox.c.due_at <= sa.func.now())
        .order_by(outbox.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = connection.execute(
        sa.update(outbox)
        .where(outbox.c.feedback_id.in_(due.scalar_subquery()))
        .values(due_at=sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, LEASE_SECONDS))
        .returning(outbox.c.feedback_id, outbox.c.event, outbox.c.published)
    )
    return [(row.feedback_id, row.event, row.published) for row in claimed]


def published(connection: sa.Connection, ids: Sequence[UUID], again_after: float) -> None:
    """They are on the bus; publish again after `again_after` seconds, doubled each time, unless closed before."""
    if ids:
        pause = sa.func.least(again_after * sa.func.power(2, sa.func.least(outbox.c.published, 20)), MOST_SECONDS)
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.feedback_id.in_(ids))
            .values(
                published=outbox.c.published + 1,
                failed=0,
                last_error=None,
                due_at=sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, pause),
            )
        )


def not_published(connection: sa.Connection, ids: Sequence[UUID], error: str) -> None:
    """The bus did not take them; try again after 1 s, doubled each time up to a minute."""
    if ids:
        pause = sa.func.least(sa.func.power(2, sa.func.least(outbox.c.failed, 10)), 60)
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.feedback_id.in_(ids))
            .values(
                failed=outbox.c.failed + 1,
                last_error=error,
                due_at=sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, pause),
            )
        )


def close(connection: sa.Connection, feedback_id: UUID) -> None:
    """Its ticket is terminal: nothing is in flight any more."""
    connection.execute(sa.delete(outbox).where(outbox.c.feedback_id == feedback_id))


def oldest_age(connection: sa.Connection) -> float:
    """Seconds that the oldest of them has been here; 0 when there is none."""
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - sa.func.min(outbox.c.created_at))
    return max(float(connection.execute(sa.select(age)).scalar_one() or 0), 0.0)


def depth(connection: sa.Connection) -> int:
    """How many selected submissions have no terminal ticket yet."""
    return connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one()
