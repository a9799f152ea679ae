"""The loop: one receiver, a few workers. Receives only what a worker is free for and only while the gate is open.

Guarantees: a message is deleted when its work is committed, never before; what failed comes back after a growing
pause; a stop finishes the work in hand (for GRACE_SECONDS; what hangs longer is taken up again after its lease).
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from functools import partial

from heed.errors import Later, Paused
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.telemetry import TICKETS, log
from ticketing.gate import Gate
from ticketing.handler import Handler, Outcome
from ticketing.queue import Message, Queue

THREADS = 8
GRACE_SECONDS = 8.0
_BUSY_SECONDS = 10.0
_MOST_HIDDEN = 60.0


class Consumer:
    """Brings messages from the queue to the handler."""

    def __init__(self, events: Queue, handler: Handler, gate: Gate, stop: Stop, heartbeat: Heartbeat) -> None:
        self._events, self._handler, self._gate = events, handler, gate
        self._stop, self._heartbeat = stop, heartbeat
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._busy = 0
        self._changed = threading.Condition()

    def run(self) -> None:
        """Until told to stop."""
        for number in range(THREADS):
            threading.Thread(target=self._worker, name=f"ticket-{number}", daemon=True).start()
        backoff = Backoff()
        while not self._stop:
            room = self._room()
            if not room:
                continue
            self._heartbeat.beat()
            if self._gate.problem():
                self._probe()
                continue
            try:
                messages = self._events.receive(room)
            except Later as error:
                log.warning("receiving failed", error=str(error))
                self._stop.wait(backoff.next())
                continue
            backoff.reset()
            for message in messages:
                self._submit(partial(self._finish, message))
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, GRACE_SECONDS)

    def _room(self) -> int:
        """How many messages may be taken on; waits up to a second for the first. In doubt one at a time."""
        most = 1 if self._gate.doubtful else THREADS
        with self._changed:
            self._changed.wait_for(lambda: self._busy < most, 1)
            return max(most - self._busy, 0)

    def _probe(self) -> None:
        due = self._gate.due_in()
        if due > 0:
            self._stop.wait(min(due, 1))
        else:
            self._submit(self._check)

    def _submit(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._busy += 1
        self._work.put(work)

    def _worker(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a worker outlives whatever its work raises
                with contextlib.suppress(OSError):  # such as the log being on a disk that is full
                    log.error("unexpected", error=type(error).__name__)
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _check(self) -> None:
        try:
            self._handler.check()
        except Paused as error:
            log.error("paused", error=str(error))
            self._gate.paused(str(error))
        except Later as error:
            log.warning("the desk does not work yet", error=str(error))
            self._gate.failed(str(error), error.retry_after)
        except Exception as error:  # noqa: BLE001 - whatever it is, it does not work
            log.error("unexpected", error=type(error).__name__)
            self._gate.failed(type(error).__name__)
        else:
            self._gate.answered()

    def _finish(self, message: Message) -> None:
        if self._gate.problem():  # it closed while the message was on its way
            self._again(message, self._gate.due_in())
            return
        try:
            handled = self._handler.handle(message.id, message.body)
        except Exception as error:  # noqa: BLE001 - none of them may cost the message
            self._again(message, self._blame(message, error))
            return
        TICKETS.labels(handled.outcome).inc()
        if handled.outcome in (Outcome.OPENED, Outcome.REFUSED):
            self._gate.worked()
        if handled.again_in is None:
            self._done(message)
        else:
            # Whoever is on it is mostly done long before its lease ends.
            self._again(message, min(handled.again_in, _pause(message, _BUSY_SECONDS)))

    def _blame(self, message: Message, error: Exception) -> float:
        """Tell the gate and the log; seconds after which the message shall come again."""
        pause = _pause(message)
        match error:
            case Later():
                TICKETS.labels("later").inc()
                log.warning("later", message=message.id, error=str(error))
                self._gate.failed(str(error), error.retry_after)
                return error.retry_after or pause
            case Paused():
                TICKETS.labels("paused").inc()
                log.error("paused", message=message.id, error=str(error))
                self._gate.paused(str(error))
            case _:
                # Its text may hold what the customer wrote.
                TICKETS.labels("unexpected").inc()
                log.error("unexpected", message=message.id, error=type(error).__name__)
        return pause

    def _done(self, message: Message) -> None:
        try:
            self._events.delete(message)
        except Later as error:  # it comes again, and the ledger says that it is done
            log.warning("deleting failed", message=message.id, error=str(error))

    def _again(self, message: Message, seconds: float) -> None:
        try:
            self._events.hide(message, seconds)
        except Later as error:  # it comes again when its visibility runs out
            log.warning("hiding failed", message=message.id, error=str(error))


def _pause(message: Message, first: float = 1.0) -> float:
    """Seconds to hide it: `first`, doubled with each delivery."""
    return min(first * 2.0 ** (message.receives - 1), _MOST_HIDDEN)
