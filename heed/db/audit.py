"""The audit: who did what, when, to what.

Guarantees: what is noted is committed together with what was done, or not at all; nothing that was noted is changed or
deleted (a trigger refuses it); neither customers' words nor secrets are ever in it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heed.db.tables import audit

COMMAND = "command line"  # the actor of whoever runs `heed` beside the system


class Action(StrEnum):
    """What can be done."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGOUT = "logout"
    SESSION_REVOKED = "session-revoked"
    PERSON_ADDED = "person-added"
    PERSON_CHANGED = "person-changed"
    PASSWORD_SET = "password-set"  # noqa: S105 - a word of the audit
    PASSWORD_REFUSED = "password-refused"  # noqa: S105 - theirs was not changed: the old one was wrong
    SIGN_IN_KNOWN = "sign-in-known"  # whom somebody is to the provider, the first time
    SIGN_IN_FORGOTTEN = "sign-in-forgotten"
    KEY_MADE = "key-made"
    KEY_REVOKED = "key-revoked"
    SURVEY_SAVED = "survey-saved"
    VERDICT = "verdict"
    REPLAY = "replay"
    EXPORT = "export"
    EXPORT_ENDED = "export-ended"


def note(connection: sa.Connection, actor: str, action: Action, what: str = "", **detail: Any) -> None:
    """Add a line on the caller's transaction; `what` was it done to."""
    connection.execute(sa.insert(audit).values(actor=actor, action=action, object=what, detail=detail))


def page(
    connection: sa.Connection,
    limit: int,
    before: int | None = None,
    actor: str | None = None,
    action: str | None = None,
) -> Sequence[sa.RowMapping]:
    """Up to `limit` lines, newest first, older than the line `before`."""
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    if actor is not None:
        query = query.where(audit.c.actor == actor)
    if action is not None:
        query = query.where(audit.c.action == action)
    return connection.execute(query).mappings().all()
