"""The quarantine: what cannot be processed, kept whole with its reason, and its way back.

Guarantees: the same entry is kept once, however often it is delivered; a replayed entry counts as quarantined
until the transaction that stores it, so the books balance at every moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import QuarantineKind, QuarantineReason
from heed.db import erasures
from heed.db.tables import feedback, quarantine


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to quarantine; `source` names where it came from and is unique within its kind."""

    kind: QuarantineKind
    source: str
    reason: QuarantineReason
    detail: str
    payload: str
    feedback_id: UUID | None = None


def add(connection: sa.Connection, items: Sequence[Item]) -> None:
    """Keep items; one that is there already (a redelivery, a failed replay) gets the newer reason."""
    for item in items:
        statement = insert(quarantine).values(
            kind=item.kind,
            source=item.source,
            reason=item.reason,
            detail=item.detail[:2000].replace("\x00", ""),
            payload=item.payload,
            feedback_id=item.feedback_id,
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "source"],
                set_={
                    "reason": statement.excluded.reason,
                    "detail": statement.excluded.detail,
                    "feedback_id": sa.func.coalesce(statement.excluded.feedback_id, quarantine.c.feedback_id),
                    "replay_at": None,
                },
            )
        )
    submissions = (item.feedback_id for item in items if item.kind is QuarantineKind.SUBMISSION)
    erasures.again(connection, [each for each in submissions if each is not None])


def standing() -> sa.ColumnElement[bool]:
    """Whether a row still stands: not resolved, and its submission not stored after all.

    Two workers may hold the same entry, and one give it up while the other stores it; what is stored counts.
    """
    stored = sa.exists().where(feedback.c.id == quarantine.c.feedback_id)
    return quarantine.c.resolved_at.is_(None) & ~((quarantine.c.kind == QuarantineKind.SUBMISSION) & stored)


def counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """How many rows stand, by kind and reason, those with none included."""
    rows = connection.execute(
        sa.select(quarantine.c.kind, quarantine.c.reason, sa.func.count())
        .where(standing())
        .group_by(quarantine.c.kind, quarantine.c.reason)
    )
    every = {(str(kind), str(reason)): 0 for kind in QuarantineKind for reason in QuarantineReason}
    return every | {(kind, reason): count for kind, reason, count in rows}


def ask_replay(connection: sa.Connection, ids: Sequence[int] | None = None, *, anew: bool = False) -> int:
    """Ask the worker to try unresolved submissions again (all, or these; `anew`: that do not wait for it already); how
    many."""
    statement = (
        sa.update(quarantine)
        .where(standing(), quarantine.c.kind == QuarantineKind.SUBMISSION)
        .values(replay_at=sa.func.now())
    )
    if ids is not None:
        statement = statement.where(quarantine.c.id.in_(ids))
    if anew:
        statement = statement.where(quarantine.c.replay_at.is_(None))
    return connection.execute(statement).rowcount


def claim_replays(connection: sa.Connection, limit: int) -> list[sa.Row[tuple[int, str, str]]]:
    """Rows (id, source, payload) to try again, locked until the caller's transaction ends."""
    return list(
        connection.execute(
            sa.select(quarantine.c.id, quarantine.c.source, quarantine.c.payload)
            .where(quarantine.c.replay_at.is_not(None), quarantine.c.resolved_at.is_(None))
            .order_by(quarantine.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


def resolve_if_stored(connection: sa.Connection, item: int, feedback_id: UUID | None) -> None:
    """It was tried again: resolved if its submission is stored now, else it waits for the next request."""
    known = sa.func.coalesce(sa.cast(feedback_id, sa.Uuid), quarantine.c.feedback_id)  # this time it may be unreadable
    stored = sa.exists().where(feedback.c.id == known)
    connection.execute(
        sa.update(quarantine)
        .where(quarantine.c.id == item)
        .values(replay_at=None, feedback_id=known, resolved_at=sa.case((stored, sa.func.now()), else_=None))
    )
