"""The worker against a real queue and Postgres: stored once, counted once, quarantined with a reason, never dropped."""

import json
from collections.abc import Sequence
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import wait_for

from heed import books
from heed.contracts import Contact, QuarantineReason, StreamEntry, new_id
from heed.db import quarantine as quarantined
from heed.db.engine import connect
from heed.db.tables import feedback, outbox, quarantine, rollup, surveys
from heed.errors import Later
from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue
from heed.triage import Lines
from worker.consumer import Consumer
from worker.handler import Handler, TooManyFailures
from worker.sentiment import Sentiment
from worker.sentiment.vader import VaderScorer


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.connect(settings)


@pytest.fixture
def worker(settings: Settings, engine: sa.Engine) -> Handler:
    return Handler(engine, VaderScorer(), settings.failure_limit)


def entry(**given: Any) -> StreamEntry:
    return StreamEntry(**({"id": new_id(), "survey": "default", "client": new_id().hex, "vote": "good"} | given))


def add(queue: Queue, *entries: StreamEntry) -> None:
    for each in entries:
        queue.redis.xadd(keys.queue(0), each.fields())  # type: ignore[arg-type]


def turn(worker: Handler, queue: Queue) -> None:
    """What the loop does with one batch."""
    deliveries = queue.read("test", 1000, 0.05)
    worker.keep(worker.assess(deliveries))
    queue.done(deliveries)


def rows(engine: sa.Engine, table: sa.Table) -> Sequence[sa.Row[Any]]:
    with engine.connect() as connection:
        return connection.execute(sa.select(table)).all()


