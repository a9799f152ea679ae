"""ASGI middleware that guards a site: a cap and a deadline on request bodies, and security headers.

Guarantees: a body over the cap is answered 413 while it streams in, before anything holds it whole; a body that
trickles is answered 408, a form that is not in UTF-8 415; no page can be sniffed or made to run script from elsewhere,
and none can be framed unless it says by whom.
"""

import asyncio
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.web.problems import Problem

# 5,000 characters cost at most 12 bytes each as JSON escapes or form encoding; the rest is room for the contact.
BODY_MAX = 80 * 1024
BODY_SECONDS = 15.0

# A form may name any codec that Python has, and some of them make text that nothing can store.
_CHARSET = re.compile(rb"""charset(?!=["']?utf-8["']?\s*(;|$))""", re.IGNORECASE)


def csp(frame_ancestors: str = "'none'", frame_src: str = "'none'") -> str:
    """The content security policy of a page: who may frame it, and what it frames; the rest is the same for all."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-src {frame_src}; "
        f"frame-ancestors {frame_ancestors}"
    )


SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"content-security-policy", csp().encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class BodyLimit:
    """Reads the whole body under a cap and a deadline, then hands it on as one message."""

    def __init__(self, app: ASGIApp, most: int = BODY_MAX, seconds: float = BODY_SECONDS) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))  # of two with one name the first counts, as it does everywhere
        declared = headers.get(b"content-length", b"")
        try:
            if _CHARSET.search(headers.get(b"content-type", b"")):
                raise Problem(415, "Send text as UTF-8.", kind="not-utf-8")
            if declared.isdigit() and int(declared) > self.most:
                raise self._too_large()
            async with asyncio.timeout(self.seconds):
                whole = await self._whole(receive)
        except TimeoutError:
            await self._refuse(
                Problem(408, "The request's body did not arrive in time.", kind="slow"), scope, receive, send
            )
            return
        except Problem as problem:
            await self._refuse(problem, scope, receive, send)
            return
        if whole["type"] == "http.disconnect":  # nobody is there to answer, and nothing is wrong with the site
            return
        waiting: list[Message] = [whole]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, replay, send)

    async def _whole(self, receive: Receive) -> Message:
        message = await receive()
        if not message.get("more_body"):  # nearly always: the whole body, at once
            return self._within(message, len(message.get("body", b"")))
        body = bytearray()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            self._within(message, len(body))
            if not message.get("more_body"):
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            message = await receive()
        return message

    def _within(self, message: Message, size: int) -> Message:
        if size > self.most:
            raise self._too_large()
        return message

    def _too_large(self) -> Problem:
        return Problem(413, f"The request's body is over {self.most // 1024} KB.", kind="too-large")

    @staticmethod
    async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem.response()
        response.headers["connection"] = "close"  # what is still on its way is not read
        await response(scope, receive, send)


class SecurityHeaders:
    """Adds the headers above to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers.extend(pair for pair in SECURITY_HEADERS if pair[0] not in present)
            await send(message)

        await self.app(scope, receive, with_headers)
