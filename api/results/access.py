"""Who comes in and what they may do: people with a session, programs with an API key; everybody else is turned away at
the gate.

Guarantees: what the table of rights does not list is closed, whatever routes are added later; what was shown behind the
gate is kept by no cache; secrets are compared in constant time or by their digests; while Postgres is away nobody is
logged out, the gate answers 503; what another site makes a browser send changes nothing; what is costly is done in
turns, so that nobody takes the site from the others.
"""

import hmac
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.results.rights import LEVEL_OF_ROLE, Level, Right, level_of_scopes, rights_at
from api.results.turns import Turns
from heed.contracts import BUILT_IN, KEY_PREFIX, Judge, KeyScope, Role, fingerprint
from heed.db import api_keys, sessions
from heed.db import engine as db
from heed.errors import Later
from heed.settings import Settings
from heed.web.problems import Problem, as_problem

COOKIE = "heed_session"
_JSON = ("/api/", "/openapi.json")
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who was let in. `actor` is their name in the audit; `surveys` what they see (None: all).

    At most one of `session` (its digest) and `key` (the key's) is set; neither for HEED_API_KEY, which is a setting.
    """

    actor: str
    level: Level
    surveys: frozenset[str] | None = None
    session: str | None = None
    key: str | None = None

    @property
    def judge(self) -> Judge:
        """As whom they give verdicts."""
        return Judge.MANAGER if self.session else Judge.API

    def may(self, right: Right) -> bool:
        """Whether they have this right."""
        return self.level >= right.level and not (right.every_survey and self.surveys is not None)

    def sees(self, survey: str) -> bool:
        """Whether this survey is among theirs."""
        return self.surveys is None or survey in self.surveys

    def check_sees(self, survey: str) -> None:
        """A 404 problem, as for a survey that there is not, when it is not among theirs."""
        if not self.sees(survey):
            raise Problem(404, "There is no such survey.", kind="unknown-survey")


class Access:
    """Sessions, API keys, and the two secrets that are settings."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self._engine = engine
        self._key = fingerprint(settings.api_key.get_secret_value()) if settings.api_key else None
        password = settings.admin_password.get_secret_value() if settings.admin_password else ""
        self._password = fingerprint(password) if password else None
        # In the database, and of no use there for guessing the password: that takes the secret key as well.
        secret = settings.need("secret_key").encode()
        self._proof = hmac.new(secret, b"heed.admin-password." + password.encode(), sha256).hexdigest()

    @property
    def has_password(self) -> bool:
        """Whether the built-in admin can log in by password."""
        return self._password is not None

    def is_password(self, given: str) -> bool:
        """Whether that is the built-in admin's password; never when none is set."""
        return self._password is not None and hmac.compare_digest(fingerprint(given), self._password)

    def proof_for(self, name: str) -> str | None:
        """What a session of theirs keeps, so that a changed HEED_ADMIN_PASSWORD ends the built-in admin's."""
        return self._proof if name == BUILT_IN else None

    def admits(self, headers: Headers, cookie: str) -> Who | None:
        """Whose good key or session this is, if any; a 401 problem when it is a wrong key. Raises Later."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._by_key(token.strip())
        if not cookie:
            return None
        with db.begin(self._engine) as connection:
            who = self._standing(connection, [fingerprint(cookie)], ()).get(fingerprint(cookie))
            if who is not None and who.session is not None:
                sessions.seen(connection, who.session)
        return who

    def still(self, those: Collection[Who]) -> dict[Who, Who]:
        """Those who may still come in, with what they may now. Raises Later."""
        wanted = [who.session for who in those if who.session], [who.key for who in those if who.key]
        with db.begin(self._engine) as connection:
            found = self._standing(connection, *wanted)
        now = {who: found.get(who.session or who.key or "") if who.session or who.key else who for who in those}
        return {who: found for who, found in now.items() if found is not None}

    def _by_key(self, key: str) -> Who:
        if self._key is not None and hmac.compare_digest(fingerprint(key), self._key):
            return Who("HEED_API_KEY", Level.ADMIN)
        if key.startswith(KEY_PREFIX):
            with db.begin(self._engine) as connection:
                for row in api_keys.standing(connection, [fingerprint(key)]):
                    api_keys.used(connection, row["id"])
                    return _program(row)
        raise _unauthorized("This API key is not valid.", ' error="invalid_token"')

    def _standing(
        self, connection: sa.Connection, session_ids: Collection[str], digests: Collection[str]
    ) -> dict[str, Who]:
        found: dict[str, Who] = {}
        for row in sessions.standing(connection, session_ids) if session_ids else ():
            proof = self.proof_for(row["name"])
            if proof is None or hmac.compare_digest(row["proof"] or "", proof):
                only = None if row["surveys"] is None else frozenset(row["surveys"])
                found[row["id"]] = Who(row["name"], LEVEL_OF_ROLE[Role(row["role"])], only, session=row["id"])
        for row in api_keys.standing(connection, digests) if digests else ():
            found[row["digest"]] = _program(row)
        return found


def _program(row: sa.RowMapping) -> Who:
    scopes = [scope for scope in KeyScope if scope in row["scopes"]]
    return Who(f"key {row['id']}", level_of_scopes(scopes), key=row["digest"])


class Gate:
    """ASGI middleware: lets through what is open and who has the right, and sends those who are nobody to log in.

    Behind it `request.state.who` says who asks. `refuse` makes an answer of a problem, as a page where one was wanted.
    """

    def __init__(
        self, app: ASGIApp, access: Access, settings: Settings, refuse: Callable[[HTTPConnection, Problem], Response]
    ) -> None:
        self.app, self._access, self._settings, self._refuse = app, access, settings, refuse
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        method = "GET" if scope.get("method") == "HEAD" else scope.get("method", "")
        rights = rights_at(scope["path"])
        right = rights.get(method)
        if right is not None and right.level is Level.NOBODY:
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            who = await run_in_threadpool(self._access.admits, request.headers, request.cookies.get(COOKIE, ""))
            scope.setdefault("state", {})["who"] = who
            refusal = None if who else _send_to_login(scope)
            if who is not None:
                self._check(who, method, right, rights, request.headers)
        except (Problem, Later) as error:
            refusal = self._refuse(request, as_problem(error))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def not_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("cache-control", "no-store")
            await send(message)

        if right is None or not right.costly or who is None:
            await self.app(scope, receive, not_kept)
            return
        async with AsyncExitStack() as held:
            try:
                turn = await held.enter_async_context(self._turns.one(who.actor))
            except Problem as busy:
                await self._refuse(request, busy)(scope, receive, not_kept)
                return

            async def in_turn(message: Message) -> None:
                waits = message.get("more_body", False)  # for its reader, and asks nothing of Postgres meanwhile
                if waits:
                    turn.leave()
                await not_kept(message)
                if waits:
                    await turn.take()

            await self.app(scope, receive, in_turn)

    def _check(self, who: Who, method: str, right: Right | None, rights: dict[str, Right], headers: Headers) -> None:
        if not rights:
            raise Problem(404, "There is nothing at this address.")
        if right is None:
            allowed = ", ".join(sorted(rights))
            raise Problem(405, "This address does not take that method.", headers={"Allow": allowed})
        if not who.may(right):
            raise Problem(403, "You may not do or see this; an admin can let you.", kind="forbidden")
        if who.session is not None and method not in _SAFE:
            refuse_foreign(headers, self._settings)


def refuse_foreign(headers: Headers, settings: Settings) -> None:
    """A 403 problem when what is sent came from another site, as far as the browser tells; other tools tell nothing
    and may.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    ours = {f"{scheme}://{headers.get('host')}" for scheme in ("http", "https")}
    if settings.results_url:
        ours.add(str(settings.results_url).rstrip("/"))
    foreign = site not in ("same-origin", "none") if site is not None else origin not in (None, *ours)
    if foreign:
        raise Problem(403, "This was sent from another site.", kind="cross-origin")


def local_path(path: str) -> str:
    """`path` if it leads to this site, else `/`. Browsers take `//host`, `/\\host` and tabs for elsewhere."""
    leads_away = not path.startswith("/") or path[1:2] in ("/", "\\") or any(ord(char) < 0x20 for char in path)
    return "/" if leads_away else path


def _send_to_login(scope: Scope) -> Response:
    path = scope["path"]
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or path.startswith(_JSON):
        return _unauthorized("Log in, or send an API key as `Authorization: Bearer`.").response()
    query = scope["query_string"].decode("latin-1")
    wanted = quote(f"{path}?{query}" if query else path, safe="/")
    return RedirectResponse(f"/login?next={wanted}" if path != "/" else "/login", 303, {"Cache-Control": "no-store"})


def _unauthorized(detail: str, why: str = "") -> Problem:
    return Problem(401, detail, kind="unauthorized", headers={"WWW-Authenticate": f'Bearer realm="Heed"{why}'})
