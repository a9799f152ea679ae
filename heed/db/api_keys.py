"""API keys: made, shown once, known by their digests, revoked.

Guarantees: the database holds no key, so that nobody who reads it can use one; each change is one transaction with its
line in the audit; a revoked key stays listed and works nowhere on this site from then on.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta

import sqlalchemy as sa

from heed.contracts import KEY_PREFIX, KeyScope, fingerprint
from heed.db import audit
from heed.db.audit import Action
from heed.db.sessions import SEEN_SECONDS
from heed.db.tables import api_keys

SHOWN = 8  # characters of a key
_LISTED = [column for column in api_keys.c if column.name != "digest"]


def make(connection: sa.Connection, actor: str, name: str, scopes: Collection[KeyScope]) -> tuple[int, str]:
    """A new key: its number, and the key itself, which is kept nowhere."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    chosen = [scope for scope in KeyScope if scope in scopes]
    values = {"name": name, "shown": key[:SHOWN], "digest": fingerprint(key), "scopes": chosen, "created_by": actor}
    number = connection.execute(sa.insert(api_keys).values(**values).returning(api_keys.c.id)).scalar_one()
    audit.note(connection, actor, Action.KEY_MADE, f"key {number}", name=name, scopes=chosen)
    return number, key


def every(connection: sa.Connection) -> Sequence[sa.RowMapping]:
    """All of them, newest first; revoked ones last."""
    query = sa.select(*_LISTED).order_by(api_keys.c.revoked_at.is_not(None), api_keys.c.id.desc())
    return connection.execute(query).mappings().all()


def one(connection: sa.Connection, number: int) -> sa.RowMapping | None:
    """The key of that number, if there is one."""
    return connection.execute(sa.select(*_LISTED).where(api_keys.c.id == number)).mappings().one_or_none()


def revoke(connection: sa.Connection, actor: str, number: int) -> bool:
    """End a key; whether there is one of that number. Once is enough, and twice the same."""
    standing = sa.select(api_keys.c.revoked_at).where(api_keys.c.id == number).with_for_update()
    row = connection.execute(standing).one_or_none()
    if row is not None and row.revoked_at is None:
        connection.execute(sa.update(api_keys).where(api_keys.c.id == number).values(revoked_at=sa.func.now()))
        audit.note(connection, actor, Action.KEY_REVOKED, f"key {number}")
    return row is not None


def standing(connection: sa.Connection, digests: Collection[str]) -> Sequence[sa.RowMapping]:
    """Those of the keys with these digests that stand."""
    query = sa.select(api_keys).where(api_keys.c.digest.in_(digests), api_keys.c.revoked_at.is_(None))
    return connection.execute(query).mappings().all()


def used(connection: sa.Connection, number: int) -> None:
    """It was used just now; written once a minute."""
    stale = api_keys.c.last_used_at < sa.func.now() - timedelta(seconds=SEEN_SECONDS)
    connection.execute(
        sa.update(api_keys)
        .where(api_keys.c.id == number, api_keys.c.last_used_at.is_(None) | stale)
        .values(last_used_at=sa.func.now())
    )


def submitting(connection: sa.Connection) -> list[str]:
    """The digests of the keys that may send answers."""
    may = api_keys.c.scopes.contains([KeyScope.SUBMIT.value])
    query = sa.select(api_keys.c.digest).where(may, api_keys.c.revoked_at.is_(None)).order_by(api_keys.c.digest)
    return list(connection.execute(query).scalars())
