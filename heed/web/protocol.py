"""HTTP as uvicorn speaks it, with bounds on what comes before and around a request's body.

Guarantees: a connection that sends headers, chunk lengths or trailers without end is closed at HEAD_MAX, and one
whose head does not arrive is closed after HEAD_SECONDS; without them one visitor could take all memory, and a few
thousand all connections. Trailers never count as headers. The body has limits of its own (`heed.web.guards.BodyLimit`).
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 64 * 1024  # of a request that is not its body
HEAD_SECONDS = 15.0


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _around = 0  # bytes of this request so far that are not its body
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._has_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then see how much of it was not body."""
        self._around += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._around > HEAD_MAX:
            self.send_400_response("The request has too much before or around its body.")
        elif self._in_head and self._deadline is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        self._has_head()
        super().on_headers_complete()
        self.headers = []  # trailers would go there, past everything that looks at headers before the body

    def on_body(self, body: bytes) -> None:
        """Some of its body is here."""
        self._around = max(self._around - len(body), 0)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._around = 0
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _has_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
