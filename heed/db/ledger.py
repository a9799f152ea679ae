"""The ticket ledger: what is known of each selected submission's one ticket. See heed.contracts.ledger.

Guarantees: one consumer at a time holds a submission's lease, and one that lost it can record nothing any more;
every move of a state changes the counts in the same transaction, and a move to a terminal state closes the outbox
row with it; rows of tickets are locked before rows of counts and both in one order, a customer's wish last, so nothing
here deadlocks.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import TERMINAL, Priority, TicketState
from heed.db import erasures, outbox
from heed.db.notify import changed
from heed.db.tables import feedback, ticket_counts, tickets

_WORKABLE = (TicketState.ATTEMPTING, TicketState.CREATED)
_SOLVED = ("solved", "closed")
_IN_HAND = ("open", "pending", "hold")  # an agent has taken it up


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease is ours. `attempt` counts from 1 and is the lease's fencing number; `desk_id` is set when the ticket
    is known to exist.
    """

    feedback_id: UUID
    survey: str
    state: TicketState
    attempt: int
    desk_id: int | None
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Busy:
    """Another consumer holds the lease for so many more seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do: the state is terminal."""

    state: TicketState


@dataclass(frozen=True, slots=True)
class Pretended:
    """The ticket of a made-up answer: when it would have been opened, and solved, if that is so long ago."""

    feedback_id: UUID
    survey: str
    opened_at: datetime
    solved_at: datetime | None = None


# A status that the desk reported for a ticket: (submission, ticket number, status).
Report = tuple[UUID, int, str]
# A status that is new to us: (submission, status).
News = tuple[UUID, str]


def take(connection: sa.Connection, feedback_id: UUID, survey: str, lease_seconds: float) -> Taken | Busy | Done:
    """Begin (or carry on) the ticket of this submission; commit before calling the desk."""
    lease = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)
    # Further away than any lease that was given: the clock was put back since.
    longest = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, 2 * lease_seconds)
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
            & (tickets.c.leased_until.is_(None) | ~tickets.c.leased_until.between(sa.func.now(), longest)),
        )
        .returning(
            tickets.c.state,
            tickets.c.attempts,
            tickets.c.desk_id,
            sa.literal_column("xmax = 0").label("inserted"),
        )
    ).first()
    if taken is not None:
        if taken.inserted:
            _count(connection, {(survey, TicketState.ATTEMPTING): 1})
            changed(connection, survey)
        state = TicketState(taken.state)
        return Taken(feedback_id, survey, state, taken.attempts, taken.desk_id, lease_seconds)
    left = sa.func.extract("epoch", tickets.c.leased_until - sa.func.now())
    row = connection.execute(sa.select(tickets.c.state, left).where(tickets.c.feedback_id == feedback_id)).one()
    if row.state in TERMINAL:
        outbox.close(connection, feedback_id)
        return Done(TicketState(row.state))
    return Busy(max(float(row[1] or 0), 0.1))


def release(connection: sa.Connection, held: Taken, error: str) -> None:
    """It did not work this time; whoever gets the event next may try."""
    connection.execute(
        sa.update(tickets)
        .where(_is_held(held))
        .values(leased_until=None, last_error=error[:2000], updated_at=sa.func.now())
    )


def created(connection: sa.Connection, held: Taken, desk_id: int) -> bool:
    """The desk has ticket `desk_id`; its internal note is still to come. Renews the lease; False when it is lost."""
    lease = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, held.lease_seconds)
    made = {"opened_at": sa.func.coalesce(tickets.c.opened_at, sa.func.now())}
    return _leave(connection, held, {"state": TicketState.CREATED, "desk_id": desk_id, "leased_until": lease, **made})


