"""What a receipt shows, from Postgres: how far a submission is, never what it says.

Guarantees: only the columns named here are read, and only `erasures` is written, so that the public site can be given a
database user that may do no more (docs/operations.md).
"""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import Decision, TicketState
from heed.contracts.progress import Progress
from heed.db.tables import erasures, feedback, quarantine, tickets

_EXISTS = (TicketState.CREATED, TicketState.OPENED, TicketState.SOLVED)


def read(connection: sa.Connection, submission: UUID) -> Progress:
    """How far it is; nothing is set while it waits in the queue, or when there is no such submission."""
    stored = connection.execute(
        sa.select(
            feedback.c.stored_at,
            feedback.c.selected,
            feedback.c.queued,
            feedback.c.decision,
            feedback.c.erased_at,
            sa.case((tickets.c.state.in_(_EXISTS), sa.func.coalesce(tickets.c.opened_at, tickets.c.created_at))).label(
                "ticket_at"
            ),
            tickets.c.in_progress_at,
            tickets.c.solved_at,
        )
        .outerjoin(tickets, tickets.c.feedback_id == feedback.c.id)
        .where(feedback.c.id == submission)
    ).one_or_none()
    wish = connection.execute(
        sa.select(erasures.c.asked_at, erasures.c.done_at).where(erasures.c.feedback_id == submission)
    ).one_or_none()
    asked, done = wish or (None, None)
    if stored is None:
        aside = sa.select(sa.func.min(quarantine.c.at)).where(
            quarantine.c.feedback_id == submission, quarantine.c.resolved_at.is_(None)
        )
        return Progress(set_aside_at=connection.execute(aside).scalar(), erase_asked_at=asked, erased_at=done)
    return Progress(
        read_at=stored.stored_at,
        expected=stored.selected,
        considered=stored.queued and stored.decision == Decision.REVIEW,
        ticket_at=stored.ticket_at,
        in_progress_at=stored.in_progress_at,
        solved_at=stored.solved_at,
        erase_asked_at=asked,
        erased_at=stored.erased_at,
    )


def wish_erased(connection: sa.Connection, submission: UUID) -> None:
    """Note that the customer wants it erased; `heed.db.erasures` does it. Doing it again changes nothing."""
    connection.execute(insert(erasures).values(feedback_id=submission).on_conflict_do_nothing())
