"""Live results: one thread listens to Postgres, asks once for each burst of changes, and hands the same bytes to all
viewers of a survey.

Guarantees: a viewer always ends up with the newest state and a slow one misses only states in between; the number of
viewers costs Postgres nothing; while Postgres is away viewers are told so, and get the fresh state when it is back.
"""

import asyncio
import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from uuid import UUID

from psycopg2.extensions import connection as PsycopgConnection

from api.results.access import Who
from api.results.models import Item, Push
from heed.db.engine import listener
from heed.db.notify import CHANNEL
from heed.errors import Later
from heed.lifecycle import Backoff
from heed.settings import Settings
from heed.telemetry import LIVE_VIEWERS, log

PUSH_SECONDS = 0.25  # at most so often
# The window of hours moves on, and so do ticket states that nobody announces.
REFRESH_SECONDS = 30.0
AWAY = b'event: away\ndata: {"detail": "The database is away; what you see is the last known state."}\n\n'


@dataclass(eq=False, slots=True)
class Viewer:
    """One open connection, and whose. `seen` is the version it was given last; `over`: it may see no more."""

    who: Who
    news: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0
    over: bool = False


@dataclass(eq=False, slots=True)
class Channel:
    """A survey that somebody watches; touched only in the event loop."""

    viewers: set[Viewer] = field(default_factory=set)
    version: int = 0
    whole: bytes = b""  # for those who come, or who missed something
    delta: bytes = b""  # for those who have the version before

    def show(self, whole: bytes, delta: bytes) -> None:
        """A new version for all viewers."""
        self.version += 1
        self.whole, self.delta = whole, delta
        for viewer in self.viewers:
            viewer.news.set()

    def take(self, viewer: Viewer) -> bytes:
        """What this viewer has not seen; nothing when it has seen all."""
        viewer.news.clear()
        missed, viewer.seen = self.version - viewer.seen, self.version
        if missed == 0:
            return b""
        return self.delta if missed == 1 and self.version > 1 else self.whole


class Live:
    """The channels and the thread that feeds them. `load` reads a survey's state from Postgres; it may raise."""

    def __init__(self, settings: Settings, load: Callable[[str], Push]) -> None:
        self._settings, self._load = settings, load
        self._channels: dict[str, Channel] = {}
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._shown: dict[str, dict[UUID, Item]] = {}  # the thread's: what `newest` held before
        self._bell, self._ear = socket.socketpair()  # wakes the thread
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._listen, name="live", daemon=True)
        self.closing = False

    # In the event loop

    def start(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """End all open streams, and listening; harmless when called again."""
        self.closing = True
        for channel in self._channels.values():
            for viewer in channel.viewers:
                viewer.news.set()
        self._ring()

    async def stopped(self) -> None:
        """Wait until the thread is gone."""
        await asyncio.to_thread(self._thread.join, 5)
        if not self._thread.is_alive():
            self._bell.close()
            self._ear.close()

    def watched(self, survey: str) -> bool:
        """Whether somebody watches this survey already, so that it is known to exist."""
        return survey in self._channels

    def join(self, survey: str, who: Who) -> tuple[Channel, Viewer]:
        """A new viewer; the current state comes at once, or as soon as it is read."""
        channel, viewer = self._channels.setdefault(survey, Channel()), Viewer(who)
        channel.viewers.add(viewer)
        LIVE_VIEWERS.inc()
        if channel.version:
            viewer.news.set()
        else:
            self._asked.put(survey)
            self._ring()
        return channel, viewer

    def leave(self, survey: str, viewer: Viewer) -> None:
        """The viewer is gone; the last one takes the channel along."""
        channel = self._channels[survey]
        channel.viewers.remove(viewer)
        LIVE_VIEWERS.dec()
        if not channel.viewers:
            del self._channels[survey]

    def viewers(self) -> list[tuple[str, Viewer]]:
        """All of them, with the survey that each watches."""
        return [(survey, viewer) for survey, channel in self._channels.items() for viewer in channel.viewers]

    def _show(self, survey: str, whole: bytes, delta: bytes) -> None:
        channel = self._channels.get(survey)
        if channel is not None:
            channel.show(whole, delta)

    # In the thread

    def _listen(self) -> None:
        backoff = Backoff(most=5)
        while not self.closing:
            try:
                with closing(listener(self._settings, "results", CHANNEL)) as connection:
                    self._follow(connection, backoff)
            except Exception as error:  # noqa: BLE001 - whatever it is, viewers must not wait for ever
                log.warning("live results interrupted", error=type(error).__name__)
                self._shown.clear()  # so that the first state afterwards is a whole one
                for survey in tuple(self._channels):
                    self._post(survey, AWAY, AWAY)
                self._heard(None, backoff.next())

    def _follow(self, connection: PsycopgConnection, backoff: Backoff) -> None:
        due = set(self._channels)  # nobody listened until now
        next_push, next_refresh = 0.0, time.monotonic() + REFRESH_SECONDS
        while not self.closing:
            now = time.monotonic()
            if now >= next_refresh:
                due.update(self._channels)
                next_refresh = now + REFRESH_SECONDS
            if due and now >= next_push:
                for survey in due.intersection(tuple(self._channels)):
                    self._push(survey)
                due = set()
                backoff.reset()
                next_push = time.monotonic() + PUSH_SECONDS
            until = next_push if due else next_refresh
            due |= self._heard(connection, max(until - time.monotonic(), 0))

    def _heard(self, connection: PsycopgConnection | None, seconds: float) -> set[str]:
        """Wait up to `seconds`, or for news: the surveys that changed or that somebody has begun to watch."""
        poll = select.poll()  # select would refuse files numbered past 1,023, and each viewer is a file
        for source in (self._ear, connection) if connection is not None else (self._ear,):
            poll.register(source, select.POLLIN)
        poll.poll(seconds * 1000)
        due: set[str] = set()
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
        while not self._asked.empty():
            due.add(self._asked.get())
        if connection is not None:
            connection.poll()
            due.update(notice.payload for notice in connection.notifies)
            connection.notifies.clear()
        return due

    def _push(self, survey: str) -> None:
        try:
            state = self._load(survey)
        except Later:
            raise
        except Exception as error:  # noqa: BLE001 - one survey that cannot be read must not blind the others
            log.error("results cannot be read", survey=survey, error=type(error).__name__)
            self._shown.pop(survey, None)
            self._post(survey, AWAY, AWAY)
            return
        before, self._shown[survey] = self._shown.get(survey, {}), {item.id: item for item in state.newest}
        changed = [item for item in state.newest if before.get(item.id) != item]
        self._post(survey, _event(state), _event(state.model_copy(update={"newest": changed})))

    def _post(self, survey: str, whole: bytes, delta: bytes) -> None:
        assert self._loop is not None
        if not self.closing:
            self._loop.call_soon_threadsafe(self._show, survey, whole, delta)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: nobody is there to hear
            self._bell.send(b"!")


def _event(push: Push) -> bytes:
    number = int(push.results.as_of.timestamp() * 1000)
    return b"id: %d\nevent: results\ndata: %b\n\n" % (number, push.model_dump_json().encode())
