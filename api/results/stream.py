"""One viewer's stream of server-sent events.

Guarantees: it ends when the viewer goes, when they may look no more (api.results.revoked), when the process stops, and
after an hour, so that a browser that connects again shows whether it may still come in.
"""

import asyncio
import random

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.results.access import Who
from api.results.live import Live

HEARTBEAT_SECONDS = 15.0
MOST_SECONDS = 3600.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # asks a proxy to pass each event on at once
]


class Stream(Response):
    """The answer to a live request; as an ASGI app of its own, because thousands are open at once."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, survey: str, who: Who) -> None:
        super().__init__()
        self._live, self._survey, self._who = live, survey, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Spread, so that viewers who came together do not all come again together.
        ends = asyncio.get_running_loop().time() + MOST_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311
        channel, viewer = self._live.join(self._survey, self._who)
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: viewer.news.set())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await _part(send, b"retry: 2000\n\n")
            while not (gone.done() or viewer.over or self._live.closing or asyncio.get_running_loop().time() > ends):
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await viewer.news.wait()
                except TimeoutError:
                    await _part(send, b": still here\n\n")
                    continue
                message = channel.take(viewer)
                if message and not viewer.over:
                    await _part(send, message)
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            self._live.leave(self._survey, viewer)


async def _part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
