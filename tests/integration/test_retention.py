"""What customers wrote is kept as long as HEED_RETENTION_DAYS says: then it is gone everywhere, and counted still."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import wait_for
from test_erasures import COMMENT, CONTACT, accept, ask, carry_out, left, queue, rollup, row, worker

from heed import books
from heed.contracts import QuarantineKind, QuarantineReason, StreamEntry, TicketState, first_id, new_id
from heed.db import engine as db
from heed.db import erasures, ledger
from heed.db import quarantine as quarantined
from heed.db import tables as t
from heed.db.receipts import read
from heed.lifecycle import Stop
from heed.stream.queue import Queue
from worker import retention
from worker.handler import Handler

__all__ = ["queue", "worker"]  # fixtures

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


def entry(age: timedelta, comment: str = COMMENT, vote: str = "bad") -> StreamEntry:
    """An answer of that age, whose words are those of test_erasures; `bad` ones are to become tickets."""
    made_at = UUID(int=first_id(NOW - age).int | (new_id().int & ((1 << 80) - 1)))
    contact = CONTACT.model_copy(update={"reply": vote == "bad"})
    return StreamEntry(
        id=made_at, survey="default", client=new_id().hex, vote=vote, comment=comment, contact=contact, user="grue"
    )


def settled(engine: sa.Engine, *entries: StreamEntry) -> None:
    """Their tickets are there."""
    for each in entries:
        with engine.begin() as connection:
            held = ledger.take(connection, each.id, "default", 60)
            assert isinstance(held, ledger.Taken)
            ledger.created(connection, held, 7)
            ledger.opened(connection, held)


def is_erased(engine: sa.Engine, each: StreamEntry) -> bool:
    return row(engine, t.feedback, id=each.id).erased_at is not None


def walk(engine: sa.Engine, days: int = 30) -> int:
    return retention.walk(engine, NOW - days * DAY, Stop())


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)


def test_old_words_go_and_young_ones_stay(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    old = [entry((31 + each) * DAY, vote="good", comment="xyzzy plugh") for each in range(8)]
    young = entry(29 * DAY, comment="Fine, thank you.", vote="good")
    accept(queue, worker, *old, young)
    before = rollup(engine)
    assert walk(engine) == 8
    assert sorted(carry_out(engine)) == sorted(each.id for each in old)
    assert all(is_erased(engine, each) for each in old)
    kept = row(engine, t.feedback, id=young.id)
    assert (kept.comment, kept.contact_email, kept.erased_at) == ("Fine, thank you.", CONTACT.email, None)
    assert rollup(engine) == before
    assert books.take(engine, queue).balanced
    assert walk(engine) == 0
    with engine.connect() as connection:
        progress = read(connection, old[0].id)
    assert progress.erased_at is not None


def test_a_ticket_to_be_opened_is_waited_for(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    waiting = entry(31 * DAY)
    accept(queue, worker, waiting)
    assert walk(engine) == 0
    assert carry_out(engine) == []
    settled(engine, waiting)
    assert walk(engine) == 1
    carry_out(engine)
    assert left(engine) == []
    assert row(engine, t.tickets, feedback_id=waiting.id).state == TicketState.OPENED


def test_agents_are_told_of_customers_own_wishes_alone(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    kept, wished = entry(31 * DAY), entry(31 * DAY)
    accept(queue, worker, kept, wished)
    settled(engine, kept, wished)
    ask(engine, wished.id)
    walk(engine)
    carry_out(engine)
    with engine.begin() as connection:
        assert erasures.untold(connection)[0] == wished.id  # type: ignore[index]
        erasures.told(connection, wished.id)
        erasures.again(connection, [kept.id])  # as when something of it is stored anew
    carry_out(engine)
    with engine.connect() as connection:
        assert erasures.untold(connection) is None


def test_what_is_stored_late_or_was_put_aside(worker: Handler, queue: Queue, engine: sa.Engine) -> None:
    def aside(source: str, payload: str, feedback_id: UUID | None) -> None:
        item = quarantined.Item(
            QuarantineKind.SUBMISSION, source, QuarantineReason.INVALID, "frobnicate?", payload, feedback_id
        )
        with engine.begin() as connection:
            quarantined.add(connection, [item])
            connection.execute(sa.update(t.quarantine).where(t.quarantine.c.source == source).values(at=NOW - 31 * DAY))

    later = entry(40 * DAY)
    aside("0/1-1", later.model_dump_json(), later.id)
    aside("0/2-1", "{frobnicate", None)
    assert walk(engine) == 2
    carry_out(engine)
    assert left(engine) == []
    nameless = row(engine, t.quarantine, source="0/2-1")
    assert (nameless.payload, nameless.detail) == ("", "erased")

    accept(queue, worker, later)  # replayed by hand from a copy: its wish is open again
    settled(engine, later)
    assert carry_out(engine) == [later.id]
    late = entry(50 * DAY, vote="good", comment="plugh")
    accept(queue, worker, late)
    assert walk(engine) == 1
    carry_out(engine)
    assert is_erased(engine, late)


def test_it_goes_on_after_postgres_was_away(
    worker: Handler, queue: Queue, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = entry(31 * DAY, vote="good", comment="xyzzy")
    accept(queue, worker, old)
    monkeypatch.setattr(retention, "LATER_SECONDS", 0.05)
    refusals = iter([db.Later("away"), RuntimeError("nobody thought of that")])
    real = erasures.outlived

    def outlived(*given: object) -> object:
        for each in refusals:
            raise each
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(erasures, "outlived", outlived)
    stop = Stop()
    thread = threading.Thread(target=retention.run, args=(engine, 30 * DAY, stop))
    thread.start()
    try:
        wait_for(lambda: row(engine, t.erasures, feedback_id=old.id), what="the wish")
    finally:
        stop.request()
        thread.join(10)
    assert not thread.is_alive()
