"""The JSON routes of people, sessions, API keys and the audit. Who may ask was settled at the gate.

Guarantees: a password or a key is answered once, to who made it, and kept nowhere in words.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.results.access import Who
from api.results.rights import ADMIN
from api.results.routes import asking
from heed import passwords
from heed.contracts import KeyScope, PersonName, Role
from heed.contracts.text import Slug, storable
from heed.db import api_keys, audit, people, sessions
from heed.db import engine as db
from heed.db.audit import Action
from heed.errors import Invalid
from heed.web.problems import Problem

T = TypeVar("T")
AUDIT_PAGE = 50
SURVEYS_MOST = 1_000

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
SessionId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
KeyName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(storable)
]
Surveys = Annotated[
    list[Slug] | None,
    Field(min_length=1, max_length=SURVEYS_MOST, description="Which surveys they see; null: all, as an admin does."),
]


class Me(BaseModel):
    """Who asks, and what they may do."""

    actor: str = Field(description="A person's name, `key` and its number, or HEED_API_KEY.")
    level: Literal["viewer", "manager", "admin"]
    surveys: list[str] | None = Field(description="Which surveys they see; null: all.")


class PersonShown(BaseModel):
    """Somebody who may log in, unless `disabled_at` says since when no longer."""

    name: str
    role: Role
    surveys: list[str] | None
    built_in: bool = Field(description="Their password is a setting, and they stay as they are.")
    created_at: datetime
    disabled_at: datetime | None


class NewPerson(BaseModel):
    """Somebody to add."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ann", "role": "viewer", "surveys": ["default"]}]}
    )

    name: PersonName
    role: Role
    surveys: Surveys = None


class PersonChange(BaseModel):
    """What changes; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "manager", "surveys": None}]})

    role: Role = Role.VIEWER
    surveys: Surveys = None
    disabled: bool = False


class PersonWithPassword(BaseModel):
    """Somebody with their new password, which is shown this once."""

    person: PersonShown
    password: str


class SessionShown(BaseModel):
    """Where somebody is logged in."""

    id: str
    created_at: datetime
    seen_at: datetime = Field(description="When it was used last, to the minute.")
    expires_at: datetime
    user_agent: str
    address: str
    current: bool = Field(description="It is the one that asks.")


class KeyShown(BaseModel):
    """An API key, without what makes it one."""

    id: int
    name: str
    shown: str = Field(description="Its first characters.")
    scopes: list[KeyScope]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None = Field(description="On this site, to the minute.")
    revoked_at: datetime | None


class NewKey(BaseModel):
    """A key to make. `submit` is of the feedback site; `manage` includes `read`, and `admin` both."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "the shop's server", "scopes": ["submit"]}]}
    )

    name: KeyName
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=len(KeyScope))]


class KeyMade(BaseModel):
    """A new key, which is shown this once."""

    info: KeyShown
    key: str


class Line(BaseModel):
    """A line of the audit: who did what to what."""

    id: int
    at: datetime
    actor: str
    action: str
    object: str
    detail: dict[str, Any]


class Audited(BaseModel):
    """A part of the audit, newest first; `next` is the `before` of the following part, null at the end."""

    items: list[Line]
    next: int | None


class AuditFilter(BaseModel):
    """Which lines; what is not given does not narrow."""

    model_config = ConfigDict(extra="forbid")

    actor: Annotated[str, Field(max_length=200), AfterValidator(storable)] | None = None
    action: Action | None = None
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = AUDIT_PAGE


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
        """Somebody new, with a password to hand on."""
        password = passwords.make()
        kept = passwords.hash_of(password)
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

    def sessions_of(self, name: str, who: Who) -> list[SessionShown]:
        """Where somebody is logged in; of who asks when it is a program: nowhere."""
        with db.begin(self._engine) as connection:
            rows = sessions.of(connection, name)
        return [SessionShown(**row, current=row["id"] == who.session) for row in rows]

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
