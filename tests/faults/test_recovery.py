"""The one-machine system's data destroyed and brought back, as docs/operations.md says it: the books balance, and no
ticket is opened twice.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import wait_for
from system import System, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running(HEED_BACKUP_TO=str(tmp_path), HEED_REPUBLISH_AFTER="3", HEED_RATE_LIMIT="0") as made:
        yield made


def send(system: System, number: int) -> None:
    for each in range(number):
        sent = system.answer(vote="bad", comment=f"It broke, case {each}.")
        assert sent.status_code == 202, sent.text


def through(system: System, stored: int) -> dict[str, Any]:
    """The books once so much is stored and has its ticket."""

    def look() -> dict[str, Any] | None:
        books: dict[str, Any] = system.books()
        done = books["stored"] == stored and books["ticketed"] == books["selected"] and not books["queued"]
        return books if done and not books["in_flight"] else None

    found = wait_for(look, 90, f"{stored} answers to be through")
    assert found is not None
    return found


def tickets(system: System) -> dict[str, Any]:
    address = f"http://127.0.0.1:{system.environment['HEED_SANDBOX_PORT']}/sandbox/stats"
    stats: dict[str, Any] = httpx.get(address, trust_env=False).json()
    return stats


def run(system: System, *arguments: str) -> str:
    done = system.heed(*arguments)
    assert done.returncode == 0, done
    return done.stdout


def restart(system: System, *arguments: str, sentence: str = "Heed is ready in") -> None:
    system.begin(*arguments)
    system.wait(sentence)


def test_postgres_destroyed(system: System) -> None:
    send(system, 6)
    through(system, 6)
    run(system, "backup")
    run(system, "backup", "--check", "latest")
    send(system, 4)
    before = through(system, 10)
    assert before["balanced"]
    refused = system.heed("restore")
    assert refused.returncode == 1
    assert "heed up --stores" in refused.stderr

    assert system.end() == 0
    shutil.rmtree(system.home / "postgres")

    restart(system, "--stores")
    assert set(system.pids()) == {"valkey", "postgres"}
    said = run(system, "restore")
    assert "4 accepted and lost" in said
    assert system.end() == 0

    restart(system)
    books = through(system, 6)
    assert books["balanced"], books
    assert (books["accepted"], books["lost"], books["ticketed"]) == (10, 4, 6)
    assert tickets(system)["tickets"] == 10  # of the four that were lost the tickets stand
    send(system, 3)
    books = through(system, 9)
    assert books["balanced"], books
    stats = tickets(system)
    assert (stats["tickets"], stats["duplicates"], stats["comments"]) == (13, [], 26)


def test_queue_destroyed(system: System) -> None:
    send(system, 5)
    through(system, 5)
    assert system.end() == 0
    shutil.rmtree(system.home / "valkey")
    restart(system)
    send(system, 2)
    assert wait_for(lambda: (found := system.books())["stored"] == 7 and found, 60, "the new ones")["balanced"] is False
    assert "5 accepted by an earlier queue" in run(system, "settle", "the queue was lost", "--yes")
    books = through(system, 7)
    assert (books["balanced"], books["accepted"], books["lost"]) == (True, 7, 0)


def test_both_destroyed(system: System) -> None:
    send(system, 5)
    through(system, 5)
    run(system, "backup")
    send(system, 2)
    through(system, 7)
    assert system.end() == 0
    shutil.rmtree(system.home / "postgres")
    shutil.rmtree(system.home / "valkey")
    restart(system, "--stores")
    assert "5 accepted by an earlier queue" in run(system, "restore")
    assert system.end() == 0
    restart(system)
    send(system, 3)
    books = through(system, 8)
    assert (books["balanced"], books["accepted"], books["lost"]) == (True, 8, 0)
    assert tickets(system)["duplicates"] == []
