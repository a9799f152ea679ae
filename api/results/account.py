"""One's own account: a password of one's own choice, and where one is logged in; as JSON and as a page.

Guarantees: a password changes only for who knows the old one, and guessing that is slowed down as logging in is; with
the change every other session of theirs ends, in the same transaction; no password is kept in words.
"""

import math
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import RedirectResponse, Response

from api.results.access import Who
from api.results.entrance import address
from api.results.people import People
from api.results.routes import asking
from api.results.templates import Templates
from heed import passwords
from heed.contracts import BUILT_IN
from heed.db import audit, logins, people
from heed.db import engine as db
from heed.db.audit import Action
from heed.web.problems import Problem, invalid

LEAST, MOST = 12, 200
_SETTING = "Your password is the setting HEED_ADMIN_PASSWORD; who runs Heed changes it there."
_NONE = "You have no password to change: you log in by another way."

Old = Annotated[str, Field(max_length=MOST, description="The one that you have now.")]
New = Annotated[str, Field(min_length=LEAST, max_length=MOST, description="The one that you want.")]


class PasswordChange(BaseModel):
    """Another password for oneself."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"old": "kB3x-9sQd_1mWz7a", "new": "four words of my choice"}]}
    )

    old: Old
    new: New


def router(engine: sa.Engine, persons: People, templates: Templates) -> APIRouter:
    """The routes /api/v1/me/password, /sessions and /sessions/password."""
    routes = APIRouter()

    def mine(who: Who) -> people.Person:
        if who.session is None:
            raise Problem(422, "Only who is logged in has a password; a program has its key.", kind="no-password")
        with db.begin(engine) as connection:
            person = people.find(connection, who.actor)
        assert person is not None, "people are disabled, never deleted"
        return person

    def change(request: Request, wanted: PasswordChange) -> None:
        who = asking(request)
        person = mine(who)
        if not person.has_password:
            raise Problem(422, _SETTING if who.actor == BUILT_IN else _NONE, kind="no-password")
        with db.begin(engine) as connection:
            number, wait = logins.attempt(connection, address(request), who.actor)
            found = people.to_check(connection, who.actor)
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            minutes = math.ceil(wait / 60)
            raise Problem(
                429, f"Too many attempts. Try again in {minutes} min.", kind="too-many-attempts", headers=headers
            )
        if not passwords.matches(found[1] if found else None, wanted.old):
            with db.begin(engine) as connection:
                audit.note(connection, who.actor, Action.PASSWORD_REFUSED, who.actor)
            raise Problem(403, "That is not the password that you have now.", kind="wrong-password")
        if wanted.new in (wanted.old, who.actor):
            raise Problem(422, "Choose another password than the one you have, and than your name.", kind="invalid")
        kept = passwords.hash_of(wanted.new)
        with db.begin(engine) as connection:
            people.find(connection, who.actor, hold=True)
            # Looked up again: what an admin did meanwhile stands.
            if people.to_check(connection, who.actor) != found:
                raise Problem(409, "Somebody changed your account at this moment. Try again.", kind="changed")
            people.set_password(connection, who.actor, who.actor, kept, keep=who.session)
            logins.succeeded(connection, number)

    def page(request: Request, problem: Problem | None = None) -> Response:
        who = asking(request)
        values = {
            "person": mine(who) if who.session else None,
            "sessions": persons.sessions_of(who.actor, who),
            "problem": problem.detail if problem else "",
            "changed": "changed" in request.query_params,
            "least": LEAST,
            "most": MOST,
        }
        headers = problem.headers if problem else None
        return templates.page("account.html", problem.status if problem else 200, headers, who=who, **values)

    @routes.post("/api/v1/me/password", status_code=204)
    def my_password(wanted: PasswordChange, request: Request) -> None:
        """Change your own password. Your other sessions end; a program has none.

        403: the old one is wrong. 429: too many attempts; `Retry-After` says how long to wait.
        """
        change(request, wanted)

    @routes.get("/sessions", include_in_schema=False)
    def account(request: Request) -> Response:
        return page(request)

    @routes.post("/sessions/password", include_in_schema=False)
    def by_form(
        request: Request,
        old: Annotated[str, Form()] = "",
        new: Annotated[str, Form()] = "",
        again: Annotated[str, Form()] = "",
    ) -> Response:
        try:
            wanted = PasswordChange(old=old, new=new)
            if again != new:
                raise Problem(422, "The new password was not written the same way twice.", kind="invalid")
            change(request, wanted)
        except ValidationError as error:
            said = invalid(error)
            length = f"A password has at least {LEAST} characters, and at most {MOST}."
            return page(request, Problem(422, length, kind="invalid", errors=said.extensions["errors"]))
        except Problem as problem:
            return page(request, problem)
        return RedirectResponse("/sessions?changed", 303)

    return routes
