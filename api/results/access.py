"""Who may come in: managers with a session, programs with the API key; everybody else is turned away at the gate.

Guarantees: what is not listed here as open is closed, whatever routes are added later; what was shown behind the
gate is kept by no cache; secrets are compared in constant time.
"""

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.contracts import Judge
from heed.settings import Settings
from heed.web.problems import Problem

COOKIE = "heed_session"
SESSION_SECONDS = 12 * 3600
_OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login"})
_OPEN_BELOW = "/static/"
_JSON = ("/api/", "/openapi.json")


class Access:
    """Sessions, the password and the API key."""

    def __init__(self, settings: Settings) -> None:
        self._key = _digest(settings.api_key.get_secret_value()) if settings.api_key else None
        password = settings.admin_password.get_secret_value() if settings.admin_password else ""
        self._password = _digest(password) if password else None
        # The password is part of the salt, so that changing it ends every session.
        salt = f"heed.session.{hashlib.sha256(password.encode()).hexdigest()}"
        self._sessions = URLSafeTimedSerializer(settings.need("secret_key"), salt=salt)

    @property
    def has_password(self) -> bool:
        """Whether one can log in by password at all."""
        return self._password is not None

    def is_password(self, given: str) -> bool:
        """Whether that is the password; never when none is set."""
        return self._password is not None and hmac.compare_digest(_digest(given), self._password)

    def new_session(self) -> str:
        """A cookie's value, good for SESSION_SECONDS."""
        return self._sessions.dumps("manager")

    def admits(self, request: HTTPConnection) -> Judge | None:
        """Whose good key or session the request carries, if any; a 401 problem when it carries a wrong key."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self._key is None or not hmac.compare_digest(_digest(token.strip()), self._key):
                raise _unauthorized("This API key is not valid.", ' error="invalid_token"')
            return Judge.API
        try:
            self._sessions.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except BadSignature:
            return None
        return Judge.MANAGER


class Gate:
    """ASGI middleware: lets through what is open and whom `Access` admits, and sends the others to log in.

    Behind it `request.state.judge` says who asks.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            judge = self.access.admits(request)
            scope.setdefault("state", {})["judge"] = judge
            refusal = None if judge else _send_to_login(scope)
        except Problem as problem:
            refusal = problem.response()
        if refusal:
            await refusal(scope, receive, send)
            return

        async def not_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, not_kept)

    @staticmethod
    def _is_open(path: str) -> bool:
        return path in _OPEN or path.startswith(_OPEN_BELOW)


class Throttle:
    """Counts failures by address: after `most` within `seconds`, an address has to wait. Kept in memory."""

    _ADDRESSES = 10_000

    def __init__(self, most: int = 10, seconds: float = 300, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._failures: dict[str, deque[float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < self._most:
            return 0
        return max(failures[0] + self._seconds - self._clock(), 0)

    def failed(self, address: str) -> None:
        """This address failed just now."""
        # At the end of the dictionary stand those that failed last; whoever fails from many addresses pushes
        # out the oldest, not the memory's limit.
        failures = self._failures.pop(address, deque(maxlen=self._most))
        failures.append(self._clock())
        self._failures[address] = failures
        if len(self._failures) > self._ADDRESSES:
            del self._failures[next(iter(self._failures))]


def refuse_foreign(headers: Headers, settings: Settings) -> None:
    """A 403 problem when what is posted came from another site, as far as the browser tells; other tools tell nothing
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


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
