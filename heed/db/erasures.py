"""Customers' wishes that what they wrote be erased, and how they are carried out.

Guarantees: after a wish no row holds the customer's words or names them, and all counts stay: numbers, label, decision
and ids are kept; a wish may come before its submission, which is erased as soon as it is stored or quarantined; done
twice is done once; nothing here waits for a lock, so it is part of no deadlock: what somebody holds is done next time.

A submission's words can be in its row of feedback and in rows of the quarantine; a wish is done when all that there are
hold none. Whoever writes one afterwards (a replay, say) calls `again` in that transaction, and the wish is open once
more. So the wish for something in quarantine is done at once; should it be stored after all, that is without words, and
the answer is marked as erased right after.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import TERMINAL, QuarantineKind, QuarantineReason, TicketState
from heed.db.notify import changed
from heed.db.tables import erasures, feedback, former_scores, quarantine, tickets

SOONEST_SECONDS, LATEST_SECONDS = 0.5, 3600.0
BY_CUSTOMER = "erased by the customer"
# Of an entry: what says neither what the customer wrote nor who it was.
_KEPT = ("v", "id", "survey", "client", "source", "vote", "rating", "flags")
# Of their rows in quarantine the detail repeats none of the words.
_WORDLESS = (QuarantineReason.DUPLICATE, QuarantineReason.UNKNOWN_SURVEY, QuarantineReason.CRASHED)

_AGAIN = sa.text("UPDATE erasures SET due_at = now(), done_at = NULL WHERE feedback_id = ANY(CAST(:ids AS uuid[]))")


def again(connection: sa.Connection, ids: Collection[UUID | str]) -> None:
    """Something of these was written in this transaction: wishes about them are to be carried out, if need be again."""
    if ids:
        connection.execute(_AGAIN, {"ids": [str(each) for each in ids]})


def carry_out(connection: sa.Connection, limit: int) -> list[UUID]:
    """Do up to `limit` of the wishes that are due; those that are done now.

    The others (their submission waits in the queue, is held by somebody, or is lost) are due again after a pause that
    grows with their age: what is hopeless costs little, however much of it there is.
    """
    due = connection.execute(
        sa.select(erasures.c.feedback_id)
        # Further away than any pause: the clock was put back since.
        .where(erasures.c.done_at.is_(None), ~erasures.c.due_at.between(sa.func.now(), _after(2 * LATEST_SECONDS)))
        .order_by(erasures.c.due_at.desc())  # what was asked for or stored just now goes first
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    wishes = list(due.scalars())
    if not wishes:
        return []
    answers, busy = _hold(
        connection,
        sa.select(feedback.c.id.label("key"), feedback.c.id.label("submission"), feedback.c.survey)
        .where(feedback.c.id.in_(wishes))
        .order_by(feedback.c.id),
    )
    columns = (quarantine.c.id.label("key"), quarantine.c.feedback_id.label("submission"))
    aside, busy_aside = _hold(
        connection,
        sa.select(*columns, quarantine.c.reason, quarantine.c.detail, quarantine.c.payload)
        .where(quarantine.c.feedback_id.in_(wishes), quarantine.c.kind == QuarantineKind.SUBMISSION)
        .order_by(quarantine.c.id),
    )
    done = {row.submission for row in (*answers, *aside)} - busy - busy_aside
    _erase_answers(connection, done)
    for row in aside:
        if row.submission in done:
            _erase_aside(connection, row)
    for survey in {row.survey for row in answers if row.submission in done}:
        changed(connection, survey)
    age = sa.func.extract("epoch", sa.func.now() - erasures.c.asked_at)
    pause = sa.func.least(sa.func.greatest(age / 4, SOONEST_SECONDS), LATEST_SECONDS)
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.feedback_id.in_(wishes))
        .values(
            done_at=sa.case((erasures.c.feedback_id.in_(done), sa.func.now())),
            due_at=_after(pause),
        )
    )
    return sorted(done)


def _hold(connection: sa.Connection, query: sa.Select[Any]) -> tuple[Sequence[Any], set[UUID]]:
    """The rows that could be locked, and the submissions of those that somebody else holds."""
    there = connection.execute(query).all()
    held = connection.execute(query.with_for_update(key_share=True, skip_locked=True)).all()
    keys = {row.key for row in held}
    return held, {row.submission for row in there if row.key not in keys}


def _erase_answers(connection: sa.Connection, ids: Collection[UUID]) -> None:
    connection.execute(
        sa.update(feedback)
        .where(feedback.c.id.in_(ids))
        .values(
            comment="",
            contact_name=None,
            contact_email=None,
            reply=False,
            context=sa.null(),
            customer=None,
            reading=sa.null(),
            erased_at=sa.func.coalesce(feedback.c.erased_at, sa.func.now()),
        )
    )
    # Rescoring adds rows here, and holds the answer meanwhile.
    connection.execute(sa.update(former_scores).where(former_scores.c.feedback_id.in_(ids)).values(reading=sa.null()))


def _erase_aside(connection: sa.Connection, row: Any) -> None:
    detail = row.detail if row.reason in _WORDLESS else BY_CUSTOMER
    connection.execute(
        sa.update(quarantine)
        .where(quarantine.c.id == row.key)
        .values(payload=without_words(row.payload), detail=detail)
    )


def without_words(payload: str) -> str:
    """A quarantined entry that can still be replayed and holds no words; nothing of one that cannot be read."""
    try:
        entry = json.loads(payload)
    except ValueError:
        return ""
    return json.dumps({name: entry[name] for name in _KEPT if name in entry}) if isinstance(entry, dict) else ""


def forget_untold(connection: sa.Connection) -> None:
    """Done wishes of which the desk need not be told: it has no ticket, and one that is opened later has no words.

    What the desk said when it refused a ticket may repeat some of them; it goes, too.
    """
    open_ = sa.and_(erasures.c.done_at.is_not(None), erasures.c.desk_told_at.is_(None))
    refused = sa.and_(tickets.c.state == TicketState.FAILED, tickets.c.desk_id.is_(None))
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id == erasures.c.feedback_id, open_, refused)
        .values(last_error=BY_CUSTOMER)
    )
    expected = (
        sa.exists()
        .where(feedback.c.id == erasures.c.feedback_id, feedback.c.selected)
        .where(~sa.exists().where(tickets.c.feedback_id == feedback.c.id, refused))
    )
    connection.execute(sa.update(erasures).where(open_, ~expected).values(desk_told_at=sa.func.now()))


def untold(connection: sa.Connection) -> tuple[UUID, datetime] | None:
    """An erased submission, and when it was erased, of which the desk has the ticket and does not know; any, so that
    one with which the desk has its difficulties does not keep the others waiting for good."""
    row = connection.execute(
        sa.select(feedback.c.id, feedback.c.erased_at)
        .join(erasures, erasures.c.feedback_id == feedback.c.id)
        .join(tickets, tickets.c.feedback_id == feedback.c.id)
        .where(erasures.c.done_at.is_not(None), erasures.c.desk_told_at.is_(None), feedback.c.erased_at.is_not(None))
        # Not while somebody is on it: what they send may be older than the erasure.
        .where(tickets.c.desk_id.is_not(None), tickets.c.state.in_(TERMINAL))
        .order_by(sa.func.random())
        .limit(1)
    ).first()
    return (row.id, row.erased_at) if row else None


def told(connection: sa.Connection, feedback_id: UUID) -> None:
    """The desk knows."""
    connection.execute(
        sa.update(erasures).where(erasures.c.feedback_id == feedback_id).values(desk_told_at=sa.func.now())
    )


def _after(seconds: sa.ColumnElement[Any] | float) -> sa.ColumnElement[Any]:
    return sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