def opened(connection: sa.Connection, held: Taken) -> bool:
    """The ticket is complete (and solved, if the desk said so meanwhile); False when the lease is lost."""
    solved = tickets.c.desk_status.in_(_SOLVED)
    return _leave(
        connection,
        held,
        {
            "state": sa.case((solved, TicketState.SOLVED), else_=TicketState.OPENED),
            "solved_at": sa.case((solved, sa.func.now())),
            "desk_status": sa.func.coalesce(tickets.c.desk_status, "new"),
            "leased_until": None,
            "last_error": None,
        },
    )


def failed(connection: sa.Connection, held: Taken, error: str) -> bool:
    """The desk refused it for good, and may have repeated in `error` what the customer wrote; False when the lease is
    lost."""
    if not _leave(connection, held, {"state": TicketState.FAILED, "leased_until": None, "last_error": error[:2000]}):
        return False
    erasures.again(connection, [held.feedback_id])
    return True


def seen(connection: sa.Connection, reports: Iterable[Report]) -> list[News]:
    """The desk says that these tickets have these statuses now; those that were news about tickets of ours.

    A ticket whose number is not known yet (the answer to its creation is lost) keeps the status for later.
    """
    latest: dict[UUID, dict[int, str]] = {}
    for feedback_id, desk_id, reported in reports:
        latest.setdefault(feedback_id, {})[desk_id] = reported
    if not latest:
        return []
    rows = connection.execute(
        sa.select(tickets.c.feedback_id, tickets.c.state, tickets.c.desk_id, tickets.c.desk_status, feedback.c.survey)
        .join(feedback, feedback.c.id == tickets.c.feedback_id)
        .where(tickets.c.feedback_id.in_(latest))
        .order_by(tickets.c.feedback_id)
        .with_for_update(of=tickets)
    ).all()
    news: list[News] = []
    counts: Counter[tuple[str, TicketState]] = Counter()
    for row in rows:
        known = latest[row.feedback_id]
        status = list(known.values())[-1] if row.desk_id is None else known.get(row.desk_id)
        if status is None or status == row.desk_status:
            continue
        news.append((row.feedback_id, status))
        values: dict[str, object] = {"desk_status": status, "updated_at": sa.func.now()}
        if status in _IN_HAND:
            values["in_progress_at"] = sa.func.coalesce(tickets.c.in_progress_at, sa.func.now())
        state = before = TicketState(row.state)
        # A deleted ticket has no further say: it stays what it was.
        if state in (TicketState.OPENED, TicketState.SOLVED) and status != "deleted":
            state = TicketState.SOLVED if status in _SOLVED else TicketState.OPENED
            values["state"] = state
            values["solved_at"] = sa.func.coalesce(tickets.c.solved_at, sa.func.now()) if status in _SOLVED else None
        connection.execute(sa.update(tickets).where(tickets.c.feedback_id == row.feedback_id).values(values))
        _step(counts, row.survey, before, state)
        changed(connection, row.survey)
    _count(connection, counts)
    return news


def counts(connection: sa.Connection) -> dict[str, int]:
    """Tickets of all surveys by state, those with none included."""
    rows = connection.execute(
        sa.select(ticket_counts.c.state, sa.func.sum(ticket_counts.c.tickets)).group_by(ticket_counts.c.state)
    )
    return {str(state): 0 for state in TicketState} | {state: int(count) for state, count in rows}


def replay_failed(
    connection: sa.Connection, ids: Sequence[UUID] | None = None, only: Collection[str] | None = None
) -> int:
    """Send failed tickets (all, or these; of all surveys, or `only` of these) on their way again; how many."""
    query = (
        sa.select(feedback)
        .join(tickets, tickets.c.feedback_id == feedback.c.id)
        .where(tickets.c.state == TicketState.FAILED)
        .order_by(feedback.c.id)
        .with_for_update(of=tickets)
    )
    if ids is not None:
        query = query.where(feedback.c.id.in_(ids))
    if only is not None:
        query = query.where(feedback.c.survey.in_(only))
    rows = connection.execute(query).all()
    counts: Counter[tuple[str, TicketState]] = Counter()
    for row in rows:
        _step(counts, row.survey, TicketState.FAILED, TicketState.ATTEMPTING)
        changed(connection, row.survey)
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id.in_([row.id for row in rows]))
        .values(state=TicketState.ATTEMPTING, leased_until=None, last_error=None, updated_at=sa.func.now())
    )
    outbox.add(connection, [outbox.event_of(row, row.reasons, Priority(row.priority)) for row in rows])
    _count(connection, counts)
    return len(rows)


