"""No ticket twice and no note twice after a restore to an older state: real Postgres, bus, queue and backups; the
sandbox runs by a clock of the test's, so that its idempotency keys can be young or gone.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import Served, wait_for
from results_data import answer
from sandbox_process import TOKEN, Sandbox

from backup import catalogue, dump, place
from backup.restore import restore
from backup.watch import Watch
from heed import books
from heed.db import engine as db
from heed.db import ledger, outbox
from heed.db.tables import tickets
from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings
from heed.stream.queue import Queue as StreamQueue
from local import aws
from local.sandbox.app import create_app
from ticketing import queue as queue_module
from ticketing import text
from ticketing.consumer import Consumer
from ticketing.gate import Gate
from ticketing.handler import KEY_CERTAIN, KEY_LIFE, Handler
from ticketing.queue import Queue
from ticketing.reconcile import reconcile
from ticketing.zendesk import ZendeskDesk
from worker.bus import Bus
from worker.relay import Relay

ANONYMOUS = text.Anonymous("Anonymous customer", "anonymous@example.com")
COUNT = 4


@dataclass
class Clock:
    """The sandbox's."""

    behind: timedelta = timedelta()

    def __call__(self) -> float:
        return time.time() - self.behind.total_seconds()


OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@dataclass
class House:
    """The relay, ticketing and the desk around one database that is put back."""

    settings: Settings
    sandbox: Sandbox
    clock: Clock
    desk: ZendeskDesk

    @contextmanager
    def engine(self, service: str = "tests") -> Iterator[sa.Engine]:
        engine = db.connect(self.settings, service)
        try:
            yield engine
        finally:
            engine.dispose()

    def answers(self, at: datetime) -> list[UUID]:
        with self.engine() as engine:
            return [answer(engine, f"It broke, case {number}.", vote="bad", at=at) for number in range(COUNT)]

    def work(self, count: int) -> None:
        """Relay and ticketing, until so many tickets are complete."""
        stop = Stop()
        with self.engine("relay") as relaying, self.engine("ticketing") as ticketing:
            handler = Handler(ticketing, self.desk, ANONYMOUS, "http://results.example")
            consumer = Consumer(Queue(self.settings, 10), handler, Gate(), stop, Heartbeat(60))
            relay = Relay(self.settings, relaying, Bus(self.settings))
            threads = [
                threading.Thread(target=consumer.run),
                threading.Thread(target=relay.run, args=(stop, Heartbeat(60))),
            ]
            for thread in threads:
                thread.start()
            try:
                wait_for(lambda: self.complete() == count, 30, f"{count} tickets")
            finally:
                stop.request()
                for thread in threads:
                    thread.join(15)

    def complete(self) -> int:
        with self.engine() as engine, engine.connect() as connection:
            done = sa.select(sa.func.count()).where(tickets.c.state.in_(["opened", "solved"]))
            return connection.execute(done).scalar_one()

    def states(self) -> dict[UUID, str]:
        with self.engine() as engine, engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(sa.select(tickets.c.feedback_id, tickets.c.state))}

    def assert_one_each(self, ids: list[UUID]) -> None:
        for each in ids:
            [ticket] = self.sandbox.tickets(each)
            notes = [comment for comment in self.sandbox.comments(ticket["id"]) if not comment["public"]]
            assert len(notes) == 1


