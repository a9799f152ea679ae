"""Turns: how many requests that may take Postgres long are worked on at once for one person.

Guarantees: whatever one person asks for at once, connections and threads are left for the others; who waits for a turn
holds neither, and not for long; a turn is given back whatever becomes of its request.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from heed.web.problems import Problem

EACH = 4  # of the ten connections that the site has
SECONDS = 5.0


class Turns:
    """The turns of everybody who has any."""

    def __init__(self) -> None:
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # known while somebody holds it

    @asynccontextmanager
    async def one(self, actor: str) -> AsyncIterator[None]:
        """A turn of theirs; a 503 problem when all of them stay taken."""
        turns = self._of.get(actor)
        if turns is None:
            turns = self._of[actor] = asyncio.Semaphore(EACH)
        try:
            async with asyncio.timeout(SECONDS):
                await turns.acquire()
        except TimeoutError:
            detail = f"{EACH} of your requests that take long are under way. Try again when one of them is done."
            raise Problem(503, detail, kind="busy", headers={"Retry-After": "5"}) from None
        try:
            yield
        finally:
            turns.release()
