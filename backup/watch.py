"""`Watch`: who looks on while a backup or a restore runs. This one logs; a terminal has one of its own (backup.cli)."""

import time

from heed.telemetry import log

LOG_SECONDS = 10.0


class Watch:
    """Told what is being done. `tick` comes at least once a second; raising there ends the work."""

    def __init__(self) -> None:
        self._step, self._moved, self._next_log = "", 0, 0.0

    def step(self, what: str, total: int | None = None) -> None:
        """A new step begins, in which `total` bytes are to be moved, if that is known."""
        self._step, self._moved = what, 0
        self._next_log = time.monotonic() + LOG_SECONDS
        log.info("step", step=what)

    def table(self, name: str) -> None:
        """The step comes to a table (called in another thread)."""

    def moved(self, count: int) -> None:
        """So many bytes more."""
        self._moved += count
        if time.monotonic() > self._next_log:
            self._next_log = time.monotonic() + LOG_SECONDS
            log.info("progress", step=self._step, bytes=self._moved)

    def tick(self) -> None:
        """Time passes."""
