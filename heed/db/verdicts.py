"""Verdicts: people say whether a decision was right, and what they say is done.

Guarantees: a verdict and all that follows from it (the ticket's event, the counts) are one transaction; the same
verdict said twice is kept once; a submission that was selected stays selected, whatever is said later; rows are
locked in the order in which the worker locks them, so nothing here deadlocks.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import MADE_UP, Judge, Priority, Reason, received_at
from heed.db import ledger, outbox
from heed.db.notify import changed
from heed.db.tables import feedback, verdicts

# Row by row in the order in which the worker's store takes them, so that neither waits for the other for good.
_COUNT = sa.text("""
    INSERT INTO rollup (survey, grain, at, vote, rating, label, answers, selected)
    SELECT :survey, grain,
        CASE grain WHEN 'total' THEN '-infinity' ELSE date_trunc(grain, CAST(:at AS timestamptz), 'UTC') END,
        :vote, :rating, :label, 0, 1
    FROM unnest(ARRAY['hour', 'day', 'total']) AS grain
    ORDER BY grain
    ON CONFLICT (survey, grain, at, vote, rating, label) DO UPDATE SET selected = rollup.selected + 1
""")


@dataclass(frozen=True, slots=True)
class Said:
    """What a verdict did: whether it is `new`, and whether the submission was `selected` for a ticket by it."""

    new: bool
    selected: bool


def say(connection: sa.Connection, feedback_id: UUID, needs_person: bool, judge: Judge) -> Said | None:
    """Record a verdict on the caller's transaction; None when there is no such submission.

    One that needs a person and was not selected is selected now.
    """
    # Not against rows that refer to it: ticketing may begin a ticket meanwhile.
    found = sa.select(feedback).where(feedback.c.id == feedback_id).with_for_update(key_share=True)
    row = connection.execute(found).one_or_none()
    if row is None:
        return None
    before = connection.execute(
        sa.select(verdicts.c.needs_person, verdicts.c.judge)
        .where(verdicts.c.feedback_id == feedback_id)
        .order_by(verdicts.c.id.desc())
        .limit(1)
    ).one_or_none()
    new = before is None or tuple(before) != (needs_person, judge)
    if new:
        connection.execute(sa.insert(verdicts).values(feedback_id=feedback_id, needs_person=needs_person, judge=judge))
    chosen = needs_person and not row.selected
    if chosen:
        select_now(connection, row, Reason.REVIEW, Priority(row.priority) if row.priority else Priority.NORMAL)
    # Agents tell false alarms alone: were what is drawn by lot judged by them, none of the others among it would count.
    settled = row.queued and not (judge is Judge.AGENT and row.sampled)
    if settled:
        connection.execute(sa.update(feedback).where(feedback.c.id == feedback_id).values(queued=False))
    if new or chosen or settled:
        changed(connection, row.survey)
    return Said(new, chosen)


def false_alarms(connection: sa.Connection, feedback_ids: Collection[UUID]) -> list[UUID]:
    """Agents say that these needed nobody; those of whom that is recorded now.

    An agent's word is taken once: it stays at the desk and is read again with every change, but what somebody else has
    said since stands.
    """
    if not feedback_ids:
        return []
    known = sa.select(verdicts.c.feedback_id).where(
        verdicts.c.feedback_id.in_(feedback_ids), verdicts.c.judge == Judge.AGENT
    )
    fresh = set(feedback_ids).difference(connection.execute(known).scalars())
    return [each for each in sorted(fresh) if say(connection, each, False, Judge.AGENT)]


def select_now(connection: sa.Connection, row: sa.Row[tuple[object, ...]], reason: Reason, priority: Priority) -> None:
    """Select for a ticket what was not selected when it was stored; the caller's transaction holds `row` locked."""
    reasons = [*row.reasons] if reason is Reason.REVIEW else [*row.reasons, reason]  # see `reasons_of`
    connection.execute(
        sa.update(feedback).where(feedback.c.id == row.id).values(selected=True, reasons=reasons, priority=priority)
    )
    if row.source == MADE_UP:  # no desk hears of it
        ledger.pretend(connection, [ledger.Pretended(row.id, row.survey, datetime.now(UTC))])
    else:
        outbox.add(connection, [outbox.event_of(row, reasons, priority)])
    connection.execute(
        _COUNT,
        {
            "survey": row.survey,
            "vote": row.vote or "",
            "rating": row.rating or 0,
            "label": row.label,
            "at": received_at(row.id),
        },
    )