@pytest.fixture
def house(settings: Settings, serve: Callable[[Any], Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    (tmp_path / "backups").mkdir(mode=0o700)
    monkeypatch.setattr(queue_module, "WAIT_SECONDS", 1)
    own = settings.model_copy(update={"backup_to": str(tmp_path / "backups"), "zendesk_url": "http://unused"})
    aws.provision(own)
    clock = Clock()
    url = serve(create_app(own, tmp_path / "sandbox.db", clock)).url
    desk = ZendeskDesk(Settings(zendesk_url=url, zendesk_token=TOKEN))
    return House(own, Sandbox(url), clock, desk)


def backed_up(house: House) -> None:
    dump.take(house.settings, place.connect(house.settings), Watch())


def put_back(house: House) -> None:
    there = place.connect(house.settings)
    restore(house.settings, there, catalogue.pick(there, "latest"), Watch(), replace=True)


@pytest.mark.parametrize(
    "age",
    [timedelta(minutes=1), KEY_CERTAIN - timedelta(minutes=1), KEY_CERTAIN + timedelta(minutes=1), timedelta(hours=3)],
    ids=["young", "key certain", "key uncertain", "key gone"],
)
def test_one_ticket_and_one_note_after_a_restore(house: House, age: timedelta) -> None:
    ids = house.answers(datetime.now(UTC) - age)
    backed_up(house)
    house.clock.behind = age  # the tickets are as old as the answers can make them
    house.work(COUNT)
    house.assert_one_each(ids)
    house.clock.behind = timedelta()
    put_back(house)
    assert house.states() == {}
    with house.engine() as engine, engine.connect() as connection:
        assert outbox.depth(connection) == COUNT
    house.work(COUNT)
    house.assert_one_each(ids)


def test_what_was_solved_meanwhile_is_solved_again(house: House) -> None:
    """Even when the desk's news of it were read before the ticket was known again."""
    ids = house.answers(datetime.now(UTC) - timedelta(minutes=1))
    backed_up(house)
    house.work(COUNT)
    [solved] = house.sandbox.tickets(ids[0])
    house.sandbox.set_status(solved["id"], "solved")
    put_back(house)
    with house.engine() as engine:
        while reconcile(engine, house.desk):
            pass
    house.work(COUNT)
    assert house.states() == dict.fromkeys(ids, "opened") | {ids[0]: "solved"}
    house.assert_one_each(ids)


def test_a_note_that_was_not_added_yet_is(house: House) -> None:
    """The ticket was made, the process died before its note, and then Postgres was put back."""
    [first, *_] = ids = house.answers(datetime.now(UTC) - KEY_LIFE)
    backed_up(house)
    with house.engine() as engine, engine.connect() as connection:
        from ticketing.handler import _answer

        loaded = _answer(connection, first)
    assert loaded is not None
    house.clock.behind = KEY_LIFE
    made = house.desk.open(text.request(loaded, ANONYMOUS), idempotency_key=f"heed-{first}", look_first=False)
    assert made.made
    house.clock.behind = timedelta()
    put_back(house)
    house.work(COUNT)
    house.assert_one_each(ids)


def test_a_young_submission_costs_no_further_request(house: House) -> None:
    house.answers(datetime.now(UTC) - timedelta(minutes=1))
    before = house.sandbox.requests()
    house.work(COUNT)
    checks = 1  # the consumer asks first whether the desk works
    assert house.sandbox.requests() - before == 2 * COUNT + checks  # the ticket and its note


def test_the_sandbox_forgets_keys_as_zendesk_does(house: House) -> None:
    """Else the tests above would prove nothing."""
    ids = house.answers(datetime.now(UTC) - timedelta(hours=3))
    with house.engine() as engine, engine.connect() as connection:
        from ticketing.handler import _answer

        loaded = _answer(connection, ids[0])
    assert loaded is not None
    for behind in (KEY_LIFE + timedelta(minutes=1), timedelta()):
        house.clock.behind = behind
        house.desk.open(text.request(loaded, ANONYMOUS), idempotency_key="the same", look_first=False)
    assert len(house.sandbox.tickets(ids[0])) == 2


def test_an_emptied_desk_gets_its_tickets_again(house: House, serve: Callable[[Any], Served], tmp_path: Path) -> None:
    """By the statements that docs/operations.md names."""
    ids = house.answers(datetime.now(UTC) - timedelta(minutes=1))
    house.work(COUNT)
    [solved] = house.sandbox.tickets(ids[0])
    house.sandbox.set_status(solved["id"], "solved")
    with house.engine() as engine:
        while reconcile(engine, house.desk):
            pass

    url = serve(create_app(house.settings, tmp_path / "emptied.db", house.clock)).url
    house.sandbox, house.desk = Sandbox(url), ZendeskDesk(Settings(zendesk_url=url, zendesk_token=TOKEN))
    [statements] = re.findall(r"-U heed <<'SQL'\n(.*?)\nSQL\n", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL)
    with house.engine() as engine:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statements)
        with engine.begin() as connection:
            assert ledger.replay_failed(connection) == COUNT - 1
        taken = books.take(engine, StreamQueue.connect(house.settings))
        assert (taken.selected, taken.ticketed, taken.in_flight, taken.failed) == (COUNT, 1, COUNT - 1, 0)
    house.work(COUNT)
    assert house.states() == dict.fromkeys(ids, "opened") | {ids[0]: "solved"}
    assert house.sandbox.tickets(ids[0]) == []
    house.assert_one_each(ids[1:])