def pretend(connection: sa.Connection, made_up: Sequence[Pretended]) -> None:
    """Enter tickets of made-up answers, of which no desk ever hears: complete, and without a number. One that is there
    already is changed."""
    if not made_up:
        return
    ids = [each.feedback_id for each in made_up]
    query = sa.select(tickets.c.feedback_id, tickets.c.state).where(tickets.c.feedback_id.in_(ids))
    before = {row.feedback_id: TicketState(row.state) for row in connection.execute(query.with_for_update())}
    counts: Counter[tuple[str, TicketState]] = Counter()
    rows = []
    for each in made_up:
        state = TicketState.SOLVED if each.solved_at else TicketState.OPENED
        counts[each.survey, state] += 1
        if each.feedback_id in before:
            counts[each.survey, before[each.feedback_id]] -= 1
        rows.append(
            {
                "feedback_id": each.feedback_id,
                "state": state,
                "attempts": 1,
                "first_attempt_at": each.opened_at,
                "created_at": each.opened_at,
                "updated_at": each.solved_at or each.opened_at,
                "opened_at": each.opened_at,
                "in_progress_at": each.solved_at and each.opened_at + (each.solved_at - each.opened_at) / 4,
                "solved_at": each.solved_at,
                "desk_status": "solved" if each.solved_at else "open",
            }
        )
    statement = insert(tickets)
    entered = {name: statement.excluded[name] for name in rows[0]}
    connection.execute(statement.on_conflict_do_update(index_elements=["feedback_id"], set_=entered), rows)
    _count(connection, counts)


def _is_held(held: Taken) -> sa.ColumnElement[bool]:
    # Each take raises `attempts`, so whoever took the lease over has another number.
    return sa.and_(
        tickets.c.feedback_id == held.feedback_id,
        tickets.c.attempts == held.attempt,
        tickets.c.state.in_(_WORKABLE),
    )


def _leave(connection: sa.Connection, held: Taken, values: dict[str, object]) -> bool:
    # The row is locked as it is read, so that the state it leaves is the one that is counted down.
    before = sa.select(tickets.c.feedback_id, tickets.c.state).where(_is_held(held)).with_for_update().cte("before")
    moved = connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id == before.c.feedback_id)
        .values(updated_at=sa.func.now(), **values)
        .returning(before.c.state.label("before"), tickets.c.state.label("after"))
    ).one_or_none()
    if moved is None:
        return False
    after = TicketState(moved.after)
    if after in TERMINAL:
        outbox.close(connection, held.feedback_id)
    counts: Counter[tuple[str, TicketState]] = Counter()
    _step(counts, held.survey, TicketState(moved.before), after)
    _count(connection, counts)
    changed(connection, held.survey)
    return True


def _step(counts: Counter[tuple[str, TicketState]], survey: str, before: TicketState, after: TicketState) -> None:
    counts[survey, before] -= 1
    counts[survey, after] += 1


_INSERT_COUNT = insert(ticket_counts)
_ADD_COUNT = _INSERT_COUNT.on_conflict_do_update(
    index_elements=["survey", "state"],
    set_={"tickets": ticket_counts.c.tickets + _INSERT_COUNT.excluded.tickets},
)


def _count(connection: sa.Connection, steps: Mapping[tuple[str, TicketState], int]) -> None:
    rows = [
        {"survey": survey, "state": state, "tickets": step} for (survey, state), step in sorted(steps.items()) if step
    ]
    if rows:
        connection.execute(_ADD_COUNT, rows)
