"""Turns: how many requests that may take Postgres long are worked on at once for one person.

Guarantees: whatever one person asks for at once, connections and threads are left for the others; who waits for a turn
holds neither, and not for long; a turn is given back whatever becomes of its request, and left to others while a reader
is slow to take what was sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from heed.web.problems import Problem

EACH = 4  # of the ten connections that the site has
SECONDS = 5.0


class Turn:
    """One of somebody's turns."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns, self._held = turns, False

    async def take(self) -> None:
        """Wait until one is free."""
        await self._turns.acquire()
        self._held = True

    def leave(self) -> None:
        """Give it back, if it is held."""
        if self._held:
            self._held = False
            self._turns.release()


class Turns:
    """The turns of everybody who has any."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # known while somebody holds it

    @asynccontextmanager
    async def one(self, actor: str) -> AsyncIterator[Turn]:
        """A turn of theirs; a 503 problem when all of them stay taken."""
        turns = self._of.get(actor)
        if turns is None:
            turns = self._of[actor] = asyncio.Semaphore(EACH)
        turn = Turn(turns)
        try:
            async with asyncio.timeout(SECONDS):
                await turn.take()
        except TimeoutError:
            detail = f"{EACH} requests of {actor} that take long are under way. Try again when one of them is done."
            raise Problem(503, detail, kind="busy", headers={"Retry-After": "5"}) from None
        try:
            yield turn
        finally:
            turn.leave()