def test_stored_scored_decided(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    happy = entry(vote="good", rating=5, comment="Wonderful, friendly and quick. I love it!")
    words = entry(vote=None, comment="This is horrible. I hate it, worst service ever.")
    voted = entry(vote="bad", comment="")
    asked = entry(vote="good", contact=Contact(email="a@example.com", reply=True))
    add(queue, happy, words, voted, asked)
    turn(worker, queue)
    stored = {row.id: row for row in rows(engine, feedback)}
    assert stored.keys() == {happy.id, words.id, voted.id, asked.id}
    assert (stored[happy.id].label, stored[happy.id].selected) == ("positive", False)
    assert (stored[words.id].label, stored[words.id].reasons) == ("negative", ["text"])
    assert stored[words.id].p_negative > 0.8
    assert (stored[voted.id].label, stored[voted.id].p_negative, stored[voted.id].reasons) == (
        "unknown",
        None,
        ["option"],
    )
    assert (stored[asked.id].reasons, stored[asked.id].priority) == (["contact"], "low")
    assert stored[asked.id].contact_email == "a@example.com"
    assert {row.feedback_id for row in rows(engine, outbox)} == {words.id, voted.id, asked.id}
    totals = [row for row in rows(engine, rollup) if row.grain == "total"]
    hours = [row for row in rows(engine, rollup) if row.grain == "hour"]
    assert sum(row.answers for row in totals) == sum(row.answers for row in hours) == 4
    assert sum(row.selected for row in totals) == 3
    assert queue.snapshot().length == 0
    assert books.take(engine, queue).balanced


def test_events_carry_no_personal_text(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    secret = "Horrible <id> xyzzy"
    add(queue, entry(vote="bad", comment=secret, contact=Contact(name="Plugh", email="plugh@example.com")))
    turn(worker, queue)
    [row] = rows(engine, outbox)
    event = json.dumps(row.event)
    assert not any(word in event.lower() for word in ("xyzzy", "plugh", "horrible"))


def test_delivered_twice_is_stored_once(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    add(queue, *(entry(vote="bad") for _ in range(20)))
    deliveries = queue.read("test", 100, 0.05)
    worker.keep(worker.assess(deliveries))
    worker.keep(worker.assess(deliveries))  # as if the first had died before it acknowledged
    queue.done(deliveries)
    taken = books.take(engine, queue)
    assert (taken.accepted, taken.stored, taken.queued, taken.selected, taken.in_flight) == (20, 20, 0, 20, 20)
    assert taken.balanced


def test_a_second_vote_is_quarantined(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    first, second = entry(client="a" * 32, vote="good"), entry(client="a" * 32, vote="bad")
    add(queue, first, second, entry())
    turn(worker, queue)
    assert {row.id for row in rows(engine, feedback)} >= {first.id}
    [item] = rows(engine, quarantine)
    assert (item.reason, item.feedback_id) == (QuarantineReason.DUPLICATE, second.id)
    taken = books.take(engine, queue)
    assert (taken.accepted, taken.stored, taken.quarantined, taken.balanced) == (3, 2, 1, True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"v": "1", "entry": "not json"}, QuarantineReason.INVALID),
        ({"v": "2", "entry": "{}"}, QuarantineReason.INVALID),
        ({"junk": b"\xff\x00\xfe"}, QuarantineReason.INVALID),
        (entry(survey="nowhere").fields(), QuarantineReason.UNKNOWN_SURVEY),
    ],
)
def test_poison_never_blocks(
    worker: Handler, queue: Queue, engine: sa.Engine, fields: dict[Any, Any], reason: QuarantineReason
) -> None:
    before, after = entry(), entry()
    add(queue, before)
    queue.redis.xadd(keys.queue(0), fields)
    add(queue, after)
    turn(worker, queue)
    assert {row.id for row in rows(engine, feedback)} == {before.id, after.id}
    [item] = rows(engine, quarantine)
    assert item.reason == reason
    assert item.detail
    assert item.payload
    assert books.take(engine, queue).balanced


def test_an_invalid_entry_tells_whose_it_is(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """As far as its id can be read; what is known once stays known, whatever a replay can read."""
    odd, named, nameless = entry(), entry(), new_id()
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": json.dumps(json.loads(odd.model_dump_json()) | {"rating": 9})})
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": json.dumps({"id": "7", "comment": "xyzzy"})})
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": f"{{{nameless}"})
    queue.redis.xadd(keys.queue(0), {"v": "1", "entry": '{"id":' * 100_000})
    add(queue, named.model_copy(update={"survey": "nowhere"}))
    turn(worker, queue)
    known = [odd.id, None, None, None, named.id]
    assert [row.feedback_id for row in sorted(rows(engine, quarantine), key=lambda row: row.source)] == known
    with engine.begin() as connection:
        connection.execute(sa.update(quarantine).where(quarantine.c.feedback_id == named.id).values(payload="{}"))
        assert quarantined.ask_replay(connection) == 5
    worker.replay()
    found = sorted(rows(engine, quarantine), key=lambda row: row.source)
    assert [(row.feedback_id, row.reason, row.resolved_at) for row in found] == [
        (each, "invalid", None) for each in known
    ]
    # One that an earlier version kept without its id.
    with engine.begin() as connection:
        connection.execute(sa.update(quarantine).where(quarantine.c.feedback_id == odd.id).values(feedback_id=None))
        quarantined.ask_replay(connection)
    worker.replay()
    assert [row.feedback_id for row in sorted(rows(engine, quarantine), key=lambda row: row.source)] == known


class FailingScorer:
    """Fails on texts that say so: a stand-in for a bug that some input wakes."""

    name = "failing"
    lines = Lines(ticket=0.65, review=0.4)

    def __init__(self) -> None:
        self.broken = True

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        if self.broken and any("boom" in text for text in texts):
            raise RuntimeError("boom")
        return VaderScorer().score(texts)


def test_a_failing_entry_is_split_off_and_can_be_replayed(settings: Settings, engine: sa.Engine, queue: Queue) -> None:
    scorer = FailingScorer()
    worker = Handler(engine, scorer, settings.failure_limit)
    good = [entry() for _ in range(30)]
    bad = entry(comment="boom")
    add(queue, *good[:11], bad, *good[11:])
    turn(worker, queue)
    assert len(rows(engine, feedback)) == 30
    [item] = rows(engine, quarantine)
    assert (item.reason, item.feedback_id) == (QuarantineReason.FAILED, bad.id)
    assert "boom" not in item.detail  # an error's text may be a customer's

    def replay() -> None:
        with engine.begin() as connection:
            assert quarantined.ask_replay(connection) == 1
        worker.replay()

    replay()  # fails again and waits again
    [item] = rows(engine, quarantine)
    assert (item.replay_at, item.resolved_at) == (None, None)
    scorer.broken = False
    replay()
    [item] = rows(engine, quarantine)
    assert item.resolved_at is not None
    taken = books.take(engine, queue)
    assert (taken.accepted, taken.stored, taken.quarantined, taken.balanced) == (31, 31, 0, True)


def test_when_everything_fails_it_stops(settings: Settings, engine: sa.Engine, queue: Queue) -> None:
    worker = Handler(engine, FailingScorer(), failure_limit=10)
    add(queue, *(entry(comment="boom") for _ in range(30)))
    deliveries = queue.read("test", 100, 0.05)
    with pytest.raises(TooManyFailures):
        worker.keep(worker.assess(deliveries))
    assert rows(engine, quarantine) == []
    assert queue.snapshot().length == 30


def test_waiting_for_postgres_is_no_failure(settings: Settings, engine: sa.Engine, queue: Queue) -> None:
    gone = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://127.0.0.1:1/heed"})
    worker = Handler(engine, FailingScorer(), failure_limit=10)
    add(queue, *(entry(comment="boom") for _ in range(3)))
    batch = worker.assess(queue.read("test", 100, 0.05))
    worker._engine = connect(gone, "test")
    for _ in range(5):
        with pytest.raises(Later):
            worker.keep(batch)
    worker._engine = engine
    worker.keep(batch)
    assert {row.reason for row in rows(engine, quarantine)} == {QuarantineReason.FAILED}


def test_what_a_dead_worker_held_is_taken_over(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    add(queue, *(entry() for _ in range(5)))
    assert len(queue.read("dead", 100, 0.05)) == 5
    assert queue.reclaim("alive", 60, 100) == []
    for deliveries in range(2, 7):
        taken = queue.reclaim("alive", 0, 100)
        assert [delivery.deliveries for delivery in taken] == [deliveries] * 5
    worker.keep(worker.assess(taken))  # five workers died of it: not given to a sixth
    queue.done(taken)
    assert {row.reason for row in rows(engine, quarantine)} == {QuarantineReason.CRASHED}
    assert books.take(engine, queue).balanced


def test_what_was_stored_but_never_acknowledged_is_not_quarantined_too(
    worker: Handler, queue: Queue, engine: sa.Engine
) -> None:
    add(queue, *(entry() for _ in range(3)))
    worker.keep(worker.assess(queue.read("dead", 100, 0.05)))  # stored, and killed before the acknowledgement
    for _ in range(6):
        taken = queue.reclaim("alive", 0, 100)
    worker.keep(worker.assess(taken))
    queue.done(taken)
    found = books.take(engine, queue)
    assert (found.accepted, found.stored, found.quarantined, found.balanced) == (3, 3, 0, True)
    with engine.begin() as connection:
        assert quarantined.ask_replay(connection) == 0


def test_nobody_takes_over_what_they_could_not_keep(settings: Settings, queue: Queue) -> None:
    """While Postgres is away, waiting workers would hand entries round until they look as if workers died of them."""
    gone = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://127.0.0.1:1/heed"})
    add(queue, entry())
    queue.read("dead", 1, 0.05)
    waiting = Consumer(gone, queue, Handler(connect(gone, "test"), VaderScorer(), 50), Stop(), Heartbeat(60))
    waiting._reclaim_after = 0
    with pytest.raises(Later):
        waiting._reclaim()
    [taken] = queue.reclaim("alive", 0, 10)
    assert taken.deliveries == 2


def test_an_emptied_redis_gets_its_group_again(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    queue.read("test", 1, 0.01)
    queue.redis.flushall()
    add(queue, entry())
    wait_for(lambda: (turn(worker, queue), rows(engine, feedback))[1], what="the entry")


def test_several_workers_and_partitions(settings: Settings, engine: sa.Engine) -> None:
    split = settings.model_copy(update={"partitions": 3, "batch_size": 7})
    stops = [Stop() for _ in range(3)]
    queue = Queue.connect(split)
    for number in range(300):
        queue.redis.xadd(keys.queue(number % 3), entry(vote="bad").fields())  # type: ignore[arg-type]
    workers = [
        Consumer(split, Queue.connect(split), Handler(engine, VaderScorer(), 50), stop, Heartbeat(60)) for stop in stops
    ]
    threads = [Thread(target=each.run) for each in workers]
    for thread in threads:
        thread.start()
    wait_for(lambda: queue.snapshot().length == 0, seconds=30, what="the queue to drain")
    for stop in stops:
        stop.request()
    for thread in threads:
        thread.join(20)
    taken = books.take(engine, queue)
    assert (taken.accepted, taken.stored, taken.selected, taken.in_flight) == (300, 300, 300, 300)
    assert taken.balanced


def test_postgres_away_is_waited_for(worker: Handler, queue: Queue, settings: Settings, engine: sa.Engine) -> None:
    gone = Settings.model_validate(settings.model_dump() | {"database_url": "postgresql://127.0.0.1:1/heed"})
    lost = Handler(connect(gone, "test"), VaderScorer(), 50)
    add(queue, entry())
    deliveries = queue.read("test", 10, 0.05)
    with pytest.raises(Later):
        lost.assess(deliveries)
    assert queue.snapshot().length == 1
    worker.keep(worker.assess(deliveries))
    assert len(rows(engine, feedback)) == 1


def test_surveys_are_published_and_a_new_one_is_found(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    add(queue, entry())
    turn(worker, queue)
    definition = rows(engine, surveys)[0].definition | {"slug": "second", "threshold": 0.01}
    with engine.begin() as connection:
        connection.execute(sa.insert(surveys).values(slug="second", definition=definition))
    add(queue, entry(survey="second", comment="fine"))
    turn(worker, queue)
    assert {row.survey: row.reasons for row in rows(engine, feedback)} == {"default": [], "second": ["text"]}
    worker.surveys.publish(queue.redis)
    assert set(queue.redis.hkeys(keys.SURVEYS)) == {b"default", b"second"}


def test_books_notice_what_is_lost(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    add(queue, entry(), entry(vote="bad"))
    [first, second] = queue.read("test", 10, 0.05)
    worker.keep(worker.assess([second]))
    queue.done([first, second])  # a bug that acknowledges too early
    taken = books.take(engine, queue)
    assert taken.balanced is False
    assert taken.imbalance == 1
    assert "1 accepted" in taken.problems[0]


def test_books_notice_a_lost_ticket(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    add(queue, entry(vote="bad"))
    turn(worker, queue)
    with engine.begin() as connection:
        connection.execute(sa.delete(outbox))
    taken = books.take(engine, queue)
    assert taken.balanced is False
    assert taken.problems == ["Selected submissions and their tickets differ by 1."]
