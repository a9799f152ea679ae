"""Serving an ASGI app with uvicorn: in the main thread for a site, in the background for a loop's health."""

import atexit
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn

from heed import tracing
from heed.lifecycle import follow_parent, settle
from heed.settings import Settings
from heed.web.protocol import BoundedHttp

CONNECTIONS_MOST = 65_536
GRACE_SECONDS = 5


def _config(app: Any, settings: Settings, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.bind,
        port=port,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=4096,
    )


class _Server(uvicorn.Server):
    """Calls `stopping` before it waits for open requests: streams without an end have to be ended."""

    stopping: Callable[[], None] = staticmethod(lambda: None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping()
        await super().shutdown(sockets)
        tracing.close()  # uvicorn ends the process by the signal that it got: nothing runs at its exit


def serve(app: Any, settings: Settings, port: int, stopping: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT; then `stopping` is called (in the event loop) and open requests are finished."""
    with suppress(ValueError, OSError):  # each connection is a file; many systems begin at 1,024
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, CONNECTIONS_MOST), most))
    server = _Server(_config(app, settings, port))
    server.stopping = stopping
    follow_parent(lambda: setattr(server, "should_exit", True))
    settle()
    server.run()


def serve_in_background(app: Any, settings: Settings) -> None:
    """Serve health and metrics beside a loop, if HEED_OPS_PORT names a port; ends when the process does."""
    if settings.ops_port is not None:
        server = uvicorn.Server(_config(app, settings, settings.ops_port))
        thread = threading.Thread(target=server.run, name="ops", daemon=True)
        thread.start()

        def end() -> None:
            server.should_exit = True
            thread.join(GRACE_SECONDS + 1)

        # A loop that still ran while Python takes itself apart crashed one ended process in twenty.
        atexit.register(end)
