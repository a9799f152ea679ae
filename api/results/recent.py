"""Something that costs the database a little, taken at most every SECONDS, however many pages show it.

Guarantees: while it is taken, which is long when what it needs hangs, the others get the last one instead of each
holding a thread.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = 2.0


class Recent(Generic[T]):
    """What `take` gave last."""

    def __init__(self, take: Callable[[], T]) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._taken: T | None = None
        self._until = 0.0

    def read(self) -> T:
        """It; raises what `take` raises."""
        last = self._taken
        if not self._lock.acquire(blocking=last is None):
            assert last is not None
            return last
        try:
            if self._taken is None or time.monotonic() > self._until:
                self._taken = self._take()
                self._until = time.monotonic() + SECONDS
            return self._taken
        finally:
            self._lock.release()
