"""The worker's loop: read a batch, assess it, keep it, acknowledge it; while one batch is kept, the next is assessed.

Guarantees: an entry is acknowledged only after the transaction that stored or quarantined it; while Postgres or Redis
is away nothing is given up, the same batch is tried again; when everything fails, the worker stops instead of
quarantining it all.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from heed.errors import Later
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.settings import Settings
from heed.stream.queue import Delivery, Queue
from heed.telemetry import BATCH_SECONDS, log
from worker.handler import Batch, Handler

T = TypeVar("T")

REPLAY_SECONDS = 1.0
PUBLISH_SECONDS = 2.0


class Consumer:
    """One worker; `stop` ends its loop after what is in hand."""

    def __init__(self, settings: Settings, queue: Queue, handler: Handler, stop: Stop, heartbeat: Heartbeat) -> None:
        self._batch_size, self._reclaim_after = settings.batch_size, settings.reclaim_after
        self._queue, self._handler, self._stop, self._heartbeat = queue, handler, stop, heartbeat
        self._keeping: Future[None] | None = None
        self._stopped_waiting = False
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"

    def run(self) -> None:
        """Work until told to stop; raises TooManyFailures."""
        reclaim_at = replay_at = publish_at = 0.0
        with ThreadPoolExecutor(1, "keeper") as keeper:
            while not self._stop:
                self._heartbeat.beat()
                now = time.monotonic()
                if now >= publish_at:
                    publish_at = now + PUBLISH_SECONDS
                    self._try(lambda: self._handler.publish(self._queue.redis))
                if now >= replay_at:
                    replay_at = now + REPLAY_SECONDS
                    self._try(self._handler.replay)
                if now >= reclaim_at:
                    reclaim_at = now + self._reclaim_after / 2
                    for delivery in self._insist(self._reclaim) or []:
                        self._take(keeper, [delivery])  # one by one: among them may be what their worker died of
                self._take(keeper, self._insist(self._read) or [])
            self._kept()
        if not self._stopped_waiting:  # what is away may take long to say so, and a stop has its time
            self._try(lambda: self._queue.leave(self.name))

    def _take(self, keeper: ThreadPoolExecutor, deliveries: Sequence[Delivery]) -> None:
        """Assess deliveries while those before are kept, then have them kept."""
        batch = self._insist(lambda: self._handler.assess(deliveries)) if deliveries else None
        if batch is not None:
            self._kept()
            self._keeping = keeper.submit(self._keep, deliveries, batch)
        elif self._keeping is not None and self._keeping.done():
            self._kept()

    def _keep(self, deliveries: Sequence[Delivery], batch: Batch) -> None:
        """Keep and acknowledge; gives up only when told to stop."""

        def keep() -> bool:
            self._handler.keep(batch)
            return True

        started = time.monotonic()
        if self._insist(keep):
            self._insist(lambda: self._queue.done(deliveries))
            BATCH_SECONDS.observe(time.monotonic() - started)

    def _kept(self) -> None:
        """Wait for the batch that is being kept; raises what went wrong with it."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.result()

    def _read(self) -> list[Delivery]:
        return self._queue.read(self.name, self._batch_size, wait_seconds=1.0)

    def _reclaim(self) -> list[Delivery]:
        # Not while Postgres is away: waiting workers would hand entries round until they looked as if workers had died
        # of them. Nor while a batch of our own is on its way: its entries may look forgotten.
        self._handler.check()
        self._kept()
        return self._queue.reclaim(self.name, self._reclaim_after, self._batch_size)

    def _insist(self, action: Callable[[], T]) -> T | None:
        """Try until it works or a stop is asked for (None)."""
        pauses = Backoff()
        while True:
            self._heartbeat.beat()
            try:
                return action()
            except Later as error:
                log.warning("waiting", reason=str(error))
                if self._stop.wait(pauses.next()):
                    self._stopped_waiting = True
                    return None

    def _try(self, action: Callable[[], object]) -> None:
        """Do what can wait for the next time round."""
        try:
            action()
        except Later as error:
            log.warning("put-off", reason=str(error))
