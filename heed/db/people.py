"""The people of the results site: who may log in, and what they may do and see.

Guarantees: each change is one transaction with its line in the audit; who is disabled or gets a new password is logged
out by that same transaction; the built-in admin cannot be changed, so somebody can always get in; a provider's person
becomes somebody here by a verified address once, and nobody else's afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.contracts import BUILT_IN, Role
from heed.db import audit
from heed.db.audit import Action
from heed.db.tables import sessions, surveys, users
from heed.errors import Invalid


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in, unless `disabled_at` says since when no longer. `surveys` None: all."""

    id: int
    name: str
    role: Role
    surveys: tuple[str, ...] | None
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    subject: str | None  # whom they are to the provider that signs them in

    @property
    def built_in(self) -> bool:
        """Whether their password is a setting."""
        return self.name == BUILT_IN


def every(connection: sa.Connection) -> list[Person]:
    """All of them, by name; those who may no longer log in last."""
    rows = connection.execute(sa.select(users).order_by(users.c.disabled_at.is_not(None), users.c.name))
    return [_person(row) for row in rows]


def find(connection: sa.Connection, name: str, hold: bool = False) -> Person | None:
    """The person of that name, if there is one; `hold` them as they are until the transaction ends."""
    query = sa.select(users).where(users.c.name == name)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    return None if row is None else _person(row)


def to_check(connection: sa.Connection, name: str, hold: bool = False) -> tuple[Person, str | None] | None:
    """Who of that name may log in, with the hash of their password; `hold` them as they are till the end."""
    query = sa.select(users).where(users.c.name == name, users.c.disabled_at.is_(None))
    row = connection.execute(query.with_for_update(read=True) if hold else query).one_or_none()
    return None if row is None else (_person(row), row.password_hash)


def add(
    connection: sa.Connection, actor: str, name: str, role: Role, only: Sequence[str] | None, password_hash: str | None
) -> Person:
    """Somebody new, who sees `only` these surveys (None: all); `Invalid` when the name is taken or it is no choice.
    Who has no password is let in by the provider (`signed_in`)."""
    if password_hash is None and "@" not in name:
        raise Invalid("Who has no password is known by an e-mail address: the name must be one.")
    only = _choice(connection, role, only)
    values = {"name": name, "role": role, "surveys": only, "password_hash": password_hash}
    row = connection.execute(insert(users).values(**values).on_conflict_do_nothing().returning(users)).one_or_none()
    if row is None:
        raise Invalid(f"There is somebody called {name} already.")
    audit.note(connection, actor, Action.PERSON_ADDED, name, role=role, surveys=only)
    return _person(row)


def change(
    connection: sa.Connection, actor: str, name: str, role: Role, only: Sequence[str] | None, disabled: bool
) -> Person | None:
    """What somebody may do and see from now on; None when there is nobody of that name."""
    before = _locked(connection, name)
    if before is None:
        return None
    only = _choice(connection, role, only)
    same = (before.role, before.surveys, before.disabled_at is not None) == (role, only and tuple(only), disabled)
    if same:
        return before
    since = None if not disabled else before.disabled_at or sa.func.now()
    values = {"role": role, "surveys": only, "disabled_at": since}
    changing = sa.update(users).where(users.c.id == before.id).values(**values).returning(users)
    row = connection.execute(changing).one()
    if disabled:
        _log_out(connection, before.id)
    audit.note(connection, actor, Action.PERSON_CHANGED, name, role=role, surveys=only, disabled=disabled)
    return _person(row)


def set_password(
    connection: sa.Connection, actor: str, name: str, password_hash: str, keep: str | None = None
) -> Person | None:
    """Give somebody another password, and log them out, but of the session `keep`; None when there is nobody of that
    name."""
    person = _locked(connection, name)
    if person is None:
        return None
    changing = sa.update(users).where(users.c.id == person.id).values(password_hash=password_hash).returning(users)
    row = connection.execute(changing).one()
    _log_out(connection, person.id, keep)
    audit.note(connection, actor, Action.PASSWORD_SET, name)
    return _person(row)


def signed_in(connection: sa.Connection, subject: str, email: str | None) -> Person | None:
    """Who the provider's `subject` is here, disabled or not. The first time that is who is called `email`, an address
    that the provider has verified, unless it was somebody else to the provider before; None when it is nobody."""
    # One after the other, so that one subject never becomes two people's.
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"subject {subject}", 0))))
    known = connection.execute(sa.select(users).where(users.c.subject == subject)).one_or_none()
    if known is not None:
        return _person(known)
    free = (users.c.name == email, users.c.name != BUILT_IN, users.c.subject.is_(None), users.c.disabled_at.is_(None))
    row = connection.execute(sa.update(users).where(*free).values(subject=subject).returning(users)).one_or_none()
    if row is None:
        return None
    audit.note(connection, row.name, Action.SIGN_IN_KNOWN, row.name, subject=subject)
    return _person(row)


def forget_sign_in(connection: sa.Connection, actor: str, name: str) -> Person | None:
    """Forget whom somebody is to the provider, and log them out; None when there is nobody of that name."""
    person = _locked(connection, name)
    if person is None or person.subject is None:
        return person
    row = connection.execute(
        sa.update(users).where(users.c.id == person.id).values(subject=None).returning(users)
    ).one()
    _log_out(connection, person.id)
    audit.note(connection, actor, Action.SIGN_IN_FORGOTTEN, name)
    return _person(row)


def forget_survey(connection: sa.Connection, actor: str, slug: str) -> None:
    """A survey is gone: who was let see it sees no other that is made under its name later."""
    left = sa.func.array_remove(users.c.surveys, slug)
    seeing = sa.update(users).where(sa.literal(slug) == sa.any_(users.c.surveys)).values(surveys=left).returning(users)
    for person in sorted(map(_person, connection.execute(seeing)), key=lambda each: each.name):
        told = {"role": person.role, "surveys": person.surveys, "disabled": person.disabled_at is not None}
        audit.note(connection, actor, Action.PERSON_CHANGED, person.name, **told)


def _locked(connection: sa.Connection, name: str) -> Person | None:
    """Changes of one person come one after the other, and so do logging in and being disabled."""
    person = find(connection, name, hold=True)
    if person is not None and person.built_in:
        raise Invalid("The built-in admin stays as it is; its password is HEED_ADMIN_PASSWORD.")
    return person


def _choice(connection: sa.Connection, role: Role, only: Sequence[str] | None) -> list[str] | None:
    if only is None:
        return None
    if role is Role.ADMIN:
        raise Invalid("An admin sees every survey.")
    if not only:
        raise Invalid("Choose at least one survey.")
    known = set(connection.execute(sa.select(surveys.c.slug).where(surveys.c.slug.in_(only))).scalars())
    strange = sorted(set(only) - known)
    if strange:
        raise Invalid(f"There is no survey {strange[0]}.")
    return sorted(known)


def _log_out(connection: sa.Connection, user_id: int, keep: str | None = None) -> None:
    ended = sa.delete(sessions).where(sessions.c.user_id == user_id)
    connection.execute(ended if keep is None else ended.where(sessions.c.id != keep))


def _person(row: sa.Row[Any]) -> Person:
    only = None if row.surveys is None else tuple(row.surveys)
    has_password = row.password_hash is not None
    return Person(row.id, row.name, Role(row.role), only, row.created_at, row.disabled_at, has_password, row.subject)
