"""How a long-running process stops and shows that it makes progress.

Guarantees: SIGTERM and SIGINT ask for a stop and interrupt waiting, work in hand is finished; a child of the
one-machine supervisor stops when the supervisor is gone, however it went.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable


class Stop:
    """A request to stop, from a signal or from the process itself."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        """Ask for a stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as a stop is asked for."""
        return self._event.wait(seconds)

    def on_signals(self) -> "Stop":
        """Listen to SIGTERM and SIGINT (call in the main thread)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.request())
        follow_parent(self.request)
        return self


def follow_parent(stop: Callable[[], None]) -> None:
    """Call `stop` when standard input closes, if the parent asked for it with HEED_FOLLOW_PARENT=1.

    The supervisor holds the other end of that pipe, so even its kill -9 leaves no orphans.
    """
    if os.environ.get("HEED_FOLLOW_PARENT") != "1":
        return

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop()

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def settle() -> None:
    """Call when a process is set up: what was made so far stays for good, so the garbage collector need not look
    through it again at each full collection (a pause of tens of milliseconds, seen in the tail of answer times)."""
    gc.collect()
    gc.freeze()


class Heartbeat:
    """Touched by a loop each time round; health is its age, so a hung loop is not called healthy."""

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Say that the loop went round."""
        self._last = self._clock()

    def problem(self) -> str | None:
        """None while the last beat is younger than the limit, else a sentence."""
        age = self.age()
        return None if age <= self._limit else f"no progress for {age:.0f} s"

    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last


class Backoff:
    """Growing pauses after failures: `first` seconds, doubled each time up to `most`; reset by success."""

    def __init__(self, first: float = 0.2, most: float = 15.0) -> None:
        self._first, self._most = first, most
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        pause, self._next = self._next, min(self._next * 2, self._most)
        return pause

    def reset(self) -> None:
        """Begin again at the first pause."""
        self._next = self._first
