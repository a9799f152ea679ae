"""Logging in by an OpenID provider: to it, and back from it.

Guarantees: only who an admin has added gets in; what comes back counts only in the browser that it was begun in, within
minutes and once, also when two bring it at the same moment; a provider that is away or lies logs nobody in, and the
page says so.
"""

import hmac
import secrets
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from api.results.access import local_path
from api.results.entrance import Entrance, address
from heed.db import audit, logins, people
from heed.db import engine as db
from heed.db.audit import Action
from heed.db.used_links import use
from heed.errors import Later, Refused
from heed.settings import Settings
from heed.telemetry import LOGINS, log
from heed.web.problems import Problem

if TYPE_CHECKING:
    from api.results.oidc import Identity, Provider

COOKIE = "heed_sign_in"
PATH = "/login/oidc"
SECONDS = 600
_NEXT_MOST = 1000  # what is longer would not fit into a cookie
_STALE = "this login was begun in another browser or more than ten minutes ago, or it is over already. Begin it again."
_DATABASE = "the database is away at the moment. Try again."

Given = Annotated[str, Query(max_length=8000)]


def router(settings: Settings, engine: sa.Engine, entrance: Entrance, provider: "Provider | None") -> APIRouter:
    """The routes /login/oidc and /login/oidc/callback; 404 without a provider."""
    routes = APIRouter(include_in_schema=False)
    signed = URLSafeTimedSerializer(settings.need("secret_key"), salt="heed.sign-in")
    name = settings.oidc_name

    def failed(outcome: str, message: str, status: int, then: str = "/", wait: float = 0) -> Response:
        LOGINS.labels(outcome).inc()
        response = entrance.form(f"Nobody was logged in: {message}", status, then, wait, by="provider")
        response.delete_cookie(COOKIE, path=PATH)
        return response

    def away(then: str) -> Response:
        return failed("provider-away", f"{name} does not answer at the moment. Try again.", 503, then, wait=5)

    def not_believed(error: Refused, then: str) -> Response:
        log.warning("the sign-in provider is not believed", reason=str(error))
        return failed("provider-refused", f"what {name} answered is not to be trusted. Tell an admin.", 403, then)

    @routes.get(PATH)
    async def begin(request: Request, next: Given = "/") -> Response:
        asked = _there(provider)
        then = local_path(next) if len(next) <= _NEXT_MOST else "/"
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            there = await asked.address(state, nonce, verifier)
        except Later:
            return away(then)
        except Refused as error:
            return not_believed(error, then)
        response = RedirectResponse(there, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        kept = signed.dumps([state, nonce, verifier, then])
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, kept, SECONDS, path=PATH, httponly=True, samesite="lax", secure=secure)
        return response

    @routes.get(f"{PATH}/callback")
    async def back(
        request: Request, state: Given = "", code: Given = "", error: Given = "", iss: Given = ""
    ) -> Response:
        asked = _there(provider)
        try:
            begun, nonce, verifier, then = signed.loads(request.cookies.get(COOKIE, ""), max_age=SECONDS)
        except BadSignature:
            return failed("bad-state", _STALE, 403)
        if not hmac.compare_digest(begun.encode(), state.encode("utf-8", "surrogatepass")):
            return failed("bad-state", _STALE, 403, then)
        if error or not code:
            return failed("provider-refused", f"{name} said no. Try again, or ask who runs it.", 403, then)
        if iss and iss != asked.issuer:
            return not_believed(Refused("The answer is of another issuer."), then)
        try:
            number, wait = await run_in_threadpool(attempt, request, begun)
        except Later:
            return failed("database-away", _DATABASE, 503, then, wait=5)
        if wait:
            return failed("throttled", "too many attempts. Try again in some minutes.", 429, then, wait)
        try:
            identity = await asked.identify(code, nonce, verifier)
        except Later:
            return away(then)
        except Refused as refused:
            return not_believed(refused, then)
        try:
            return await run_in_threadpool(let_in, request, number, begun, identity, then)
        except Later:
            return failed("database-away", _DATABASE, 503, then, wait=5)

    def attempt(request: Request, state: str) -> tuple[int, float]:
        # Each is its own name: many people of one provider do not slow each other down, one address does.
        with db.begin(engine) as connection:
            return logins.attempt(connection, address(request), state)

    def let_in(request: Request, number: int, state: str, identity: "Identity", then: str) -> Response:
        with db.begin(engine) as connection:
            if not use(connection, state):
                return failed("bad-state", _STALE, 403, then)
            person = people.signed_in(connection, identity.subject, identity.email)
            token = entrance.begin(connection, request, person.name, "provider") if person else None
            if token is None:
                audit.note(connection, person.name if person else "(nobody)", Action.LOGIN_FAILED, by="provider")
            logins.succeeded(connection, number)  # whom the provider vouches for does not guess
        if token is not None:
            response = entrance.enter(request, token, then, by="provider")
            response.delete_cookie(COOKIE, path=PATH)
            return response
        if person is not None:
            return failed("provider-stranger", "you may no longer log in here. An admin can let you.", 403, then)
        if identity.email is None:
            return failed("provider-stranger", f"{name} has not verified your e-mail address.", 403, then)
        return failed("provider-stranger", f"an admin has to add {identity.email} to the people first.", 403, then)

    return routes


def _there(provider: "Provider | None") -> "Provider":
    if provider is None:
        raise Problem(404, "There is nothing at this address.")
    return provider
