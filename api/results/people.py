"""The JSON routes of people, sessions, API keys and the audit. Who may ask was settled at the gate.

Guarantees: a password or a key is answered once, to who made it, and kept nowhere in words.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request

from api.results.access import Who
from api.results.devices import device_of
from api.results.people_models import (
    Audited,
    AuditFilter,
    KeyMade,
    KeyShown,
    Line,
    Me,
    NewKey,
    NewPerson,
    Number,
    PersonChange,
    PersonShown,
    PersonWithPassword,
    SessionId,
    SessionShown,
)
from api.results.rights import ADMIN
from api.results.routes import asking
from heed import passwords
from heed.contracts import PersonName, Role
from heed.db import api_keys, audit, people, sessions
from heed.db import engine as db
from heed.errors import Invalid
from heed.web.problems import Problem

T = TypeVar("T")


class People:
    """What the JSON routes and the pages do alike, each in one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def every(self) -> list[PersonShown]:
        """All people."""
        with db.begin(self._engine) as connection:
            return [_person(each) for each in people.every(connection)]

    def one(self, name: str) -> PersonShown:
        """Somebody; a 404 problem when there is nobody of that name."""
        with db.begin(self._engine) as connection:
            return _person(_found(people.find(connection, name)))

    def add(self, who: Who, wanted: NewPerson) -> PersonWithPassword:
        """Somebody new, with a password to hand on unless they need none."""
        password = passwords.make() if wanted.password else None
        kept = passwords.hash_of(password) if password else None
        with db.begin(self._engine) as connection:
            made = _tried(lambda: people.add(connection, who.actor, wanted.name, wanted.role, wanted.surveys, kept))
        return PersonWithPassword(person=_person(made), password=password)

    def change(self, who: Who, name: str, change: PersonChange) -> PersonShown:
        """What is given of a change."""
        with db.begin(self._engine) as connection:
            before = _person(_found(people.find(connection, name, hold=True)))
            given = before.model_dump(include={"role", "surveys"}) | {"disabled": before.disabled_at is not None}
            given |= change.model_dump(exclude_unset=True)
            changed = _tried(
                lambda: people.change(
                    connection, who.actor, name, Role(given["role"]), given["surveys"], given["disabled"]
                )
            )
            return _person(_found(changed))

    def new_password(self, who: Who, name: str) -> PersonWithPassword:
        """Another password for somebody, who is logged out."""
        password = passwords.make()
        kept = passwords.hash_of(password)
        with db.begin(self._engine) as connection:
            person = _found(_tried(lambda: people.set_password(connection, who.actor, name, kept)))
        return PersonWithPassword(person=_person(person), password=password)

    def forget_sign_in(self, who: Who, name: str) -> PersonShown:
        """Whom somebody is to the provider is known no more."""
        with db.begin(self._engine) as connection:
            return _person(_found(_tried(lambda: people.forget_sign_in(connection, who.actor, name))))

    def sessions_of(self, name: str, who: Who) -> list[SessionShown]:
        """Where somebody is logged in; of who asks when it is a program: nowhere."""
        with db.begin(self._engine) as connection:
            rows = sessions.of(connection, name)
        return [
            SessionShown(**row, device=device_of(row["user_agent"]), current=row["id"] == who.session) for row in rows
        ]

    def revoke(self, who: Who, session_id: str, every: bool) -> None:
        """End one's own session, or (`every`) anybody's; a 404 problem when there is none such."""
        with db.begin(self._engine) as connection:
            if not sessions.revoke(connection, who.actor, session_id, None if every else who.actor):
                raise Problem(404, "There is no such session.", kind="unknown-session")

    def revoke_all(self, who: Who, name: str) -> None:
        """Log somebody out everywhere."""
        with db.begin(self._engine) as connection:
            _found(people.find(connection, name))
            sessions.revoke_all(connection, who.actor, name)

    def keys(self) -> list[KeyShown]:
        """All keys."""
        with db.begin(self._engine) as connection:
            return [KeyShown(**row) for row in api_keys.every(connection)]

    def make_key(self, who: Who, wanted: NewKey) -> KeyMade:
        """A new key."""
        with db.begin(self._engine) as connection:
            number, key = api_keys.make(connection, who.actor, wanted.name, wanted.scopes)
            row = api_keys.one(connection, number)
            assert row is not None
            return KeyMade(info=KeyShown(**row), key=key)

    def revoke_key(self, who: Who, number: int) -> None:
        """End a key; a 404 problem when there is none of that number."""
        with db.begin(self._engine) as connection:
            if not api_keys.revoke(connection, who.actor, number):
                raise Problem(404, "There is no such key.", kind="unknown-key")

    def audit(self, wanted: AuditFilter) -> Audited:
        """A part of the audit."""
        with db.begin(self._engine) as connection:
            rows = audit.page(connection, wanted.limit + 1, wanted.before, wanted.actor, wanted.action)
        items = [Line(**row) for row in rows[: wanted.limit]]
        return Audited(items=items, next=items[-1].id if len(rows) > wanted.limit else None)


