"""The whole system, as `heed up` runs it, under load while its parts are killed or hang: the books balance at the end,
every submission is stored once, and every selected one has exactly one ticket with one note.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
from conftest import API_KEY, wait_for
from system import System, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running(HEED_API_KEY=API_KEY, HEED_RECLAIM_AFTER="2", HEED_REPUBLISH_AFTER="3") as made:
        yield made


def send(system: System, comments: Sequence[str], during: Callable[[], None] = lambda: None) -> list[str]:
    """Submit unhappy answers at about 40 a second, `during` beside them; the ids, each answered 202."""

    def one(number: int) -> str:
        time.sleep(number % 8 * 0.02)
        for _ in range(100):
            answer = http.post(
                "/api/v1/surveys/default/feedback",
                json={"vote": "bad", "comment": comments[number]},
                headers={"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": f"{comments[number]}/{number}"},
            )
            if answer.status_code == 202:
                return str(answer.json()["id"])
            assert answer.status_code == 503, answer.text  # away for a moment: the same request again
            time.sleep(0.2)
        raise AssertionError("never taken")

    address = f"http://127.0.0.1:{system.environment['HEED_FEEDBACK_PORT']}"
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as http, ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(one, number) for number in range(len(comments))]
        during()
        return [future.result() for future in sending]


def settled(system: System, accepted: int, seconds: float) -> dict[str, Any]:
    """The books once `accepted` submissions are through to their tickets."""

    def look() -> dict[str, Any] | None:
        books: dict[str, Any] = system.books()
        assert books["balanced"] is not False, books
        through = books["stored"] == accepted and books["ticketed"] == books["selected"] and not books["queued"]
        return books if through and not books["in_flight"] else None

    found = wait_for(look, seconds, f"{accepted} submissions to be through")
    assert found is not None
    return found


def tickets(system: System) -> dict[str, Any]:
    address = f"http://127.0.0.1:{system.environment['HEED_SANDBOX_PORT']}/sandbox/stats"
    stats: dict[str, Any] = httpx.get(address, trust_env=False).json()
    return stats


def assert_one_each(system: System, before: dict[str, Any], ids: Sequence[str], seconds: float = 60) -> None:
    books = settled(system, before["accepted"] + len(ids), seconds)
    assert len(set(ids)) == len(ids)
    assert books["accepted"] == before["accepted"] + len(ids)
    stats = tickets(system)
    assert stats["duplicates"] == []
    assert stats["tickets"] == books["selected"] == books["accepted"]
    assert stats["comments"] == 2 * stats["tickets"]  # the words and one note


@pytest.mark.parametrize("part", ["worker", "relay", "ticketing", "aws"])
def test_killed_under_load(system: System, part: str) -> None:
    before = system.books()

    def kill_twice() -> None:
        for _ in range(2):
            time.sleep(0.7)
            os.kill(system.pids()[part], signal.SIGKILL)
            ready = system.said().count(f"{part} is ready again")
            wait_for(lambda seen=ready: system.said().count(f"{part} is ready again") > seen, 30, f"{part} to be back")

    ids = send(system, [f"{part} was killed, case {number}" for number in range(100)], kill_twice)
    # What a killed ticketing process was on is free again when its lease of 60 s is over.
    assert_one_each(system, before, ids, seconds=120)


@pytest.mark.parametrize("part", ["postgres", "sandbox", "aws"])
def test_hanging_for_a_while(system: System, part: str) -> None:
    """The part does not die, it answers no more: the form notices nothing, and all arrives afterwards."""
    before = system.books()
    family = [psutil.Process(system.pids()[part])]
    family += family[0].children(recursive=True)
    for process in family:
        process.suspend()
    try:
        ids = send(system, [f"{part} hung, case {number}" for number in range(40)])
        time.sleep(3)
    finally:
        for process in family:
            process.resume()
    assert_one_each(system, before, ids, seconds=120)


def test_the_queue_killed_under_load(system: System) -> None:
    """Redis is the one thing the form needs: 503 while it is away, and nothing that was answered 202 is lost."""
    before = system.books()

    def kill() -> None:
        time.sleep(0.3)
        os.kill(system.pids()["valkey"], signal.SIGKILL)

    ids = send(system, [f"valkey was killed, case {number}" for number in range(60)], kill)
    assert_one_each(system, before, ids)
