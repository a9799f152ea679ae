"""What customers erase is gone wherever it was, the counts stay, and nothing stands in anybody's way."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import wait_for

from backup import programs
from heed import books
from heed.contracts import (
    Contact,
    Context,
    Judge,
    QuarantineKind,
    QuarantineReason,
    StreamEntry,
    TicketState,
    new_id,
)
from heed.db import engine as db
from heed.db import erasures, ledger, verdicts
from heed.db import quarantine as quarantined
from heed.db import tables as t
from heed.db.notify import CHANNEL
from heed.db.receipts import read, wish_erased
from heed.lifecycle import Stop
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue
from heed.triage import Lines
from worker import erasing
from worker.handler import Handler
from worker.rescore import Rescore
from worker.sentiment import Sentiment
from worker.sentiment.light import LightScorer
from worker.sentiment.vader import VaderScorer
from worker.store import store

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
WORDS = ("xyzzy", "plugh", "frobnicate", "grue")
COMMENT = "It is horrible, xyzzy broke and nobody answers. Refund me!"
CONTACT = Contact(name="Plugh", email="plugh@example.com", reply=True)
CONTEXT = Context(url="https://shop.example/frobnicate", app="2.4", ref="frobnicate", language="de")


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.connect(settings)


@pytest.fixture
def worker(settings: Settings, engine: sa.Engine) -> Handler:
    return Handler(engine, LightScorer(), settings.failure_limit)


def entry(**given: Any) -> StreamEntry:
    made = {"id": new_id(), "survey": "default", "client": new_id().hex, "vote": "bad", "rating": 1}
    told = {"comment": COMMENT, "contact": CONTACT, "context": CONTEXT, "user": "grue"}
    return StreamEntry(**(made | told | given))


def accept(queue: Queue, worker: Handler, *entries: StreamEntry) -> None:
    """What admission and the worker do with them."""
    for each in entries:
        queue.redis.xadd(keys.queue(0), each.fields())  # type: ignore[arg-type]
    deliveries = queue.read("test", 1000, 0.05)
    worker.keep(worker.assess(deliveries))
    queue.done(deliveries)


def ask(engine: sa.Engine, *ids: UUID) -> None:
    with engine.begin() as connection:
        for each in ids:
            wish_erased(connection, each)


def carry_out(engine: sa.Engine, limit: int = 100) -> list[UUID]:
    with db.begin(engine) as connection:
        return erasures.carry_out(connection, limit)


def due_now(engine: sa.Engine) -> None:
    """As if the pauses were over."""
    with engine.begin() as connection:
        connection.execute(sa.update(t.erasures).values(due_at=sa.func.now() - timedelta(seconds=1)))


def row(engine: sa.Engine, table: sa.Table, **where: Any) -> Any:
    query = sa.select(table).where(*(table.c[name] == value for name, value in where.items()))
    with engine.connect() as connection:
        return connection.execute(query).one_or_none()


def whole_database(engine: sa.Engine) -> str:
    """All rows of all tables as text."""
    with engine.connect() as connection:
        tables = [f'SELECT "{each.name}"::text AS line FROM "{each.name}"' for each in t.metadata.sorted_tables]
        return "\n".join(connection.execute(sa.text(" UNION ALL ".join(tables))).scalars()).lower()


def rollup(engine: sa.Engine) -> set[tuple[Any, ...]]:
    with engine.connect() as connection:
        return {tuple(each) for each in connection.execute(sa.select(t.rollup))}


def left(engine: sa.Engine) -> list[str]:
    everything = whole_database(engine)
    return [word for word in WORDS if word in everything]


def test_the_words_go_and_the_counts_stay(settings: Settings, worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone, other = entry(), entry(comment="Fine.", contact=None, context=None, user=None)
    accept(queue, worker, gone, other)
    before, counts = row(engine, t.feedback, id=gone.id), rollup(engine)
    assert left(engine) == list(WORDS), "the test looks where they are"
    listener = db.listener(settings, "tests", CHANNEL)
    ask(engine, gone.id)
    assert carry_out(engine) == [gone.id]
    assert left(engine) == []
    after = row(engine, t.feedback, id=gone.id)
    assert after.erased_at is not None
    assert (after.comment, after.contact_name, after.contact_email, after.reply) == ("", None, None, False)
    assert (after.context, after.customer, after.reading) == (None, None, None)
    changed = {"comment", "contact_name", "contact_email", "reply", "context", "customer", "reading", "erased_at"}
    kept = [name for name in t.feedback.columns.keys() if name not in changed]  # noqa: SIM118
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert rollup(engine) == counts
    with engine.connect() as connection:
        # SQL's own NULL, not JSON's.
        bare = sa.text("SELECT count(*) FROM feedback WHERE id = :id AND context IS NULL AND reading IS NULL")
        assert connection.execute(bare, {"id": gone.id}).scalar_one() == 1
        assert read(connection, gone.id).erased_at == after.erased_at
    listener.poll()
    assert [each.payload for each in listener.notifies] == ["default"]
    listener.close()
    assert row(engine, t.feedback, id=other.id).erased_at is None
    assert books.take(engine, queue).balanced


def test_twice_is_once(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone = entry()
    accept(queue, worker, gone)
    ask(engine, gone.id, gone.id)
    assert carry_out(engine) == [gone.id]
    first = row(engine, t.feedback, id=gone.id)
    done = row(engine, t.erasures, feedback_id=gone.id)
    ask(engine, gone.id)
    due_now(engine)
    assert carry_out(engine) == []
    with engine.begin() as connection:
        erasures.again(connection, [gone.id])
    assert carry_out(engine) == [gone.id]
    assert row(engine, t.feedback, id=gone.id) == first
    assert row(engine, t.erasures, feedback_id=gone.id).asked_at == done.asked_at


def test_a_wish_before_its_submission_is_stored(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """However long ago it was asked for and looked for last."""
    waits = entry()
    ask(engine, waits.id)
    with engine.begin() as connection:
        connection.execute(sa.update(t.erasures).values(asked_at=sa.func.now() - timedelta(days=3)))
    assert carry_out(engine) == []
    assert carry_out(engine) == [], "not due again for a while"
    accept(queue, worker, waits)
    assert carry_out(engine) == [waits.id]
    assert left(engine) == []


def test_former_scores_quote_words_too(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone = entry(vote="good", rating=5, contact=None)
    accept(queue, worker, gone)
    with engine.begin() as connection:
        connection.execute(sa.update(t.feedback).values(selected=False))
        connection.execute(sa.delete(t.outbox))  # else its ticket is on the way, and it keeps its score
    sum(Rescore(engine, VaderScorer(), 100).score())
    assert row(engine, t.former_scores, feedback_id=gone.id).reading["drivers"]
    ask(engine, gone.id)
    assert carry_out(engine) == [gone.id]
    former = row(engine, t.former_scores, feedback_id=gone.id)
    assert former.reading is None
    assert former.label == "negative"
    assert left(engine) == []


class Failing:
    """Fails while it is broken: a stand-in for a bug that some input wakes."""

    name, lines = "failing", Lines(ticket=0.65, review=0.4)

    def __init__(self) -> None:
        self.broken = True

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        if self.broken and any(texts):
            raise RuntimeError("boom")
        return VaderScorer().score(texts)


def test_what_stands_in_quarantine_is_erased_and_stays_replayable(
    settings: Settings, queue: Queue, engine: sa.Engine
) -> None:
    scorer = Failing()
    worker = Handler(engine, scorer, settings.failure_limit)
    gone = entry()
    accept(queue, worker, gone, *(entry(comment="", contact=None) for _ in range(3)))
    assert left(engine) == list(WORDS)
    ask(engine, gone.id)
    assert carry_out(engine) == [gone.id]
    assert [word for word in WORDS if word in str(row(engine, t.quarantine, feedback_id=gone.id))] == []
    with engine.connect() as connection:
        seen = read(connection, gone.id)
    assert seen.set_aside_at is not None
    assert seen.erased_at is not None
    kept = StreamEntry.model_validate_json(row(engine, t.quarantine, feedback_id=gone.id).payload)
    assert kept == gone.model_copy(update={"comment": "", "contact": None, "context": None, "user": None})
    assert books.take(engine, queue).balanced

    scorer.broken = False
    with engine.begin() as connection:
        assert quarantined.ask_replay(connection) == 1
    worker.replay()
    stored = row(engine, t.feedback, id=gone.id)
    assert (stored.comment, stored.contact_email, stored.reply) == ("", None, False)
    assert stored.vote == "bad", "the count is the customer's"
    assert carry_out(engine) == [gone.id], "the wish is open again"
    assert row(engine, t.feedback, id=gone.id).erased_at is not None
    assert books.take(engine, queue).balanced


def test_a_wish_before_its_submission_is_quarantined(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    first, second = (
        entry(client="a" * 32, comment="Fine.", contact=None, context=None, user=None),
        entry(client="a" * 32),
    )
    accept(queue, worker, first)
    ask(engine, second.id)
    assert carry_out(engine) == []
    accept(queue, worker, second)
    assert row(engine, t.quarantine, feedback_id=second.id).reason == "duplicate"
    assert carry_out(engine) == [second.id]
    assert left(engine) == []
    assert row(engine, t.feedback, id=first.id).comment == "Fine.", "another answer of the same client stays"


def test_what_a_row_in_quarantine_may_hold(engine: sa.Engine) -> None:
    def item(reason: str, detail: str, payload: str, kind: str = "submission") -> UUID:
        each = new_id()
        values = {"kind": kind, "source": str(each), "reason": reason, "detail": detail, "payload": payload}
        with engine.begin() as connection:
            connection.execute(sa.insert(t.quarantine).values(feedback_id=each, **values))
        ask(engine, each)
        return each

    odd = item("failed", "DataError: xyzzy", "no JSON: xyzzy")
    other = item("invalid", "contact.email: not an address: plugh@", json.dumps(["xyzzy"]))
    deep = item("invalid", "it is too deep: xyzzy", '{"xyzzy":' * 100_000)
    huge = item("invalid", "entry: xyzzy", f'{{"v": {"7" * 6000}, "xyzzy": 1}}')
    newer = item("invalid", "v: 2", json.dumps({"v": 2, "id": 7, "words": "xyzzy"}))
    clear = item("unknown-survey", "no survey 'gone'", entry(survey="gone").model_dump_json())
    event = item("invalid", "detail: Field required", "an event", kind="event")
    assert set(carry_out(engine)) == {odd, other, deep, huge, newer, clear}
    found = {
        each: row(engine, t.quarantine, feedback_id=each) for each in (odd, other, deep, huge, newer, clear, event)
    }
    assert [found[each].payload for each in (odd, other, deep)] == ["", "", ""]
    assert json.loads(found[newer].payload) == {"v": 2, "id": 7}
    assert [found[each].detail for each in (odd, other, deep, huge, newer)] == ["erased"] * 5
    assert found[clear].detail == "no survey 'gone'"
    assert found[event].payload == "an event"
    assert left(engine) == []


def test_hopeless_wishes_cost_little(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """Of submissions that were lost with a disk: ten thousand of them hold nobody up, and are hardly looked at."""
    ask(engine, *(new_id() for _ in range(10_000)))
    gone = entry()
    accept(queue, worker, gone)
    ask(engine, gone.id)
    assert carry_out(engine) == [gone.id], "what was asked for last goes first"
    with engine.begin() as connection:
        connection.execute(
            sa.update(t.erasures)
            .where(t.erasures.c.done_at.is_(None))
            .values(asked_at=sa.func.now() - timedelta(days=9))
        )
    for _ in range(100):
        carry_out(engine)
    with engine.begin() as connection:
        pauses = sa.select(sa.func.min(t.erasures.c.due_at) - sa.func.now()).where(t.erasures.c.done_at.is_(None))
        assert connection.execute(pauses).scalar_one() > timedelta(minutes=59)
        connection.execute(sa.text("ANALYZE erasures"))
        with statements(connection) as looks:
            assert erasures.carry_out(connection, 100) == []
        [(look, given)] = looks  # nothing is due: one look
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN ANALYZE {look}", given))
        assert "ix_erasures_open" in plan
        assert "Rows Removed by Filter" not in plan
        with statements(connection) as looks:
            assert erasures.look_again(connection, 300) == []
        for look, given in looks:
            plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN ANALYZE {look}", given))
            assert "ix_erasures_done_at" in plan


@contextmanager
def statements(connection: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is asked meanwhile, and with which values."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        asked.append((statement, given))

    sa.event.listen(connection, "before_cursor_execute", note)
    yield asked
    sa.event.remove(connection, "before_cursor_execute", note)


def test_a_clock_that_was_put_back_delays_nothing(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone = entry()
    ask(engine, gone.id)
    assert carry_out(engine) == []
    with engine.begin() as connection:
        connection.execute(sa.update(t.erasures).values(due_at=sa.func.now() + timedelta(days=1)))
        # What `again` does, had it happened before the clock was put back.
        values = {"kind": "submission", "source": "0/1", "reason": "failed", "detail": "", "payload": "{}"}
        connection.execute(sa.insert(t.quarantine).values(feedback_id=gone.id, **values))
    assert carry_out(engine) == [gone.id]


def test_what_somebody_holds_is_done_next_time(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone, aside = entry(), entry(survey="nowhere")
    accept(queue, worker, gone, aside)
    ask(engine, gone.id, aside.id)
    with engine.begin() as manager:
        manager.execute(sa.select(t.feedback.c.id).where(t.feedback.c.id == gone.id).with_for_update(key_share=True))
        began = time.monotonic()
        assert carry_out(engine) == [aside.id]
        assert time.monotonic() - began < 1, "it waits for nobody"
    due_now(engine)
    assert carry_out(engine) == [gone.id]
    assert left(engine) == []


@pytest.mark.parametrize("table", [t.feedback, t.quarantine, t.tickets])
def test_one_of_its_rows_in_other_hands_is_enough(
    worker: Handler, queue: Queue, engine: sa.Engine, table: sa.Table
) -> None:
    """A worker gave it up, another stored it, and the desk refused its ticket."""
    gone = entry()
    add_aside(engine, gone)
    accept(queue, worker, gone)
    with engine.begin() as connection:
        held = ledger.take(connection, gone.id, "default", 60)
        assert isinstance(held, ledger.Taken)
        assert ledger.failed(connection, held, "no: xyzzy")
    ask(engine, gone.id)
    with engine.begin() as somebody:
        somebody.execute(sa.select(sa.literal(1)).select_from(table).with_for_update(key_share=True))
        assert carry_out(engine) == []
        assert row(engine, t.erasures, feedback_id=gone.id).done_at is None
    due_now(engine)
    assert carry_out(engine) == [gone.id]
    assert left(engine) == []


def add_aside(engine: sa.Engine, given: StreamEntry) -> None:
    item = quarantined.Item(
        QuarantineKind.SUBMISSION, "0/1", QuarantineReason.FAILED, "RuntimeError", given.model_dump_json(), given.id
    )
    with engine.begin() as connection:
        quarantined.add(connection, [item])


def test_a_ticket_begun_meanwhile_keeps_nothing_waiting(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    gone = entry()
    accept(queue, worker, gone)
    ask(engine, gone.id)
    with engine.begin() as ticketing:
        ledger.take(ticketing, gone.id, "default", 60)  # its row refers to the answer's
        assert carry_out(engine) == [gone.id]
    assert left(engine) == []


def test_what_the_desk_said_goes_too(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """Without ticketing's help: whether it refused before or after, and when it is tried again in between."""
    before, after, again = entry(), entry(), entry()
    accept(queue, worker, before, after, again)

    def refuse(each: StreamEntry) -> None:
        with engine.begin() as connection:
            held = ledger.take(connection, each.id, "default", 60)
            assert isinstance(held, ledger.Taken)
            assert ledger.failed(connection, held, "Zendesk refuses it: xyzzy")

    def said(each: StreamEntry) -> str | None:
        return row(engine, t.tickets, feedback_id=each.id).last_error

    refuse(before)
    refuse(again)
    ask(engine, before.id, after.id, again.id)
    with engine.begin() as connection:
        assert ledger.replay_failed(connection, [again.id]) == 1
    assert said(again) is None
    assert set(carry_out(engine)) == {before.id, after.id, again.id}
    told = {each.id: row(engine, t.erasures, feedback_id=each.id).desk_told_at for each in (before, after, again)}
    assert told[before.id] is not None, "the desk has no ticket"
    assert told[after.id] is told[again.id] is None, "it may get one, and perhaps with words"
    refuse(after)
    refuse(again)
    assert set(carry_out(engine)) == {after.id, again.id}
    assert {said(each) for each in (before, after, again)} == {erasures.ERASED}
    with engine.connect() as connection:
        untold = sa.select(sa.func.count()).select_from(t.erasures).where(t.erasures.c.desk_told_at.is_(None))
        assert connection.execute(untold).scalar_one() == 0
    assert left(engine) == []


