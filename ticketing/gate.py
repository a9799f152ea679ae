"""Whether messages are received at all: closed while the desk or Postgres does not work.

Guarantees: messages do not burn through their deliveries while nothing can be done with them; after a pause
something is tried again, one thing at a time; the first success opens the gate wide.
"""

import threading
import time
from collections.abc import Callable

from heed.lifecycle import Backoff

FAILURES = 5  # in a row, that close it
PROBE_SECONDS = 30.0  # between probes when a person has to act


class Gate:
    """Begins closed and due, so that the first thing done is to ask whether the desk works. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, probe_seconds: float = PROBE_SECONDS) -> None:
        self._clock, self._probe_seconds = clock, probe_seconds
        self._lock = threading.Lock()
        self._backoff = Backoff(1.0, 30.0)
        self._failures = 0
        self._problem: str | None = "the desk was not asked yet"
        self._due = clock()

    @property
    def doubtful(self) -> bool:
        """Something failed, or was not tried yet, and nothing succeeded since."""
        return self._failures > 0 or self._problem is not None

    def problem(self) -> str | None:
        """None while open, else why it is closed."""
        return self._problem

    def due_in(self) -> float:
        """Seconds until a closed gate is to be probed."""
        return max(self._due - self._clock(), 0.0)

    def answered(self) -> None:
        """A probe went well: open, but the next failure closes it again."""
        with self._lock:
            self._problem = None

    def worked(self) -> None:
        """A ticket went through: all is well."""
        with self._lock:
            self._problem, self._failures = None, 0
            self._backoff.reset()

    def failed(self, why: str, retry_after: float | None = None) -> None:
        """It did not work for now; told how long to wait, or too often in a row, the gate closes."""
        with self._lock:
            self._failures += 1
            if retry_after is not None:
                self._close(why, retry_after)
            elif (self._failures >= FAILURES or self._problem) and self.due_in() == 0:
                self._close(why, self._backoff.next())

    def paused(self, why: str) -> None:
        """Nothing will work until a person acts."""
        with self._lock:
            self._failures = FAILURES
            self._close(why, self._probe_seconds)

    def _close(self, why: str, seconds: float) -> None:
        self._problem = why
        self._due = max(self._due, self._clock() + seconds)
