"""Settling the books after each kind of recovery, with a real queue and Postgres: never too much, never twice."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served

from api.results.app import create_app
from heed import books
from heed.books import Difference
from heed.contracts import StreamEntry, new_id
from heed.db import quarantine
from heed.db.tables import feedback, outbox, rollup, settlements
from heed.errors import Later
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue
from worker.handler import Handler
from worker.sentiment.vader import VaderScorer

NOTHING = Difference(0, 0)


class House:
    """The queue, the worker and Postgres, and what may befall them."""

    def __init__(self, settings: Settings, engine: sa.Engine) -> None:
        self.engine, self.queue = engine, Queue.connect(settings)
        self.worker = Handler(engine, VaderScorer(), settings.failure_limit)

    def accept(self, number: int) -> None:
        for _ in range(number):
            entry = StreamEntry(id=new_id(), survey="default", client=new_id().hex, vote="good")
            self.queue.redis.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]

    def store(self, most: int = 1000, acknowledge: bool = True) -> None:
        deliveries = self.queue.read("test", most, 0.05)
        self.worker.keep(self.worker.assess(deliveries))
        if acknowledge:
            self.queue.done(deliveries)

    def finish(self) -> None:
        """All that was delivered and not acknowledged comes again, then the rest."""
        deliveries = self.queue.reclaim("test", 0, 1000)
        self.worker.keep(self.worker.assess(deliveries))
        self.queue.done(deliveries)
        self.store()

    def lose_stored(self, number: int) -> None:
        """As a restore to an older state does; all of these are votes of one kind in one hour."""
        with self.engine.begin() as connection:
            newest = sa.select(feedback.c.id).order_by(feedback.c.id.desc()).limit(number)
            connection.execute(sa.delete(outbox).where(outbox.c.feedback_id.in_(newest)))
            lost = connection.execute(sa.delete(feedback).where(feedback.c.id.in_(newest))).rowcount
            assert lost == number
            connection.execute(sa.update(rollup).values(answers=rollup.c.answers - number))

    def lose_queue(self) -> None:
        self.queue.redis.flushall()
        self.queue._ready = False  # a restarted worker's would not be

    def save_queue(self) -> tuple[bytes, ...]:
        return tuple(self.queue.redis.dump(keys.queue(partition)) for partition in (0,))  # type: ignore[misc]

    def put_queue_back(self, saved: tuple[bytes, ...]) -> None:
        self.lose_queue()
        self.queue.redis.restore(keys.queue(0), 0, saved[0])

    def books(self) -> books.Books:
        return books.take(self.engine, self.queue)

    def difference(self) -> Difference:
        return books.difference(self.engine, self.queue)

    def settle(self) -> Difference:
        return books.settle(self.engine, self.queue, "a test", self.difference())

    def assert_balanced(self, accepted: int, stored: int, lost: int = 0) -> None:
        taken = self.books()
        assert taken.balanced, taken
        assert (taken.accepted, taken.stored, taken.lost) == (accepted, stored, lost)
        assert self.settle() == NOTHING, "a second time changes nothing"


@pytest.fixture
def house(settings: Settings, engine: sa.Engine) -> House:
    return House(settings, engine)


def test_balanced_books_need_no_settling(house: House) -> None:
    house.accept(5)
    house.store(3)
    assert house.difference() == NOTHING
    assert house.settle() == NOTHING
    with house.engine.connect() as connection:
        assert connection.execute(sa.select(settlements)).all() == []


def test_postgres_put_back_while_the_queue_holds_entries(house: House) -> None:
    house.accept(10)
    house.store(7)
    house.lose_stored(4)
    taken = house.books()
    assert (taken.balanced, taken.imbalance) == (False, 4)
    assert house.settle() == Difference(lost=4, earlier=0)
    house.store()
    house.assert_balanced(accepted=10, stored=6, lost=4)


def test_postgres_put_back_while_entries_are_stored_and_not_acknowledged(house: House) -> None:
    """They are in both, which hides as many lost ones, until they are acknowledged; nothing is settled too much."""
    house.accept(10)
    house.store(6)
    house.lose_stored(4)
    house.store(3, acknowledge=False)
    assert house.settle() == Difference(lost=1, earlier=0)
    house.finish()
    assert house.books().imbalance == 3
    assert house.settle() == Difference(lost=3, earlier=0)
    house.assert_balanced(accepted=10, stored=6, lost=4)


def test_queue_lost(house: House) -> None:
    house.accept(10)
    house.store(8)
    house.lose_queue()  # and with it two that waited, of which nobody knows any more
    assert house.books().imbalance == 8
    house.accept(3)
    assert house.settle() == Difference(lost=0, earlier=5)  # the three that wait might be stored already
    house.store()
    assert house.settle() == Difference(lost=0, earlier=3)
    house.assert_balanced(accepted=11, stored=11)


def test_queue_put_back_to_an_older_state(house: House) -> None:
    """It holds again what is stored since: those are no answers of an earlier queue."""
    house.accept(10)
    house.store(6)
    saved = house.save_queue()
    house.store()
    house.accept(5)
    house.store()
    house.put_queue_back(saved)
    assert house.settle() == Difference(lost=0, earlier=5)
    house.store()
    house.assert_balanced(accepted=15, stored=15)


def test_both_lost(house: House) -> None:
    house.accept(10)
    house.store()
    house.lose_stored(4)
    house.lose_queue()
    assert house.settle() == Difference(lost=0, earlier=6)  # of the four nobody knows any more
    house.accept(2)
    house.store()
    house.assert_balanced(accepted=8, stored=8)


def test_one_recovery_after_another(house: House) -> None:
    house.accept(10)
    house.store()
    house.lose_stored(4)
    assert house.settle() == Difference(lost=4, earlier=0)
    house.lose_queue()
    assert house.settle() == Difference(lost=0, earlier=10)
    house.accept(5)
    house.store()
    house.lose_stored(3)
    assert house.settle() == Difference(lost=3, earlier=0)
    house.assert_balanced(accepted=15, stored=8, lost=7)


def test_two_at_once_settle_it_once(house: House, settings: Settings) -> None:
    house.accept(20)
    house.store()
    house.lose_stored(15)
    agreed = house.difference()
    with ThreadPoolExecutor(4) as pool:
        settling = [
            pool.submit(books.settle, house.engine, Queue.connect(settings), "a test", agreed) for _ in range(4)
        ]
        settled = [each.result() for each in settling]
    assert sorted(each.lost for each in settled) == [0, 0, 0, 15]
    house.assert_balanced(accepted=20, stored=5, lost=15)


def test_no_more_is_settled_than_was_agreed_to(house: House) -> None:
    house.accept(10)
    house.store()
    house.lose_stored(2)
    agreed = house.difference()
    house.lose_stored(3)
    assert books.settle(house.engine, house.queue, "a test", agreed) == Difference(lost=2, earlier=0)
    assert house.books().imbalance == 3


def test_quarantined_ones_are_not_lost(house: House) -> None:
    house.accept(3)
    house.queue.redis.xadd(keys.queue(0), {"v": "1", "entry": "nonsense"})
    house.store()
    assert house.difference() == NOTHING
    with house.engine.begin() as connection:
        assert quarantine.ask_replay(connection) == 1
    house.assert_balanced(accepted=4, stored=3)


def test_without_redis_nothing_is_settled(house: House, settings: Settings) -> None:
    away = Queue.connect(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    with pytest.raises(Later):
        books.difference(house.engine, away)


def test_traffic_looks_like_no_difference(house: House, settings: Settings) -> None:
    other = House(settings, house.engine)
    with ThreadPoolExecutor(2) as pool:
        accepting = pool.submit(house.accept, 400)

        def work() -> None:
            while not accepting.done() or other.queue.snapshot().length:
                other.store(7)

        working = pool.submit(work)
        reader = House(settings, house.engine)
        while not working.done():
            assert reader.difference() == NOTHING
        working.result()
    house.assert_balanced(accepted=400, stored=400)


@pytest.fixture
def heed(settings: Settings, tmp_path: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heed", *arguments],
            env={
                "HEED_HOME": str(tmp_path),
                "HEED_DATABASE_URL": settings.need("database_url"),
                "HEED_REDIS_URL": settings.need("redis_url"),
                "COLUMNS": "200",
            },
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_command(house: House, heed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    house.accept(10)
    house.store()
    house.lose_stored(4)
    for reason in ("", "  ", "\udc80"):
        assert heed("settle", reason, "--yes").returncode == 1
    refused = heed("settle", "restored", said="n\n")
    assert refused.returncode == 1
    assert "To settle: 4 accepted and lost." in refused.stdout
    assert house.books().imbalance == 4
    done = heed("settle", "restored from an older state", said="y\n")
    assert done.returncode == 0, done
    assert "Settled: 4 accepted and lost." in done.stdout
    again = heed("settle", "again", "--yes")
    assert (again.returncode, again.stdout) == (0, "The books balance.\n")
    shown = heed("books").stdout
    assert "lost         4" in shown
    assert "4 accepted and lost; reason: restored from an older state" in shown


def test_results_site_tells(house: House, settings: Settings, serve: Callable[[Any], Served]) -> None:
    house.accept(10)
    house.store()
    house.lose_stored(4)
    house.settle()
    site = serve(create_app(settings)).url
    answer = httpx.get(f"{site}/api/v1/books", headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False)
    told = answer.raise_for_status().json()
    assert (told["balanced"], told["accepted"], told["stored"], told["lost"]) == (True, 10, 6, 4)
    [settled] = told["settlements"]
    assert (settled["reason"], settled["lost"], settled["earlier"]) == ("a test", 4, 0)
