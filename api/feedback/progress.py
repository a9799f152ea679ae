"""The only part of the feedback site that asks Postgres: for receipts, beside the event loop and not for long.

Guarantees: however Postgres fails or hangs, the answer is there within SECONDS and the form notices nothing.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa

from heed.contracts.progress import Progress
from heed.db import engine as db
from heed.db import receipts
from heed.errors import Later
from heed.settings import Settings
from heed.telemetry import log

T = TypeVar("T")

SECONDS = 2.5
THREADS = 4
WAITING_MOST = 200


class Receipts:
    """Reads and erases by submission; raises Later when Postgres is away."""

    def __init__(self, settings: Settings) -> None:
        self._engine = db.connect(settings, "feedback", pool_size=THREADS, statement_seconds=2.0)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="receipts")
        self._waiting = 0

    async def progress(self, submission: UUID) -> Progress:
        """How far it is."""
        return await self._ask(partial(receipts.read, submission=submission))

    async def erase(self, submission: UUID) -> None:
        """Have it erased: soon, also what is not stored yet."""
        await self._ask(partial(receipts.wish_erased, submission=submission))

    def close(self) -> None:
        """Let go of the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    async def _ask(self, question: Callable[[sa.Connection], T]) -> T:
        if self._waiting >= WAITING_MOST:
            raise Later("too many ask for their receipts")

        def ask() -> T:
            with db.begin(self._engine) as connection:
                return question(connection)

        self._waiting += 1
        asked = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        asked.add_done_callback(self._answered)
        try:
            # Shielded: a thread cannot be stopped, and its place is free only when it has ended.
            return await asyncio.wait_for(asyncio.shield(asked), SECONDS)
        except TimeoutError:
            raise Later("Postgres does not answer in time") from None

    def _answered(self, asked: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not asked.cancelled() and (error := asked.exception()) is not None:
            log.warning("receipt-not-read", error=type(error).__name__)
