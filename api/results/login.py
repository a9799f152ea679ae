"""Logging in and out: by password or by a one-time link.

Guarantees: a link works once, also when two use it at the same moment, and is not used up by a browser that only
looks ahead; guessing the password is slowed down by address; other sites' forms are refused.
"""

import math
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Form, Request
from sqlalchemy.dialects.postgresql import insert
from starlette.responses import RedirectResponse, Response

from api.results.access import COOKIE, SESSION_SECONDS, Access, Throttle, local_path, refuse_foreign
from api.results.templates import Templates
from heed.db import engine as db
from heed.db.tables import used_links
from heed.errors import Invalid, Later
from heed.links import VALID_SECONDS, read_login_token
from heed.settings import Settings
from heed.telemetry import LOGINS

_INSTEAD = "Log in with the password instead."


def router(settings: Settings, engine: sa.Engine, access: Access, templates: Templates) -> APIRouter:
    """The routes /login and /logout."""
    routes = APIRouter(include_in_schema=False)
    throttle = Throttle()
    secret_key = settings.need("secret_key")

    def form(request: Request, message: str = "", status: int = 200, then: str = "/", wait: float = 0) -> Response:
        headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
        values = {"message": message, "next": local_path(then), "has_password": access.has_password}
        return templates.page("login.html", status, headers, **values)

    def enter(request: Request, path: str, by: str) -> Response:
        LOGINS.labels(by).inc()
        response = RedirectResponse(path, 303, {"Cache-Control": "no-store"})
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, access.new_session(), SESSION_SECONDS, httponly=True, samesite="lax", secure=secure)
        return response

    @routes.get("/login")
    def show(request: Request, once: str = "", next: str = "/") -> Response:
        if not once:
            return form(request, then=next)
        if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            # An answer that says success would be shown later, as if the link had been followed.
            return Response(status_code=503, headers={"Cache-Control": "no-store"})
        try:
            first = _use(engine, read_login_token(secret_key, once))
        except Invalid as error:
            LOGINS.labels("bad-link").inc()
            return form(request, f"{error} {_INSTEAD}", 403)
        except Later:
            return form(
                request, "The link cannot be checked at the moment. Try again, or use the password.", 503, wait=5
            )
        if not first:
            LOGINS.labels("used-link").inc()
            return form(request, f"This login link was already used. {_INSTEAD}", 403)
        return enter(request, "/", by="link")

    @routes.post("/login")
    async def check(
        request: Request,
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        refuse_foreign(request.headers, settings)
        address = request.client.host if request.client else ""
        wait = throttle.wait(address)
        if wait:
            LOGINS.labels("throttled").inc()
            minutes = math.ceil(wait / 60)
            return form(request, f"Too many attempts. Try again in {minutes} min.", 429, next, wait)
        if not access.is_password(password):
            throttle.failed(address)
            LOGINS.labels("bad-password").inc()
            return form(request, "That is not the password." if access.has_password else "", 403, next)
        return enter(request, local_path(next), by="password")

    @routes.post("/logout")
    async def leave(request: Request) -> Response:
        refuse_foreign(request.headers, settings)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    return routes


def _use(engine: sa.Engine, nonce: str) -> bool:
    """Whether this is the nonce's first use; forgets those that have expired anyway."""
    expired = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, 2 * VALID_SECONDS)
    with db.begin(engine) as connection:
        connection.execute(sa.delete(used_links).where(used_links.c.used_at < expired))
        used = insert(used_links).values(nonce=nonce).on_conflict_do_nothing().returning(used_links.c.nonce)
        return connection.execute(used).first() is not None