def router(persons: People) -> APIRouter:
    """The routes under /api/v1."""
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/me")
    def me(request: Request) -> Me:
        """Who asks, and what they may do."""
        who = asking(request)
        only = None if who.surveys is None else sorted(who.surveys)
        return Me(actor=who.actor, level=who.level.name.lower(), surveys=only)

    @routes.get("/people")
    def every() -> list[PersonShown]:
        """Who may log in."""
        return persons.every()

    @routes.post("/people", status_code=201)
    def add(wanted: NewPerson, request: Request) -> PersonWithPassword:
        """Add somebody. Their password is answered this once."""
        return persons.add(asking(request), wanted)

    @routes.patch("/people/{name}")
    def change(name: PersonName, change: PersonChange, request: Request) -> PersonShown:
        """Change what somebody may do and see, or disable them, which logs them out everywhere."""
        return persons.change(asking(request), name, change)

    @routes.post("/people/{name}/password")
    def new_password(name: PersonName, request: Request) -> PersonWithPassword:
        """Give somebody another password, answered this once, and log them out everywhere."""
        return persons.new_password(asking(request), name)

    @routes.delete("/people/{name}/sign-in")
    def forget_sign_in(name: PersonName, request: Request) -> PersonShown:
        """Forget whom somebody is to the provider, and log them out everywhere.

        The next time they are found by their verified e-mail address again. For when the provider knows them anew.
        """
        return persons.forget_sign_in(asking(request), name)

    @routes.get("/people/{name}/sessions")
    def sessions_of(name: PersonName, request: Request) -> list[SessionShown]:
        """Where somebody is logged in."""
        return persons.sessions_of(persons.one(name).name, asking(request))

    @routes.delete("/people/{name}/sessions", status_code=204)
    def log_out(name: PersonName, request: Request) -> None:
        """Log somebody out everywhere."""
        persons.revoke_all(asking(request), name)

    @routes.get("/sessions")
    def mine(request: Request) -> list[SessionShown]:
        """Where you are logged in; a program is nowhere."""
        who = asking(request)
        return persons.sessions_of(who.actor, who)

    @routes.delete("/sessions/{session_id}", status_code=204)
    def revoke(session_id: SessionId, request: Request) -> None:
        """End one of your sessions; an admin ends anybody's."""
        who = asking(request)
        persons.revoke(who, session_id, may_end_all(who))

    @routes.get("/keys")
    def keys() -> list[KeyShown]:
        """API keys that were made, without what makes them keys."""
        return persons.keys()

    @routes.post("/keys", status_code=201)
    def make_key(wanted: NewKey, request: Request) -> KeyMade:
        """Make an API key. It is answered this once."""
        return persons.make_key(asking(request), wanted)

    @routes.delete("/keys/{number}", status_code=204)
    def revoke_key(number: Number, request: Request) -> None:
        """End a key: here at once, on the feedback site within seconds."""
        persons.revoke_key(asking(request), number)

    @routes.get("/audit")
    def lines(wanted: Annotated[AuditFilter, Query()]) -> Audited:
        """Who did what, newest first, in parts."""
        return persons.audit(wanted)

    return routes


def may_end_all(who: Who) -> bool:
    """Whether they may end others' sessions."""
    return who.may(ADMIN)


def _person(person: people.Person) -> PersonShown:
    only = None if person.surveys is None else list(person.surveys)
    return PersonShown(
        name=person.name,
        role=person.role,
        surveys=only,
        built_in=person.built_in,
        has_password=person.has_password,
        signs_in=person.subject is not None,
        created_at=person.created_at,
        disabled_at=person.disabled_at,
    )


def _found(person: people.Person | None) -> people.Person:
    if person is None:
        raise Problem(404, "There is nobody of this name.", kind="unknown-person")
    return person


def _tried(action: Callable[[], T]) -> T:
    try:
        return action()
    except Invalid as error:
        raise Problem(422, str(error), kind="invalid") from None
