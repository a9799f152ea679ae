"""What is to be erased of what customers wrote, since they want it or it was kept long enough, and how that is done.

Guarantees: after a wish no row holds the customer's words or names them, and all counts stay: numbers, label, decision
and ids are kept; a wish may come before its submission, which is erased as soon as it is stored or quarantined; done
twice is done once; a row that Postgres refuses to change keeps no other wish waiting. Carrying out and looking again
wait for no lock, so they are part of no deadlock: what somebody holds is done next time.

A submission's words can be in its row of feedback, in rows of the quarantine, and in what the desk said when it refused
the ticket; a wish is done when all that there are hold none. Whoever writes one (a replay, say) calls `again` in that
transaction, and a wish that was done is open once more. So the wish for something in quarantine is done at once; should
it be stored after all, that is without words, and the answer is marked as erased right after. A wish that came and was
done while such a transaction was under way is seen by neither: that is what `look_again` is for.

What was kept long enough (HEED_RETENTION_DAYS) becomes a wish by `outlived`, but not while its ticket is still to be
opened, and agents are told of customers' own wishes alone.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import TERMINAL, QuarantineKind, QuarantineReason, TicketState, first_id
from heed.db import payload
from heed.db.engine import RETRYABLE
from heed.db.notify import changed
from heed.db.tables import erasures, feedback, former_scores, quarantine, tickets
from heed.telemetry import log

SOONEST_SECONDS, LATEST_SECONDS = 0.5, 3600.0
ERASED = "erased"
# Of their rows in quarantine the detail repeats none of the words.
_WORDLESS = (QuarantineReason.DUPLICATE, QuarantineReason.UNKNOWN_SURVEY, QuarantineReason.CRASHED)

# What comes now may reach the desk, too; a note that is there already is not written a second time.
_AGAIN = sa.text("""
    UPDATE erasures SET due_at = now(), done_at = NULL,
        desk_told_at = CASE asked_by WHEN 'customer' THEN NULL ELSE desk_told_at END
    WHERE feedback_id = ANY(CAST(:ids AS uuid[]))
""")

_OUTLIVED = sa.text("""
    WITH walked AS (
        SELECT id, erased_at FROM feedback WHERE id > :after AND id < :before ORDER BY id LIMIT :limit
    ), wished AS (
        INSERT INTO erasures (feedback_id, asked_by, desk_told_at)
        SELECT id, 'retention', now() FROM walked
        WHERE erased_at IS NULL AND NOT EXISTS (SELECT FROM outbox WHERE outbox.feedback_id = walked.id)
        ON CONFLICT DO NOTHING RETURNING feedback_id
    )
    SELECT (SELECT count(*) FROM wished) AS wished, (SELECT id FROM walked ORDER BY id DESC LIMIT 1) AS last
""")

_OUTLIVED_ASIDE = sa.text("""
    INSERT INTO erasures (feedback_id, asked_by, desk_told_at)
    SELECT DISTINCT feedback_id, 'retention', now() FROM quarantine
    WHERE kind = :kind AND at < :before AND feedback_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM erasures WHERE erasures.feedback_id = quarantine.feedback_id)
    ON CONFLICT DO NOTHING
