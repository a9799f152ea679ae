"""Sessions of the results site: who is logged in, where, since when.

Guarantees: the database holds no token, so that nobody who reads it can log in; a session that was ended, whose person
was disabled or whose time is over is none from then on, in every process; nobody is logged in while being disabled.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

import sqlalchemy as sa

from heed.contracts import fingerprint
from heed.db import audit
from heed.db.audit import Action
from heed.db.tables import sessions, users

SECONDS = 12 * 3600
SEEN_SECONDS = 60
AGENT_MOST = 200


def begin(
    connection: sa.Connection, name: str, by: str, *, proof: str | None, user_agent: str, address: str
) -> str | None:
    """Log somebody in: the new session's token, or None when they were disabled meanwhile."""
    found = sa.select(users.c.id).where(users.c.name == name, users.c.disabled_at.is_(None)).with_for_update(read=True)
    user_id = connection.execute(found).scalar_one_or_none()
    if user_id is None:
        return None
    connection.execute(sa.delete(sessions).where(sessions.c.expires_at < sa.func.now()))
    token = secrets.token_urlsafe(32)
    values = {"id": fingerprint(token), "user_id": user_id, "proof": proof, "address": address}
    agent = user_agent.replace("\x00", "")[:AGENT_MOST]
    until = sa.func.now() + timedelta(seconds=SECONDS)
    connection.execute(sa.insert(sessions).values(**values, user_agent=agent, expires_at=until))
    audit.note(connection, name, Action.LOGIN, by=by)
    return token


def standing(connection: sa.Connection, ids: Collection[str]) -> Sequence[sa.RowMapping]:
    """Those of these sessions that stand, each with its person's name, role and surveys."""
    columns = (sessions.c.id, sessions.c.proof, sessions.c.seen_at, users.c.name, users.c.role, users.c.surveys)
    query = (
        sa.select(*columns)
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.id.in_(ids), sessions.c.expires_at > sa.func.now(), users.c.disabled_at.is_(None))
    )
    return connection.execute(query).mappings().all()


def seen(connection: sa.Connection, session_id: str) -> None:
    """It was used just now; written once a minute."""
    stale = sessions.c.seen_at < sa.func.now() - timedelta(seconds=SEEN_SECONDS)
    connection.execute(sa.update(sessions).where(sessions.c.id == session_id, stale).values(seen_at=sa.func.now()))


def of(connection: sa.Connection, name: str) -> Sequence[sa.RowMapping]:
    """Somebody's sessions, the one used last first."""
    shown = [sessions.c[each] for each in ("id", "created_at", "seen_at", "expires_at", "user_agent", "address")]
    query = (
        sa.select(*shown)
        .join(users, users.c.id == sessions.c.user_id)
        .where(users.c.name == name, sessions.c.expires_at > sa.func.now())
        .order_by(sessions.c.seen_at.desc(), sessions.c.id)
    )
    return connection.execute(query).mappings().all()


def log_out(connection: sa.Connection, actor: str, session_id: str) -> None:
    """End one's own session."""
    if connection.execute(sa.delete(sessions).where(sessions.c.id == session_id)).rowcount:
        audit.note(connection, actor, Action.LOGOUT)


def revoke(connection: sa.Connection, actor: str, session_id: str, owner: str | None) -> bool:
    """End a session of `owner` (None: of anybody); whether there was one."""
    theirs = sa.select(users.c.id).where(users.c.name == owner)
    mine = [] if owner is None else [sessions.c.user_id.in_(theirs)]
    ended = sa.delete(sessions).where(sessions.c.id == session_id, *mine).returning(sessions.c.user_id)
    user_id = connection.execute(ended).scalar_one_or_none()
    if user_id is None:
        return False
    name = connection.execute(sa.select(users.c.name).where(users.c.id == user_id)).scalar_one()
    audit.note(connection, actor, Action.SESSION_REVOKED, name, session=session_id[:8])
    return True


def revoke_all(connection: sa.Connection, actor: str, name: str) -> int:
    """End every session of somebody; how many."""
    theirs = sa.select(users.c.id).where(users.c.name == name)
    ended = connection.execute(sa.delete(sessions).where(sessions.c.user_id.in_(theirs))).rowcount
    if ended:
        audit.note(connection, actor, Action.SESSION_REVOKED, name, sessions=ended)
    return ended