def test_what_was_being_written_meanwhile_is_found(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """Asked for and done between the writing of its words and the end of that transaction: nobody saw the other."""
    stored, aside, fine = entry(), entry(), entry()
    accept(queue, worker, fine)
    add_aside(engine, stored)
    scorer = LightScorer()
    other = Handler(engine, scorer, 10)
    queue.redis.xadd(keys.queue(0), stored.fields())  # type: ignore[arg-type]
    batch = other.assess(queue.read("test", 10, 0.05))
    with engine.begin() as late:
        store(late, batch.assessed)
        ask(engine, stored.id, fine.id)
        assert set(carry_out(engine)) == {stored.id, fine.id}
    accept(queue, worker, aside)
    with engine.begin() as late:
        item = quarantined.Item(
            QuarantineKind.SUBMISSION, "0/2", QuarantineReason.FAILED, "", aside.model_dump_json(), aside.id
        )
        quarantined.add(late, [item])
        ask(engine, aside.id)
        assert carry_out(engine) == [aside.id]
    due_now(engine)
    assert carry_out(engine) == []
    assert left(engine) == list(WORDS)
    with db.begin(engine) as connection:
        assert set(erasures.look_again(connection, 300)) == {stored.id, aside.id}
    assert set(carry_out(engine)) == {stored.id, aside.id}
    assert left(engine) == []
    with db.begin(engine) as connection:
        assert erasures.look_again(connection, 300) == []


def test_looking_again_waits_for_nobody(engine: sa.Engine) -> None:
    gone = entry()
    add_aside(engine, gone)
    ask(engine, gone.id)
    with engine.begin() as connection:
        connection.execute(sa.update(t.erasures).values(done_at=sa.func.now()))
    with engine.begin() as somebody:
        somebody.execute(sa.select(t.erasures).with_for_update())
        with db.begin(engine) as connection:
            assert erasures.look_again(connection, 300) == []


def test_what_postgres_refuses_keeps_no_other_waiting(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    entries = [entry(contact=None) for _ in range(9)]
    refused, *others = entries
    accept(queue, worker, *entries)
    with engine.begin() as connection:
        refuse = f"BEGIN IF NEW.id = '{refused.id}' THEN RAISE 'no'; END IF; RETURN NEW; END"
        connection.exec_driver_sql(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$")
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE UPDATE ON feedback FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    try:
        ask(engine, *(each.id for each in entries))
        assert carry_out(engine) == sorted(each.id for each in others)
        assert carry_out(engine) == [], "its pause grows like that of others"
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER refuse ON feedback")
            connection.exec_driver_sql("DROP FUNCTION refuse()")
    assert row(engine, t.feedback, id=refused.id).comment == COMMENT
    due_now(engine)
    assert carry_out(engine) == [refused.id]
    assert left(engine) == []


def test_rescoring_leaves_it_alone(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    """Also what is erased between the moment it reads the words and the moment it writes their score."""
    gone, late, other = (entry(vote=None, rating=None, contact=None) for _ in range(3))
    accept(queue, worker, gone, late, other)
    with engine.begin() as connection:
        connection.execute(sa.update(t.feedback).values(selected=False))
        connection.execute(sa.delete(t.outbox))
    ask(engine, gone.id)
    carry_out(engine)

    class Meanwhile(VaderScorer):
        def score(self, texts: Sequence[str]) -> list[Sentiment]:
            if late.comment in texts:
                ask(engine, late.id)
                carry_out(engine)
            return super().score(texts)

    run = Rescore(engine, Meanwhile(), 100)
    assert sum(run.score()) == 3
    for each in (gone, late):
        kept = row(engine, t.feedback, id=each.id)
        assert (kept.label, kept.reading, kept.scorer) == ("negative", None, LightScorer().name)
    assert row(engine, t.feedback, id=other.id).scorer == VaderScorer().name
    assert run.summary.scored == 1
    again = Rescore(engine, VaderScorer(), 100)
    assert sum(again.score()) == 3
    assert again.summary.waiting == 0, "nothing that a later run could do"
    assert list(run.overlooked(None)) == [other.id]
    assert not run.select(gone.id)


def test_beside_workers_managers_and_rescoring(settings: Settings, queue: Queue, engine: sa.Engine) -> None:
    """All at once, with replays: nobody waits for anybody for good, and in the end no words are left."""
    stop = threading.Event()
    asked: list[UUID] = []

    @contextmanager
    def going(pool: ThreadPoolExecutor, *loops: Any) -> Iterator[None]:
        def loop(turn: Any) -> int:
            turns = 0
            while not stop.is_set():
                turn()
                turns += 1
            return turns

        running = [pool.submit(loop, each) for each in loops]
        try:
            yield
        finally:
            stop.set()
        assert all(each.result(30) > 0 for each in running)

    worker = Handler(engine, VaderScorer(), settings.failure_limit)

    def submit() -> None:
        twice = new_id().hex
        entries = [
            entry(contact=None, client=twice),
            entry(contact=None, client=twice),
            entry(survey="nowhere"),
            entry(),
        ]
        if len(asked) % 2:  # before they are stored, or after
            ask(engine, *(each.id for each in entries))
            accept(queue, worker, *entries)
        else:
            accept(queue, worker, *entries)
            ask(engine, *(each.id for each in entries))
        asked.extend(each.id for each in entries)
        asked.append(entries[0].id)

    def judge() -> None:
        for each in asked[-8:]:
            with db.begin(engine) as connection:
                verdicts.say(connection, each, True, Judge.MANAGER)

    def replay() -> None:
        with db.begin(engine) as connection:
            quarantined.ask_replay(connection)
        other.replay()

    other = Handler(engine, VaderScorer(), settings.failure_limit)
    with ThreadPoolExecutor(6) as pool:
        rescores = iter(range(10**6))

        def rescore() -> None:
            scorer = VaderScorer()
            scorer.name = f"vader-{next(rescores)}"
            sum(Rescore(engine, scorer, 10).score())

        def erase() -> None:
            carry_out(engine, 7)

        with going(pool, submit, judge, replay, rescore, erase, erase):
            wait_for(lambda: len(asked) >= 200, 60, "many answers")
    due_now(engine)
    while carry_out(engine):
        due_now(engine)
    assert left(engine) == []
    with engine.connect() as connection:
        open_ = sa.select(sa.func.count()).select_from(t.erasures).where(t.erasures.c.done_at.is_(None))
        assert connection.execute(open_).scalar_one() == 0
        deadlocks = sa.text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert connection.execute(deadlocks).scalar_one() == 0
    assert books.take(engine, queue).balanced


def test_the_relay_erases_whatever_becomes_of_the_bus(
    worker: Handler, queue: Queue, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second after it is asked for, after it is stored, and after a surprise."""
    surprises = iter([RuntimeError("nobody thought of that")])
    real = erasures.carry_out

    def surprised(connection: sa.Connection, limit: int) -> list[UUID]:
        for each in surprises:
            raise each
        return real(connection, limit)

    monkeypatch.setattr(erasing.erasures, "carry_out", surprised)
    stored, waiting = entry(), entry()
    accept(queue, worker, stored)
    stop = Stop()
    thread = threading.Thread(target=erasing.run, args=(engine, stop))
    thread.start()
    try:
        time.sleep(0.1)

        def erased(each: StreamEntry) -> bool:
            found = row(engine, t.feedback, id=each.id)
            return found is not None and found.erased_at is not None

        ask(engine, stored.id, waiting.id)
        wait_for(lambda: erased(stored), 2, "the answer to be erased")
        time.sleep(1.5)  # its pause has grown meanwhile
        accept(queue, worker, waiting)
        wait_for(lambda: erased(waiting), 2, "the other one to be erased")
    finally:
        stop.request()
        thread.join(10)
    assert not thread.is_alive()


def test_the_relay_looks_again(
    worker: Handler, queue: Queue, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few seconds; when it starts, at what was done since long before."""
    monkeypatch.setattr(erasing, "LOOK_SECONDS", 0.1)
    before, meanwhile = entry(), entry()
    accept(queue, worker, before, meanwhile)

    def done_too_soon(each: StreamEntry, **ago: float) -> None:
        with engine.begin() as connection:
            connection.execute(
                sa.insert(t.erasures).values(feedback_id=each.id, done_at=sa.func.now() - timedelta(**ago))
            )

    def erased(each: StreamEntry) -> bool:
        return row(engine, t.feedback, id=each.id).erased_at is not None

    done_too_soon(before, hours=3)
    stop = Stop()
    thread = threading.Thread(target=erasing.run, args=(engine, stop))
    thread.start()
    try:
        wait_for(lambda: erased(before), 3, "what was done before it started")
        done_too_soon(meanwhile, seconds=3)
        wait_for(lambda: erased(meanwhile), 3, "what was done since")
    finally:
        stop.request()
        thread.join(10)
    assert not thread.is_alive()
    assert left(engine) == []


def test_a_manager_may_still_open_a_ticket(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    asked = entry(flags=("fast",))
    accept(queue, worker, asked)
    ask(engine, asked.id)
    carry_out(engine)
    with engine.begin() as connection:
        said = verdicts.say(connection, asked.id, True, Judge.MANAGER)
        assert said is not None
        assert said.selected
        held = ledger.take(connection, asked.id, "default", 60)
        assert isinstance(held, ledger.Taken)
        assert held.state == TicketState.ATTEMPTING


def test_after_a_restore_the_wishes_are_taken_over(
    settings: Settings, worker: Handler, queue: Queue, engine: sa.Engine, postgres_url: str
) -> None:
    """By the commands of docs/operations.md, from the database that was put aside into one that knows nothing of it."""
    gone = entry()
    accept(queue, worker, gone)
    before = f"heed_before_{new_id().hex[:12]}"
    admin = db.connect(Settings(database_url=postgres_url.replace("/heed?", "/postgres?")), "tests")
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {before} TEMPLATE heed STRATEGY FILE_COPY"))
    aside = db.connect(Settings(database_url=postgres_url.replace("/heed?", f"/{before}?")), "tests")
    try:
        ask(aside, gone.id)
        with aside.begin() as connection:
            connection.execute(sa.update(t.erasures).values(done_at=sa.func.now(), desk_told_at=sa.func.now()))
        text = OPERATIONS.read_text(encoding="utf-8")
        [copy] = re.findall(r"sh -c '(pg_dump[^']*erasures[^']*)'", text)
        [again] = re.findall(r"-c '(UPDATE erasures [^']*)'", text)
        url = sa.make_url(settings.need("database_url"))
        ours = {"heed_before_20261121_233559": before, "-U heed": "-U postgres", "-d heed": f"-d {url.database}"}
        for theirs, name in ours.items():
            assert theirs in copy
            copy = re.sub(rf"{theirs}(?=\s|$)", name, copy)
        program, _ = programs.find("pg_dump", 16)
        path = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PGHOST": str(url.query["host"])}
        subprocess.run(["bash", "-o", "pipefail", "-c", copy], env=environment, check=True, timeout=60)
        with engine.begin() as connection:
            connection.execute(sa.text(again))
        assert carry_out(engine) == [gone.id]
        assert left(engine) == []
        assert row(engine, t.erasures, feedback_id=gone.id).desk_told_at is not None, "agents are not told again"
    finally:
        aside.dispose()
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"DROP DATABASE {before} WITH (FORCE)"))
        admin.dispose()