""")


def again(connection: sa.Connection, ids: Collection[UUID | str]) -> None:
    """Something of these was written in this transaction: wishes about them are to be carried out, if need be again."""
    if ids:
        connection.execute(_AGAIN, {"ids": [str(each) for each in ids]})


def outlived(connection: sa.Connection, before: datetime, after: UUID, limit: int) -> tuple[int, UUID | None]:
    """Wish for what was received before `before` to be erased, among up to `limit` answers behind the id `after`.

    Returns how many wishes there are now more, and the last id that was looked at; none when there is nothing behind.
    Doing it again changes nothing.
    """
    wished, last = connection.execute(_OUTLIVED, {"before": first_id(before), "after": after, "limit": limit}).one()
    return wished, last


def outlived_aside(connection: sa.Connection, before: datetime) -> int:
    """The same for what came into the quarantine before `before`. What tells no id, so that no wish can name it, is
    erased at once. How many wishes and erasures."""
    wished = connection.execute(_OUTLIVED_ASIDE, {"kind": QuarantineKind.SUBMISSION, "before": before}).rowcount
    nameless = connection.execute(
        sa.select(quarantine.c.id.label("key"), quarantine.c.reason, quarantine.c.detail, quarantine.c.payload)
        .where(quarantine.c.kind == QuarantineKind.SUBMISSION, quarantine.c.feedback_id.is_(None))
        .where(quarantine.c.at < before)
        .with_for_update(skip_locked=True)
    ).all()
    left = [row for row in nameless if row.payload != payload.without_words(row.payload)]
    for row in left:
        _erase_aside(connection, row)
    return wished + len(left)


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
        sa.select(feedback.c.id.label("key"), feedback.c.id.label("submission"), feedback.c.survey, feedback.c.selected)
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
    columns = (tickets.c.feedback_id.label("key"), tickets.c.feedback_id.label("submission"))
    ledger, busy_ledger = _hold(
        connection,
        sa.select(*columns, tickets.c.state, tickets.c.desk_id)
        .where(tickets.c.feedback_id.in_(wishes))
        .order_by(tickets.c.feedback_id),
    )
    free = {row.submission for row in (*answers, *aside)} - busy - busy_aside - busy_ledger
    rows = defaultdict(list)
    for row in aside:
        rows[row.submission].append(row)
    done = _erase(connection, sorted(free), rows)
    for survey in {row.survey for row in answers if row.submission in done}:
        changed(connection, survey)
    # Of the others the desk need not be told: a ticket that is opened later has no words.
    refused = {row.submission for row in ledger if row.state == TicketState.FAILED and row.desk_id is None}
    with_ticket = {row.submission for row in answers if row.selected} - refused
    nobody_to_tell = erasures.c.feedback_id.in_(set(done) - with_ticket)
    age = sa.func.extract("epoch", sa.func.now() - erasures.c.asked_at)
    pause = sa.func.least(sa.func.greatest(age / 4, SOONEST_SECONDS), LATEST_SECONDS)
    connection.execute(
        sa.update(erasures)
        .where(erasures.c.feedback_id.in_(wishes))
        .values(
            done_at=sa.case((erasures.c.feedback_id.in_(done), sa.func.now())),
            due_at=_after(pause),
            desk_told_at=sa.func.coalesce(erasures.c.desk_told_at, sa.case((nobody_to_tell, sa.func.now()))),
        )
    )
    return done


def look_again(connection: sa.Connection, seconds: float) -> list[UUID]:
    """Open the wishes again that were done in the last `seconds` and of which there are words after all; those."""
    lately = erasures.c.done_at > _after(-seconds)
    stored = connection.execute(
        sa.select(feedback.c.id)
        .join(erasures, erasures.c.feedback_id == feedback.c.id)
        .where(lately, feedback.c.erased_at.is_(None))
    ).scalars()
    aside = connection.execute(
        sa.select(quarantine.c.feedback_id, quarantine.c.payload)
        .join(erasures, erasures.c.feedback_id == quarantine.c.feedback_id)
        .where(lately, quarantine.c.kind == QuarantineKind.SUBMISSION)
    )
    left = {*stored, *(row.feedback_id for row in aside if row.payload != payload.without_words(row.payload))}
    if not left:
        return []
    free = sa.select(erasures.c.feedback_id).where(erasures.c.feedback_id.in_(left)).with_for_update(skip_locked=True)
    found = sorted(connection.execute(free).scalars())
    again(connection, found)
    return found


def _hold(connection: sa.Connection, query: sa.Select[Any]) -> tuple[Sequence[Any], set[UUID]]:
    """The rows that could be locked, and the submissions of those that somebody else holds."""
    there = connection.execute(query).all()
    # Not against rows that refer to it: ticketing may begin a ticket meanwhile.
    held = connection.execute(query.with_for_update(key_share=True, skip_locked=True)).all()
    keys = {row.key for row in held}
    return held, {row.submission for row in there if row.key not in keys}


def _erase(connection: sa.Connection, ids: Sequence[UUID], aside: Mapping[UUID, Sequence[Any]]) -> list[UUID]:
    """Those of `ids` that are erased; all, unless Postgres refuses something: then it is halved until that stands
    alone."""
    if not ids:
        return []
    try:
        with connection.begin_nested():
            _erase_answers(connection, ids)
            for each in ids:
                for row in aside[each]:
                    _erase_aside(connection, row)
    except RETRYABLE:
        raise
    except Exception as error:  # noqa: BLE001 - it waits, and the others go on
        if len(ids) == 1:
            log.error("not-erased", id=str(ids[0]), reason=type(error).__name__)
            return []
        middle = len(ids) // 2
        return _erase(connection, ids[:middle], aside) + _erase(connection, ids[middle:], aside)
    return list(ids)


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
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.feedback_id.in_(ids), tickets.c.last_error.is_not(None))
        .values(last_error=ERASED)
    )


def _erase_aside(connection: sa.Connection, row: Any) -> None:
    detail = row.detail if row.reason in _WORDLESS else ERASED
    connection.execute(
        sa.update(quarantine)
        .where(quarantine.c.id == row.key)
        .values(payload=payload.without_words(row.payload), detail=detail)
    )


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
