"""The ticket ledger: what is known of each selected submission's one ticket. See heed.contracts.ledger.

Guarantees: one consumer at a time holds a submission's lease; every move of a state changes the counts in the same
transaction, and a move to a terminal state closes the outbox row with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import TERMINAL, NegativeFeedback, TicketState
from heed.db import outbox
from heed.db.notify import changed
from heed.db.tables import feedback, ticket_counts, tickets

_WORKABLE = (TicketState.ATTEMPTING, TicketState.CREATED)
_SOLVED = ("solved", "closed")


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease is ours. `attempts` counts this one; `desk_id` is set when the ticket is known to exist."""

    state: TicketState
    attempts: int
    first_attempt_at: datetime
    desk_id: int | None


@dataclass(frozen=True, slots=True)
class Busy:
    """Another consumer holds the lease for so many more seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do: the state is terminal."""

    state: TicketState


def take(connection: sa.Connection, feedback_id: UUID, survey: str, lease_seconds: float) -> Taken | Busy | Done:
    """Begin (or carry on) the ticket of this submission; commit before calling the desk."""
    lease = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)
    taken = connection.execute(
        insert(tickets)
        .values(
            feedback_id=feedback_id,
            state=TicketState.ATTEMPTING,
            attempts=1,
            first_attempt_at=sa.func.now(),
            leased_until=lease,
        )
        .on_conflict_do_update(
            index_elements=["feedback_id"],
            set_={"attempts": tickets.c.attempts + 1, "leased_until": lease, "updated_at": sa.func.now()},
            where=tickets.c.state.in_(_WORKABLE)
            & (tickets.c.leased_until.is_(None) | (tickets.c.leased_until < sa.func.now())),
        )
        .returning(
            tickets.c.state,
            tickets.c.attempts,
            tickets.c.first_attempt_at,
            tickets.c.desk_id,
            sa.literal_column("xmax = 0").label("inserted"),
        )
    ).first()
    if taken is not None:
        if taken.inserted:
            _count(connection, survey, None, TicketState.ATTEMPTING)
        return Taken(TicketState(taken.state), taken.attempts, taken.first_attempt_at, taken.desk_id)
    left = sa.func.extract("epoch", tickets.c.leased_until - sa.func.now())
    row = connection.execute(sa.select(tickets.c.state, left).where(tickets.c.feedback_id == feedback_id)).one()
    if row.state in TERMINAL:
        outbox.close(connection, feedback_id)
        return Done(TicketState(row.state))
    return Busy(max(float(row[1] or 0), 0.1))


def release(connection: sa.Connection, feedback_id: UUID, error: str) -> None:
    """It did not work this time; whoever gets the event next may try."""
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id == feedback_id, tickets.c.state.in_(_WORKABLE))
        .values(leased_until=None, last_error=error[:2000], updated_at=sa.func.now())
    )


def created(connection: sa.Connection, feedback_id: UUID, survey: str, desk_id: int) -> None:
    """The desk has the ticket `desk_id`; its internal note is still to come. Keeps the lease."""
    _move(connection, feedback_id, survey, TicketState.CREATED, {"desk_id": desk_id})


def opened(connection: sa.Connection, feedback_id: UUID, survey: str) -> None:
    """The ticket is complete."""
    status = connection.execute(
        sa.select(tickets.c.desk_status).where(tickets.c.feedback_id == feedback_id)
    ).scalar_one()
    state = TicketState.SOLVED if status in _SOLVED else TicketState.OPENED
    values: dict[str, object] = {"leased_until": None, "last_error": None, "desk_status": status or "new"}
    if state is TicketState.SOLVED:
        values["solved_at"] = sa.func.now()
    _move(connection, feedback_id, survey, state, values)


def failed(connection: sa.Connection, feedback_id: UUID, survey: str, error: str) -> None:
    """The desk refused it for good."""
    _move(
        connection,
        feedback_id,
        survey,
        TicketState.FAILED,
        {"leased_until": None, "last_error": error[:2000]},
    )


def seen(connection: sa.Connection, feedback_id: UUID, desk_id: int, status: str) -> bool:
    """The desk says that ticket `desk_id` has this status now; True when that was news about a ticket of ours."""
    row = connection.execute(
        sa.select(tickets.c.state, tickets.c.desk_id, tickets.c.desk_status, feedback.c.survey)
        .join(feedback, feedback.c.id == tickets.c.feedback_id)
        .where(tickets.c.feedback_id == feedback_id)
        .with_for_update(of=tickets)
    ).first()
    if row is None or row.desk_id not in (None, desk_id) or row.desk_status == status:
        return False
    values: dict[str, object] = {"desk_status": status}
    state = TicketState(row.state)
    if state in (TicketState.OPENED, TicketState.SOLVED):
        state = TicketState.SOLVED if status in _SOLVED else TicketState.OPENED
        values["solved_at"] = sa.func.coalesce(tickets.c.solved_at, sa.func.now()) if status in _SOLVED else None
    _move(connection, feedback_id, row.survey, state, values)
    return True


def replay_failed(connection: sa.Connection, ids: Sequence[UUID] | None = None) -> int:
    """Send failed tickets (all, or these) on their way again; how many."""
    query = (
        sa.select(feedback)
        .join(tickets, tickets.c.feedback_id == feedback.c.id)
        .where(tickets.c.state == TicketState.FAILED)
        .with_for_update(of=tickets)
    )
    rows = connection.execute(query if ids is None else query.where(feedback.c.id.in_(ids))).all()
    for row in rows:
        _move(connection, row.id, row.survey, TicketState.ATTEMPTING, {"leased_until": None})
    outbox.add(connection, [NegativeFeedback.model_validate(row._asdict()) for row in rows])
    return len(rows)


def _move(
    connection: sa.Connection, feedback_id: UUID, survey: str, state: TicketState, values: dict[str, object]
) -> None:
    # The row is locked first, so that the state it leaves is the one that is counted down.
    before = connection.execute(
        sa.select(tickets.c.state).where(tickets.c.feedback_id == feedback_id).with_for_update()
    ).scalar_one()
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id == feedback_id)
        .values(state=state, updated_at=sa.func.now(), **values)
    )
    if before != state:
        _count(connection, survey, TicketState(before), state)
    if state in TERMINAL:
        outbox.close(connection, feedback_id)
    changed(connection, survey)


def _count(connection: sa.Connection, survey: str, before: TicketState | None, after: TicketState) -> None:
    steps = {after: 1} if before is None else {before: -1, after: 1}
    for state, step in sorted(steps.items()):  # in one order, so that two transactions cannot deadlock
        statement = insert(ticket_counts).values(survey=survey, state=state, tickets=step)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["survey", "state"],
                set_={"tickets": ticket_counts.c.tickets + statement.excluded.tickets},
            )
        )
