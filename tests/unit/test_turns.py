"""Turns: so many for each, given back whatever happens, and nobody waits for long."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from api.results import turns
from api.results.turns import EACH, Turns
from heed.web.problems import Problem


def test_so_many_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SECONDS", 0.05)

    async def run() -> None:
        everybody = Turns()
        async with AsyncExitStack() as taken:
            held = None
            for _ in range(EACH):
                held = await taken.enter_async_context(everybody.one("ann"))
            with pytest.raises(Problem, match=f"{EACH} requests of ann"):
                await taken.enter_async_context(everybody.one("ann"))
            async with everybody.one("bob"):
                pass
            assert held is not None
            held.leave()
            held.leave()  # which gives no second one back
            async with everybody.one("ann"):
                with pytest.raises(Problem):
                    await taken.enter_async_context(everybody.one("ann"))
        with pytest.raises(ZeroDivisionError):
            async with everybody.one("ann"):
                raise ZeroDivisionError
        async with AsyncExitStack() as taken:
            for _ in range(EACH):
                await taken.enter_async_context(everybody.one("ann"))

    asyncio.run(run())
