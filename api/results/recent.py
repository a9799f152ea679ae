"""Something that costs the database a little, taken at most every SECONDS, however many pages show it.

Guarantees: while it is taken, which is long when what it needs hangs, the others get the last one instead of each
holding a thread; of things that differ by what is asked only so many are remembered, and none for long.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

SECONDS = 2.0


class Recent(Generic[T]):
    """What `take` gave last."""

    def __init__(self, take: Callable[[], T], seconds: float | None = None, times: float = 0.0) -> None:
        """Taken again after `seconds`, and not before `times` as long as it took."""
        self._take = take
        self._seconds, self._times = seconds, times
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
                began = time.monotonic()
                self._taken = self._take()
                now = time.monotonic()
                self._until = now + max(
                    SECONDS if self._seconds is None else self._seconds, self._times * (now - began)
                )
            return self._taken
        finally:
            self._lock.release()


class RecentBy(Generic[K, T]):
    """What `take` gave last for each of up to `most` questions that were asked in the last `forget` seconds; each is a
    `Recent`."""

    def __init__(
        self, take: Callable[[K], T], seconds: float, most: int, times: float = 0.0, forget: float = 30.0
    ) -> None:
        self._take, self._seconds, self._times = take, seconds, times
        self._most, self._forget = most, forget
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[Recent[T], float]] = OrderedDict()  # asked last at the end, and when

    def read(self, question: K) -> T:
        """The answer; raises what `take` raises."""
        now = time.monotonic()
        with self._lock:
            recent, asked = self._kept.pop(question, (None, 0.0))
            if recent is None or asked < now - self._forget:
                recent = Recent(partial(self._take, question), self._seconds, self._times)
            self._kept[question] = recent, now
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return recent.read()
