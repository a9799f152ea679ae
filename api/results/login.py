"""Logging in and out: by name and password, or by a one-time link.

Guarantees: a link works once, also when two use it at the same moment, and is not used up by a browser that only
looks ahead; guessing is slowed down by address and by name; who has no account is answered like who has a wrong
password, after the same time; other sites' forms are refused.
"""

import math
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Form, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse, Response

from api.results.access import COOKIE, Access, Who, refuse_foreign
from api.results.entrance import Entrance, address
from heed import passwords
from heed.contracts import BUILT_IN, PersonName
from heed.db import audit, logins, people, sessions
from heed.db import engine as db
from heed.db.audit import Action
from heed.db.used_links import use
from heed.errors import Invalid, Later
from heed.links import read_login_token
from heed.settings import Settings
from heed.telemetry import LOGINS

_INSTEAD = "Log in with the password instead."
_AWAY = "Nobody can log in at the moment, because the database is away. Try again."
_NAME = TypeAdapter(PersonName)


def router(settings: Settings, engine: sa.Engine, access: Access, entrance: Entrance) -> APIRouter:
    """The routes /login and /logout."""
    routes = APIRouter(include_in_schema=False)
    secret_key = settings.need("secret_key")

    @routes.get("/login")
    def show(request: Request, once: str = "", next: str = "/") -> Response:
        if not once:
            return entrance.form(then=next)
        if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            # An answer that says success would be shown later, as if the link had been followed.
            return Response(status_code=503, headers={"Cache-Control": "no-store"})
        try:
            nonce = read_login_token(secret_key, once)
            with db.begin(engine) as connection:
                token = entrance.begin(connection, request, BUILT_IN, "link") if use(connection, nonce) else None
        except Invalid as error:
            LOGINS.labels("bad-link").inc()
            return entrance.form(f"{error} {_INSTEAD}", 403)
        except Later:
            return entrance.form("The link cannot be checked at the moment. Try again in a moment.", 503, wait=5)
        if token is None:
            LOGINS.labels("used-link").inc()
            return entrance.form(f"This login link was already used. {_INSTEAD}", 403)
        return entrance.enter(request, token, "/", by="link")

    @routes.post("/login")
    def check(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        refuse_foreign(request.headers, settings)
        wanted = name.strip().lower() or BUILT_IN
        try:
            with db.begin(engine) as connection:
                number, wait = logins.attempt(connection, address(request), wanted)
            if wait:
                LOGINS.labels("throttled").inc()
                minutes = math.ceil(wait / 60)
                return entrance.form(f"Too many attempts. Try again in {minutes} min.", 429, next, wait, name)
            token = try_password(request, number, wanted, password)
        except Later:
            return entrance.form(_AWAY, 503, next, 5, name)
        if token is None:
            LOGINS.labels("bad-password").inc()
            return entrance.form("That is not the name and password of anybody here.", 403, next, name=name)
        return entrance.enter(request, token, next, by="password")

    def try_password(request: Request, number: int, wanted: str, password: str) -> str | None:
        with db.begin(engine) as connection:
            found = people.to_check(connection, wanted) if _is_name(wanted) else None
        kept = found[1] if found else None
        right = passwords.matches(kept, password)  # always, so that it takes the same time for everybody
        if found is not None and found[0].built_in:
            right = access.is_password(password)
        with db.begin(engine) as connection:
            # Looked up again: a new password, or being disabled, ends what began before it.
            unchanged = found is not None and people.to_check(connection, wanted, hold=True) == found
            token = entrance.begin(connection, request, wanted, "password") if right and unchanged else None
            if token is None:
                # What nobody is called may be a password in the wrong field.
                audit.note(connection, wanted if found else "(nobody)", Action.LOGIN_FAILED)
            else:
                logins.succeeded(connection, number)
        return token

    @routes.post("/logout")
    def leave(request: Request) -> Response:
        who: Who = request.state.who
        if who.session is not None:
            with db.begin(engine) as connection:
                sessions.log_out(connection, who.actor, who.session)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    return routes


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True
