"""Who may call the API, and how often: ASGI middleware in front of it.

Guarantees: nothing under the API's paths or the fault controls answers without credentials; every answer of the
API says how many requests are left in this minute.
"""

import base64
import binascii
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.sandbox.errors import ZendeskError, rate_limited, unauthenticated
from local.sandbox.store import AGENT_EMAIL

API = "/api/v2/"
GUARDED = (API, "/sandbox/faults")
NO_LIMIT = 1_000_000


class JsonSuffix:
    """Takes `.json` off the API's paths: with and without it they mean the same."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API):
            scope["path"] = scope["path"].removesuffix(".json")
        await self.app(scope, receive, send)


class Access:
    """Checks credentials and counts requests; `limit` is requests a minute, 0 for none."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit or NO_LIMIT
        self._minute, self._used = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self.app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["caller"] = caller(Headers(scope=scope).get("authorization", ""))
            if scope["path"].startswith(API):
                scope["app"].state.requests += 1
                send = self._with_headers(send, self._remaining())
        except ZendeskError as error:
            await error.response()(scope, receive, self._with_headers(send, 0))
            return
        await self.app(scope, receive, send)

    def _remaining(self) -> int:
        now = time.time()
        if int(now // 60) != self._minute:
            self._minute, self._used = int(now // 60), 0
        if self._used >= self.limit:
            raise rate_limited(str(60 - int(now % 60)))
        self._used += 1
        return self.limit - self._used

    def _with_headers(self, send: Send, remaining: int) -> Send:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Rate-Limit"] = str(self.limit)
                headers["X-Rate-Limit-Remaining"] = str(remaining)
            await send(message)

        return with_headers


def caller(authorization: str) -> str:
    """The address that `Authorization` speaks for; any token will do, but there must be one. Raises 401."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return AGENT_EMAIL
    if scheme.lower() == "basic":
        try:
            user, _, token = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise unauthenticated() from None
        email, slash, kind = user.rpartition("/")
        if slash and kind == "token" and email and token:
            return email.lower()
    raise unauthenticated()
