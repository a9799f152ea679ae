"""Events become tickets, exactly once, whatever fails between: real queue, real Postgres, the sandbox."""

import base64
import errno
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import free_port, wait_for
from sandbox_process import TOKEN, Sandbox, running_sandbox
from starlette.responses import HTMLResponse

from heed.contracts import DEFAULT_SURVEY, Judge, Label, NegativeFeedback, Priority, Reason, new_id, received_at
from heed.db import erasures, ledger, outbox, surveys, tables, verdicts
from heed.db import quarantine as quarantine_db
from heed.db.receipts import wish_erased
from heed.errors import Later, Paused
from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings
from local import aws
from ticketing import consumer as consumer_module
from ticketing import handler as handler_module
from ticketing import queue, text
from ticketing import reconcile as reconciling
from ticketing.consumer import THREADS, Consumer
from ticketing.desk import ConsoleDesk, TicketRequest
from ticketing.erased import tell
from ticketing.gate import FAILURES, Gate
from ticketing.handler import Handler, Outcome
from ticketing.queue import Queue
from ticketing.reconcile import reconcile
from ticketing.zendesk import ZendeskDesk

ANONYMOUS = text.Anonymous("Anonymous customer", "anonymous@example.com")
WEBHOOK_SECRET = "tests-only-webhook-secret"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def desk(sandbox: Sandbox) -> Iterator[ZendeskDesk]:
    yield ZendeskDesk(Settings(zendesk_url=sandbox.url, zendesk_token=TOKEN))
    sandbox.no_faults()


@pytest.fixture
def handler(engine: sa.Engine, desk: ZendeskDesk) -> Handler:
    return Handler(engine, desk, ANONYMOUS, "http://results.example")


@pytest.fixture
def house(engine: sa.Engine, settings: Settings) -> "House":
    return House(engine, settings)


class House:
    """Postgres and the queue around ticketing: what the worker and the relay would do, and what is true after."""

    def __init__(self, engine: sa.Engine, settings: Settings) -> None:
        aws.provision(settings)
        self.engine, self.sqs = engine, aws.client("sqs", settings)
        self.queue_url = self.sqs.get_queue_url(QueueName=settings.event_queue)["QueueUrl"]

    def selected(self, **columns: Any) -> NegativeFeedback:
        """Store a selected submission with its outbox row."""
        feedback_id = new_id()
        row: dict[str, Any] = {
            "id": feedback_id,
            "survey": "default",
            "client": feedback_id.hex,
            "source": "form",
            "vote": "bad",
            "rating": None,
            "comment": f"It broke. ({feedback_id})",
            "reply": False,
            "received_at": received_at(feedback_id),
            "label": Label.NEGATIVE,
            "compound": -0.5,
            "p_negative": 0.9,
            "scores": {},
            "scorer": "tests",
            "selected": True,
            "reasons": [Reason.TEXT, Reason.OPTION],
            "priority": Priority.NORMAL,
            "policy": "tests",
            **columns,
        }
        with self.engine.begin() as connection:
            stored = connection.execute(sa.insert(tables.feedback).values(row).returning(tables.feedback)).one()
            event = NegativeFeedback.model_validate(stored._asdict() | {"reasons": stored.reasons or [Reason.TEXT]})
            outbox.add(connection, [event])
        return event

    def send(self, *events: NegativeFeedback) -> None:
        for event in events:
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=envelope(event))

    def ticket(self, feedback_id: UUID) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(
                sa.select(tables.tickets).where(tables.tickets.c.feedback_id == feedback_id)
            ).one_or_none()

    def state(self, feedback_id: UUID) -> str | None:
        row = self.ticket(feedback_id)
        return row.state if row else None

    def counts(self) -> dict[str, int]:
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            kept = connection.execute(sa.select(tables.ticket_counts.c.state, tables.ticket_counts.c.tickets)).all()
            real = connection.execute(
                sa.select(tables.tickets.c.state, sa.func.count()).group_by(tables.tickets.c.state)
            ).all()
        counts = {row.state: row.tickets for row in kept if row.tickets}
        assert counts == {row[0]: row[1] for row in real}, "the counts are not the tickets'"
        return counts

    def in_flight(self) -> int:
        with self.engine.connect() as connection:
            return outbox.depth(connection)

    def left_in_queue(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def connections(self, name: str) -> int:
        """How many connections a service of this name has to this database."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name"
        with self.engine.connect() as connection:
            return int(connection.execute(sa.text(query), {"name": name}).scalar_one())

    def quarantined(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(tables.quarantine)).all())

    def end_lease(self, feedback_id: UUID, left: timedelta = timedelta(seconds=-1)) -> None:
        """As if its lease had run out just now."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(tables.tickets)
                .where(tables.tickets.c.feedback_id == feedback_id)
                .values(leased_until=sa.func.now() + left)
            )


def envelope(event: NegativeFeedback) -> str:
    return json.dumps({"source": "heed.worker", "detail-type": "x", "detail": event.model_dump(mode="json")})


def exactly_one(sandbox: Sandbox, feedback_id: UUID) -> dict[str, Any]:
    """The one ticket of this submission, complete: the customer's words, then one note."""
    (ticket,) = sandbox.tickets(feedback_id)
    notes = [comment for comment in sandbox.comments(ticket["id"]) if not comment["public"]]
    assert len(notes) == 1
    assert text.marker(feedback_id) in notes[0]["body"]
    return ticket


@contextmanager
def consuming(settings: Settings, handler: Handler, count: int = 1) -> Iterator[Gate]:
    """Consumers as the service runs them; ends with a stop that must not take long."""
    stop, gate = Stop(), Gate(probe_seconds=0.3)
    shorter = pytest.MonkeyPatch()
    shorter.setattr(queue, "WAIT_SECONDS", 1)
    consumers = [Consumer(Queue(settings, 10), handler, gate, stop, Heartbeat(60)) for _ in range(count)]
    threads = [threading.Thread(target=consumer.run) for consumer in consumers]
    for thread in threads:
        thread.start()
    try:
        yield gate
    finally:
        stop.request()
        for thread in threads:
            thread.join(10)
        shorter.undo()
        assert not any(thread.is_alive() for thread in threads)


def works(handler: Handler, event: NegativeFeedback) -> Outcome:
    return handler.handle("message", envelope(event)).outcome


# One delivery


def test_event_becomes_a_ticket(house: House, handler: Handler, sandbox: Sandbox) -> None:
    event = house.selected(contact_name="Ada", contact_email="ada@example.com", comment="It broke.\n\nAgain!")
    assert works(handler, event) == Outcome.OPENED
    ticket = exactly_one(sandbox, event.id)
    first = sandbox.comments(ticket["id"])[0]
    assert (first["body"], first["public"]) == ("It broke.\n\nAgain!", True)
    assert sandbox.requester(ticket)["email"] == "ada@example.com"
    row = house.ticket(event.id)
    assert (row.state, row.desk_id, row.desk_status, row.leased_until) == ("opened", ticket["id"], "new", None)
    assert house.counts() == {"opened": 1}
    assert house.in_flight() == 0
    assert works(handler, event) == Outcome.KNOWN


@pytest.mark.parametrize("comment", ["", " \n"])
def test_vote_without_words_becomes_a_ticket(house: House, handler: Handler, sandbox: Sandbox, comment: str) -> None:
    event = house.selected(comment=comment)
    assert works(handler, event) == Outcome.OPENED
    assert "chose “Bad”" in exactly_one(sandbox, event.id)["description"]


def test_a_ticket_says_what_the_customer_was_asked(house: House, handler: Handler, sandbox: Sandbox) -> None:
    asked, unknown = house.selected(comment="", asked=1), house.selected(comment="")
    terrible = DEFAULT_SURVEY.options[1].model_copy(update={"label": "Terrible"})
    now = {"question": "How was your delivery?", "options": (DEFAULT_SURVEY.options[0], terrible)}
    with house.engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update=now))
    for event, question, label in (
        (asked, DEFAULT_SURVEY.question, "Bad"),
        (unknown, "How was your delivery?", "Terrible"),
    ):
        assert works(handler, event) == Outcome.OPENED
        first, note = sandbox.comments(exactly_one(sandbox, event.id)["id"])
        assert f"chose “{label}”" in first["body"]
        assert f"Survey: {question} (default)" in note["body"]


@pytest.mark.parametrize(
    "fault", ["429", "429-date", "429-bare", "500", "503", "html", "redirect", "wrong", "empty", "late"]
)
@pytest.mark.parametrize("on", ["create", "update"])
def test_later_then_exactly_one(house: House, handler: Handler, sandbox: Sandbox, fault: str, on: str) -> None:
    event = house.selected()
    sandbox.fault(fault, on=on, seconds=0.1)
    with pytest.raises(Later):
        works(handler, event)
    row = house.ticket(event.id)
    assert row.state == ("attempting" if on == "create" else "created")
    assert row.leased_until is None
    assert row.last_error
    assert house.in_flight() == 1
    assert works(handler, event) == Outcome.OPENED
    exactly_one(sandbox, event.id)
    assert house.counts() == {"opened": 1}
    assert house.in_flight() == 0


@pytest.mark.parametrize("fault", ["422", "422-invalid"])
def test_refused_is_visible_and_can_be_replayed(house: House, handler: Handler, sandbox: Sandbox, fault: str) -> None:
    event = house.selected()
    sandbox.fault(fault, on="create")
    assert works(handler, event) == Outcome.REFUSED
    row = house.ticket(event.id)
    assert row.state == "failed"
    assert "Refused by order" in row.last_error
    assert (house.counts(), house.in_flight(), sandbox.tickets(event.id)) == ({"failed": 1}, 0, [])
    with house.engine.begin() as connection:
        assert ledger.replay_failed(connection) == 1
        assert ledger.replay_failed(connection) == 0
    assert (house.counts(), house.in_flight()) == ({"attempting": 1}, 1)
    assert works(handler, event) == Outcome.OPENED
    exactly_one(sandbox, event.id)
    assert (house.counts(), house.in_flight()) == ({"opened": 1}, 0)


def test_ticket_counts_as_opened_when_its_note_is_refused(house: House, handler: Handler, sandbox: Sandbox) -> None:
    event = house.selected()
    sandbox.fault("422", on="update")
    assert works(handler, event) == Outcome.OPENED
    assert len(sandbox.tickets(event.id)) == 1
    assert house.state(event.id) == "opened"


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("noted", [False, True])
def test_death_between_create_and_record(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox, remembered: bool, noted: bool
) -> None:
    """Whether or not Zendesk still remembers the key, and whatever the clocks say of the time since then."""
    event = house.selected()
    answer = text.request(loaded(house, event.id), ANONYMOUS)
    with house.engine.begin() as connection:
        held = ledger.take(connection, event.id, "default", 60)
        assert isinstance(held, ledger.Taken)
    key = f"heed-{event.id}" if remembered else f"forgotten-{event.id}"
    number = desk.open(answer, idempotency_key=key, look_first=False).desk_id
    if noted:
        with house.engine.begin() as connection:
            assert ledger.created(connection, held, number)
        note = text.note(loaded(house, event.id), None)
        desk.annotate(number, marker=text.marker(event.id), note=note, look_first=False)
    assert works(handler, event) == Outcome.BUSY
    house.end_lease(event.id)
    assert works(handler, event) == Outcome.OPENED
    assert exactly_one(sandbox, event.id)["id"] == number
    assert house.counts() == {"opened": 1}


def loaded(house: House, feedback_id: UUID) -> text.Answer:
    from ticketing.handler import _answer

    with house.engine.connect() as connection:
        answer = _answer(connection, feedback_id)
    assert answer is not None
    return answer


def test_who_lost_the_lease_records_nothing(house: House) -> None:
    event = house.selected()
    with house.engine.begin() as connection:
        late = ledger.take(connection, event.id, "default", 60)
    house.end_lease(event.id)
    with house.engine.begin() as connection:
        holder = ledger.take(connection, event.id, "default", 60)
    assert isinstance(late, ledger.Taken)
    assert isinstance(holder, ledger.Taken)
    with house.engine.begin() as connection:
        assert not ledger.created(connection, late, 1)
        assert not ledger.opened(connection, late)
        assert not ledger.failed(connection, late, "late")
        ledger.release(connection, late, "late")
        assert isinstance(ledger.take(connection, event.id, "default", 60), ledger.Busy)
        assert ledger.created(connection, holder, 1)
        assert ledger.opened(connection, holder)
        assert not ledger.created(connection, holder, 1)
    assert house.counts() == {"opened": 1}


def test_lease_from_before_the_clock_was_put_back_holds_nobody_up(house: House, handler: Handler) -> None:
    event = house.selected()
    with house.engine.begin() as connection:
        ledger.take(connection, event.id, "default", 60)
    house.end_lease(event.id, timedelta(days=1))
    assert works(handler, event) == Outcome.OPENED


def test_another_desk_gives_the_same_numbers_again(house: House, handler: Handler, sandbox: Sandbox) -> None:
    first, second = house.selected(), house.selected()
    assert works(handler, first) == Outcome.OPENED
    number = house.ticket(first.id).desk_id
    with house.engine.begin() as connection:  # as after a move from the sandbox to a Zendesk
        connection.execute(
            sa.update(tables.tickets).where(tables.tickets.c.feedback_id == first.id).values(desk_id=number + 1)
        )
    assert works(handler, second) == Outcome.OPENED
    assert exactly_one(sandbox, second.id)["id"] == house.ticket(second.id).desk_id == number + 1
    with house.engine.begin() as connection:
        assert ledger.seen(connection, [(second.id, number + 1, "solved")]) == [(second.id, "solved")]
    assert (house.state(first.id), house.state(second.id)) == ("opened", "solved")


@pytest.mark.parametrize(
    "body",
    ["", "nonsense", "[]", '{"detail": {}}', '{"detail": {"v": 2}}', '"\\u0000"', "\ud800", "unknown", "not selected"],
)
def test_event_that_cannot_be_read_is_quarantined(house: House, handler: Handler, body: str) -> None:
    if body == "unknown":
        body = envelope(house.selected().model_copy(update={"id": new_id()}))
    elif body == "not selected":
        body = envelope(house.selected(selected=False))
    assert handler.handle("message-1", body).outcome == Outcome.QUARANTINED
    assert handler.handle("message-1", body).outcome == Outcome.QUARANTINED
    (kept,) = house.quarantined()
    assert (kept.kind, kept.source, kept.reason) == ("event", "message-1", "invalid")
    assert kept.payload == body.replace("\ud800", "\\ud800")
    assert kept.detail
    with house.engine.begin() as connection:
        assert quarantine_db.ask_replay(connection) == 0
    assert house.counts() == {}


# The loop


def test_same_event_five_times_at_once(house: House, handler: Handler, settings: Settings, sandbox: Sandbox) -> None:
    events = [house.selected() for _ in range(6)]
    with consuming(settings, handler, count=2), ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: house.send(*events), range(5)))
        wait_for(lambda: house.counts() == {"opened": 6}, what="six tickets")
        for event in events:
            exactly_one(sandbox, event.id)
        assert house.in_flight() == 0


def test_queue_is_empty_after_work_and_after_nonsense(house: House, handler: Handler, settings: Settings) -> None:
    event = house.selected()
    house.sqs.send_message(QueueUrl=house.queue_url, MessageBody="nonsense")
    house.send(event)
    with consuming(settings, handler):
        wait_for(lambda: house.left_in_queue() == 0, what="an empty queue")
        house.send(event)
        wait_for(lambda: house.left_in_queue() == 0, what="an empty queue again")
    assert house.state(event.id) == "opened"
    assert len(house.quarantined()) == 1


def test_lost_response_in_the_loop_gives_one_ticket(
    house: House, handler: Handler, settings: Settings, sandbox: Sandbox
) -> None:
    events = [house.selected() for _ in range(4)]
    sandbox.fault("late", on="create", times=2, seconds=0.05)
    sandbox.fault("late", on="update", times=2, seconds=0.05)
    with consuming(settings, handler):
        house.send(*events)
        wait_for(lambda: house.left_in_queue() == 0, what="an empty queue")
    for event in events:
        exactly_one(sandbox, event.id)
    assert house.counts() == {"opened": 4}


def test_a_log_that_cannot_be_written_costs_no_worker(
    house: House, handler: Handler, settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DiskFull:
        def __getattr__(self, _name: str) -> Callable[..., None]:
            def fail(*_: object, **__: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            return fail

    events = [house.selected() for _ in range(2 * THREADS)]
    sandbox.fault("503", on="update", times=THREADS)
    with consuming(settings, handler) as gate:
        wait_for(lambda: gate.problem() is None, what="the gate to open")
        with monkeypatch.context() as full:
            full.setattr(handler_module, "log", DiskFull())
            full.setattr(consumer_module, "log", DiskFull())
            house.send(*events[:THREADS])
            wait_for(lambda: house.left_in_queue() and not sandbox.faults_left(), what="all workers to fail")
        house.send(*events)  # as the relay would
        wait_for(lambda: house.counts() == {"opened": 2 * THREADS}, what="all tickets")
    for event in events:
        exactly_one(sandbox, event.id)


def test_wrong_credentials_pause_and_recover(
    house: House, handler: Handler, settings: Settings, sandbox: Sandbox
) -> None:
    with consuming(settings, handler) as gate:
        wait_for(lambda: gate.problem() is None, what="the gate to open")
        sandbox.fault("401", times=1000)
        event = house.selected()
        house.send(event)
        wait_for(gate.problem, what="the pause")
        assert "401" in (gate.problem() or "")
        house.send(house.selected())
        requests = sandbox.requests()
        wait_for(lambda: sandbox.requests() > requests, what="a probe")
        assert "401" in (gate.problem() or "")
        assert house.counts() == {"attempting": 1}, "it must not take on what it cannot do"
        sandbox.no_faults()
        wait_for(lambda: house.counts() == {"opened": 2}, what="both tickets")
        assert gate.problem() is None
    exactly_one(sandbox, event.id)


def test_failing_desk_closes_the_gate_and_spares_the_messages(
    house: House, handler: Handler, settings: Settings, sandbox: Sandbox
) -> None:
    events = [house.selected() for _ in range(12)]
    sandbox.fault("503", times=1000)
    with consuming(settings, handler) as gate:
        house.send(*events)
        wait_for(lambda: "503" in (gate.problem() or ""), what="the gate to close")
        assert house.counts() == {}, "the first thing done is to ask whether the desk works"
        sandbox.no_faults()
        wait_for(lambda: house.counts() == {"opened": 12}, what="all tickets")
    assert house.left_in_queue() == 0


def test_retry_after_is_kept(house: House, handler: Handler, settings: Settings, sandbox: Sandbox) -> None:
    with consuming(settings, handler) as gate:
        wait_for(lambda: gate.problem() is None, what="the gate to open")
        sandbox.fault("429", seconds=2, on="create")
        event = house.selected()
        house.send(event)
        wait_for(gate.problem, what="the gate to close")
        assert 0.5 < gate.due_in() <= 2
        wait_for(lambda: house.counts() == {"opened": 1}, what="the ticket")
    exactly_one(sandbox, event.id)


def test_postgres_away_costs_nothing(house: House, settings: Settings, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    away = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    reached = Switch(away, house.engine)
    event = house.selected()
    with consuming(settings, Handler(reached, desk, ANONYMOUS, None)) as gate:  # type: ignore[arg-type]
        house.send(event)
        wait_for(lambda: "Postgres" in (gate.problem() or ""), what="the gate to close")
        assert house.left_in_queue() == 1
        reached.repair()
        wait_for(lambda: house.counts() == {"opened": 1}, what="the ticket")
    exactly_one(sandbox, event.id)
    away.dispose()


class Switch:
    """An engine that reaches nothing until it is repaired."""

    def __init__(self, away: sa.Engine, real: sa.Engine) -> None:
        self._engine, self._real = away, real

    def repair(self) -> None:
        self._engine = self._real

    def begin(self) -> Any:
        return self._engine.begin()


def test_missing_queue_is_later_until_it_is_made(settings: Settings) -> None:
    events = Queue(settings, 2)
    assert "NonExistentQueue" in (events.check() or "") or "QueueDoesNotExist" in (events.check() or "")
    with pytest.raises(Later):
        events.receive(1)
    aws.provision(settings)
    assert events.check() is None
    assert events.receive(1) == []
    gone = settings.model_copy(update={"aws_endpoint": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Later, match="cannot be reached"):
        Queue(gone, 2).receive(1)


def test_an_answer_that_is_not_the_queues_is_later(settings: Settings, serve: Callable[[Any], Any]) -> None:
    page = HTMLResponse("<!doctype html><title>Maintenance</title>")
    elsewhere = settings.model_copy(update={"aws_endpoint": serve(page).url})
    with pytest.raises(Later, match="surprising"):
        Queue(elsewhere, 2).receive(1)


def test_gate_closes_after_failures_in_a_row_and_opens_at_the_first_success() -> None:
    now = [0.0]
    gate = Gate(lambda: now[0])
    assert gate.problem()
    gate.answered()
    gate.worked()
    for _ in range(FAILURES - 1):
        gate.failed("down")
    assert gate.problem() is None
    assert gate.doubtful
    pauses = []
    for _ in range(7):
        gate.failed("down")
        gate.failed("down, said another thread")
        pauses.append(gate.due_in())
        now[0] += gate.due_in()
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    gate.answered()
    assert gate.problem() is None
    gate.failed("down")
    assert gate.due_in() == 30
    gate.worked()
    assert gate.problem() is None
    assert not gate.doubtful
    gate.failed("busy", 7)
    assert (gate.problem(), gate.due_in()) == ("busy", 30)
    now[0] += 30
    gate.paused("who are you?")
    assert (gate.problem(), gate.due_in()) == ("who are you?", 30)


# News from the desk


def test_reconciliation_learns_of_solved_and_reopened(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    solved, untouched = house.selected(), house.selected()
    works(handler, solved)
    works(handler, untouched)
    number = exactly_one(sandbox, solved.id)["id"]
    sandbox.set_status(number, "solved")
    while reconcile(house.engine, desk):
        pass
    assert house.ticket(solved.id).solved_at is not None
    assert house.counts() == {"solved": 1, "opened": 1}
    sandbox.set_status(number, "open")
    reconcile(house.engine, desk)
    row = house.ticket(solved.id)
    assert (row.state, row.desk_status, row.solved_at) == ("opened", "open", None)
    assert house.counts() == {"opened": 2}
    assert house.ticket(untouched.id).desk_status == "new"


def test_when_an_agent_took_it_up(house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    """The first time that it is seen in somebody's hands, whatever becomes of it then; solved directly: never."""
    taken, untouched, direct = house.selected(), house.selected(), house.selected()
    for event in (taken, untouched, direct):
        works(handler, event)

    def seen() -> dict[UUID, Any]:
        while reconcile(house.engine, desk):
            pass
        return {each.id: house.ticket(each.id).in_progress_at for each in (taken, untouched, direct)}

    assert set(seen().values()) == {None}
    number = exactly_one(sandbox, taken.id)["id"]
    sandbox.set_status(number, "open")
    first = seen()[taken.id]
    assert first is not None
    for status in ("pending", "solved", "open"):
        sandbox.set_status(number, status)
        assert seen()[taken.id] == first
    sandbox.set_status(exactly_one(sandbox, direct.id)["id"], "solved")
    assert seen() == {taken.id: first, untouched.id: None, direct.id: None}


def test_agents_tag_is_one_verdict(house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    """However often it is read, and though others say something else since; taken off again, it says nothing."""
    event, other = house.selected(), house.selected()
    works(handler, event)
    works(handler, other)
    number = exactly_one(sandbox, event.id)["id"]

    def said() -> list[tuple[Any, ...]]:
        while reconcile(house.engine, desk):
            pass
        with house.engine.connect() as connection:
            columns = (tables.verdicts.c.feedback_id, tables.verdicts.c.needs_person, tables.verdicts.c.judge)
            return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(tables.verdicts.c.id))]

    assert said() == []
    sandbox.change(number, additional_tags=["heed_false_alarm"])
    alarm = (event.id, False, Judge.AGENT)
    assert said() == [alarm]
    sandbox.set_status(number, "solved")
    assert said() == [alarm]
    assert house.state(event.id) == "solved"
    with house.engine.begin() as connection:
        verdicts.say(connection, event.id, True, Judge.MANAGER)
    sandbox.set_status(number, "open")
    both = [alarm, (event.id, True, Judge.MANAGER)]
    assert said() == both
    sandbox.change(number, remove_tags=["heed_false_alarm"])
    assert said() == both
    sandbox.change(number, additional_tags=["heed_false_alarm"])
    assert said() == both
    assert house.counts() == {"opened": 2}


def test_tags_of_tickets_that_are_not_ours_say_nothing(house: House, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    nowhere = new_id()  # not in this database: another one's, or lost with a disk
    request = TicketRequest(nowhere, "Feedback", "It broke.", "Ada", "ada@example.com", Priority.NORMAL, ("heed",))
    number = desk.open(request, idempotency_key=f"heed-{nowhere}", look_first=False).desk_id
    sandbox.change(number, tags=["heed_false_alarm"])
    while reconcile(house.engine, desk):
        pass
    with house.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.verdicts)).scalar_one() == 0


# What customers erase


def erase(house: House, *ids: UUID) -> None:
    """The customer asks for it, and the relay does it."""
    with house.engine.begin() as connection:
        for each in ids:
            wish_erased(connection, each)
    with house.engine.begin() as connection:
        assert set(erasures.carry_out(connection, 100)) == set(ids)


def told(house: House, feedback_id: UUID) -> bool:
    with house.engine.connect() as connection:
        query = sa.select(tables.erasures.c.desk_told_at).where(tables.erasures.c.feedback_id == feedback_id)
        return connection.execute(query).scalar_one() is not None


def erasure_notes(sandbox: Sandbox, feedback_id: UUID) -> list[str]:
    (ticket,) = sandbox.tickets(feedback_id)
    notes = [each["body"] for each in sandbox.comments(ticket["id"]) if not each["public"]]
    return [note for note in notes if text.erasure_marker(feedback_id) in note]


def tell_all(house: House, desk: Any) -> int:
    return sum(1 for _ in iter(lambda: tell(house.engine, desk), False))


def test_agents_are_told_of_an_erasure_once(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    event, other = house.selected(contact_email="ada@example.com", reply=True), house.selected()
    works(handler, event)
    works(handler, other)
    assert tell_all(house, desk) == 0
    erase(house, event.id)
    assert tell_all(house, desk) == 1
    [note] = erasure_notes(sandbox, event.id)
    today = datetime.now(UTC).strftime("%-d %B %Y")
    assert note.startswith(f"The customer erased this answer in Heed on {today}. Please remove here what they wrote")
    assert erasure_notes(sandbox, other.id) == []
    assert told(house, event.id)
    assert tell_all(house, desk) == 0
    # Written again (a replay), erased again: looked after again, and the note is there.
    with house.engine.begin() as connection:
        erasures.again(connection, [event.id])
    erase(house, event.id)
    assert tell_all(house, desk) == 1
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_death_between_the_note_and_its_record(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though agents have written much meanwhile: the note is on no first page any more."""
    event = house.selected()
    works(handler, event)
    number = exactly_one(sandbox, event.id)["id"]
    for comment in range(110):
        sandbox.change(number, comment={"body": f"number {comment}", "public": False})
    erase(house, event.id)

    def died(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erasures, "told", died)
        with pytest.raises(KeyboardInterrupt):
            tell(house.engine, desk)
    assert not told(house, event.id)
    assert tell_all(house, desk) == 1
    notes = [sandbox.get(f"/api/v2/tickets/{number}/comments.json", page=page)["comments"] for page in (1, 2)]
    marked = [each for page in notes for each in page if text.erasure_marker(event.id) in each["body"]]
    assert len(marked) == 1
    assert marked[0] in notes[1]


@pytest.mark.parametrize("fault", ["500", "late", "401"])
def test_a_desk_that_is_away_is_told_later(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox, fault: str
) -> None:
    event = house.selected()
    works(handler, event)
    erase(house, event.id)
    sandbox.fault(fault, on="update", seconds=0.1)
    with pytest.raises((Later, Paused)):
        tell(house.engine, desk)
    assert not told(house, event.id)
    assert tell_all(house, desk) == 1
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_a_ticket_that_takes_no_notes_is_done_with(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    closed, deleted, elsewhere = house.selected(), house.selected(), house.selected()
    for event in (closed, deleted):
        works(handler, event)
    works(Handler(house.engine, ConsoleDesk(), ANONYMOUS, None), elsewhere)  # before there was a Zendesk
    sandbox.set_status(exactly_one(sandbox, closed.id)["id"], "closed")
    sandbox.change(exactly_one(sandbox, deleted.id)["id"], external_id="")
    erase(house, closed.id, deleted.id, elsewhere.id)
    assert tell_all(house, desk) == 3
    assert all(told(house, each.id) for each in (closed, deleted, elsewhere))
    assert erasure_notes(sandbox, closed.id) == []


def test_numbers_of_another_desk_are_left_alone(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    """A ticket's number is a stranger's ticket where another desk came in the place of the first."""
    event, stranger = house.selected(), house.selected()
    works(handler, stranger)
    number = exactly_one(sandbox, stranger.id)["id"]
    works(Handler(house.engine, ConsoleDesk(), ANONYMOUS, None), event)
    with house.engine.begin() as connection:
        theirs = sa.update(tables.tickets).where(tables.tickets.c.feedback_id == event.id)
        connection.execute(theirs.values(desk_id=number))
    erase(house, event.id)
    assert tell_all(house, desk) == 1
    assert len(sandbox.comments(number)) == 2


def test_no_ticket_no_note_and_none_is_looked_for_again(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    unselected, refused, aside = house.selected(), house.selected(contact_email="ada@example.com"), new_id()
    with house.engine.begin() as connection:
        connection.execute(
            sa.update(tables.feedback).where(tables.feedback.c.id == unselected.id).values(selected=False)
        )
        outbox.close(connection, unselected.id)
        quarantined = {"kind": "submission", "source": "0/1", "reason": "failed", "detail": "", "payload": "{}"}
        connection.execute(sa.insert(tables.quarantine).values(**quarantined, feedback_id=aside))
    sandbox.fault("422")
    assert works(handler, refused) == Outcome.REFUSED
    erase(house, unselected.id, refused.id, aside)
    before = sandbox.requests()
    assert tell_all(house, desk) == 0
    assert sandbox.requests() == before
    assert all(told(house, each) for each in (unselected.id, refused.id, aside))
    # What the desk said of the refused one may have repeated an address.
    assert house.ticket(refused.id).last_error == "erased"
    # A person has it tried again: the ticket says so, without words.
    with house.engine.begin() as connection:
        assert ledger.replay_failed(connection) == 1
    assert works(handler, refused) == Outcome.OPENED
    ticket = exactly_one(sandbox, refused.id)
    assert sandbox.comments(ticket["id"])[0]["body"] == "What the customer wrote has been erased."
    assert sandbox.requester(ticket)["email"] == ANONYMOUS.email
    assert tell_all(house, desk) == 0


def test_a_ticket_on_its_way_is_waited_for(house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    """The words may be at the desk already, though nobody knows of the ticket yet: the answer to it was lost."""
    event = house.selected(comment="It broke, xyzzy!")
    sandbox.fault("late", on="create", seconds=0.1)
    with pytest.raises(Later):
        handler.handle("message", envelope(event))
    erase(house, event.id)
    assert tell_all(house, desk) == 0
    assert not told(house, event.id)
    assert works(handler, event) == Outcome.OPENED
    (ticket,) = sandbox.tickets(event.id)
    assert sandbox.comments(ticket["id"])[0]["body"] == "It broke, xyzzy!"
    assert tell_all(house, desk) == 1
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_a_ticket_without_its_first_note_is_waited_for(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    """The desk has the ticket, and somebody may be writing words to it still."""
    event = house.selected()
    sandbox.fault("500", on="update")
    with pytest.raises(Later):
        handler.handle("message", envelope(event))
    assert house.ticket(event.id).state == "created"
    erase(house, event.id)
    assert tell_all(house, desk) == 0
    assert works(handler, event) == Outcome.OPENED
    assert tell_all(house, desk) == 1
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_what_is_not_erased_after_all_is_not_told(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    """Done from the quarantine while a worker stored the words: until that is found."""
    event = house.selected()
    works(handler, event)
    with house.engine.begin() as connection:
        wish_erased(connection, event.id)
        connection.execute(sa.update(tables.erasures).values(done_at=sa.func.now()))
    assert tell_all(house, desk) == 0
    with house.engine.begin() as connection:
        assert erasures.look_again(connection, 300) == [event.id]
    erase(house, event.id)
    assert tell_all(house, desk) == 1
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_one_process_tells_at_a_time(house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    event = house.selected()
    works(handler, event)
    erase(house, event.id)
    sandbox.fault("slow", seconds=0.5)
    before = sandbox.requests()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tell, house.engine, desk)
        wait_for(lambda: sandbox.requests() > before, what="the first to tell")
        assert tell(house.engine, desk) is False
        assert first.result() is True
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_the_periodic_work_tells_though_the_rest_of_it_fails(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = house.selected()
    works(handler, event)
    erase(house, event.id)

    def fails(*_: object) -> bool:
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr(reconciling, "reconcile", fails)
    stop = Stop()
    thread = threading.Thread(target=reconciling.run, args=(house.engine, desk, stop, 0.1))
    thread.start()
    try:
        wait_for(lambda: told(house, event.id), what="the desk to be told")
    finally:
        stop.request()
        thread.join(10)
    assert len(erasure_notes(sandbox, event.id)) == 1


def test_note_tells_the_score(house: House, handler: Handler, sandbox: Sandbox) -> None:
    reading = {"rating": -1.5, "topics": ["refund"], "drivers": [["broke", 3, 8, -1.5]], "coverage": 1.0}
    event = house.selected(reading=reading, scorer="light-9+abc", policy="triage-9+abc 0.61/0.4")
    works(handler, event)
    ticket = exactly_one(sandbox, event.id)
    note = sandbox.comments(ticket["id"])[1]["body"]
    assert "What moved the score: “broke” −1.50\nTopics: refund\nScored by: light-9+abc\n" in note
    assert "Decided by: triage-9+abc (ticket from 0.61, review from 0.4)\n" in note
    assert "heed-topic-refund" in ticket["tags"]


@pytest.mark.parametrize("reading", [None, {"v": 2, "rating": "of another kind"}])
def test_a_reading_that_is_not_there_or_unknown_stops_no_ticket(
    house: House, handler: Handler, sandbox: Sandbox, reading: object
) -> None:
    event = house.selected(reading=reading)
    assert works(handler, event) == Outcome.OPENED
    ticket = exactly_one(sandbox, event.id)
    assert "What moved the score" not in sandbox.comments(ticket["id"])[1]["body"]


def test_each_desk_has_its_own_cursor(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Moving from the sandbox to a Zendesk, whose cursors are others."""
    with running_sandbox(tmp_path) as before:
        earlier = ZendeskDesk(Settings(zendesk_url=before.url, zendesk_token=TOKEN))
        works(Handler(house.engine, earlier, ANONYMOUS, None), house.selected())
        while reconcile(house.engine, earlier):
            pass
    event = house.selected()
    works(handler, event)
    sandbox.set_status(exactly_one(sandbox, event.id)["id"], "solved")
    while reconcile(house.engine, desk):
        pass
    assert house.state(event.id) == "solved"
    with house.engine.connect() as connection:
        names = connection.execute(sa.select(tables.cursors.c.name)).scalars().all()
    assert set(names) == {f"desk {before.url}", f"desk {sandbox.url}"}


def test_failed_reconciliation_skips_nothing(
    house: House, handler: Handler, desk: ZendeskDesk, sandbox: Sandbox
) -> None:
    event = house.selected()
    works(handler, event)
    sandbox.set_status(exactly_one(sandbox, event.id)["id"], "solved")
    for fault, error in (("500", Later), ("html", Later), ("wrong", Later), ("401", Paused)):
        sandbox.fault(fault)
        with pytest.raises(error):
            reconcile(house.engine, desk)
    while reconcile(house.engine, desk):
        pass
    assert house.state(event.id) == "solved"


def test_one_process_reconciles_at_a_time(house: House, desk: ZendeskDesk, sandbox: Sandbox) -> None:
    sandbox.fault("slow", seconds=0.5)
    before = sandbox.requests()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reconcile, house.engine, desk)
        wait_for(lambda: sandbox.requests() > before, what="the first to read")
        assert reconcile(house.engine, desk) is False
        assert not first.done()
    assert sandbox.requests() == before + 1


def test_news_before_the_ticket_is_recorded_are_kept(house: House) -> None:
    event = house.selected()
    with house.engine.begin() as connection:
        held = ledger.take(connection, event.id, "default", 60)
        assert isinstance(held, ledger.Taken)
        assert ledger.seen(connection, [(event.id, 77, "solved")]) == [(event.id, "solved")]
        ledger.created(connection, held, 77)
        ledger.opened(connection, held)
        reports = [(event.id, 78, "open"), (new_id(), 1, "open"), (event.id, 77, "solved")]
        assert ledger.seen(connection, reports) == []
    row = house.ticket(event.id)
    assert (row.state, row.desk_status) == ("solved", "solved")
    assert row.solved_at is not None
    with house.engine.begin() as connection:
        assert ledger.seen(connection, [(event.id, 77, "deleted")]) == [(event.id, "deleted")]
    assert house.counts() == {"solved": 1}


# The process


class Service:
    """`python -m ticketing` as it is run."""

    def __init__(self, settings: Settings, sandbox: Sandbox, **environment: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ticketing"],
            env={
                **os.environ,
                "HEED_DATABASE_URL": settings.need("database_url"),
                "HEED_AWS_ENDPOINT": str(settings.aws_endpoint),
                "HEED_EVENT_QUEUE": settings.event_queue,
                "HEED_ZENDESK_URL": sandbox.url,
                "HEED_ZENDESK_TOKEN": TOKEN,
                "HEED_ZENDESK_POLL_SECONDS": "300",
                "HEED_ZENDESK_WEBHOOK_SECRET": WEBHOOK_SECRET,
                "HEED_OPS_PORT": str(self.port),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=10)

    def ready(self) -> bool:
        assert self.process.poll() is None, "ticketing ended"
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status and what it logged."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=15)
        return self.process.returncode, logged


@pytest.fixture
def start(settings: Settings, sandbox: Sandbox) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def make(**environment: str) -> Service:
        started.append(Service(settings, sandbox, **environment))
        return started[-1]

    yield make
    for service in started:
        service.end(signal.SIGKILL)
    sandbox.no_faults()


def signed(body: bytes, at: datetime, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hmac.digest(secret.encode(), stamp.encode() + body, hashlib.sha256)
    return {
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
    }


def test_service_opens_tickets_takes_the_webhook_and_stops(
    house: House, sandbox: Sandbox, start: Callable[..., Service]
) -> None:
    service = start()
    wait_for(service.ready, what="ticketing")
    event = house.selected(contact_email="ada@example.com", contact_name="Ada Secret")
    house.send(event)
    wait_for(lambda: house.state(event.id) == "opened", what="the ticket")
    number = exactly_one(sandbox, event.id)["id"]

    def tell(status: str, headers: dict[str, Any] | None = None, at: datetime | None = None, **fields: Any) -> int:
        notice = {"ticket_id": str(number), "external_id": str(event.id), "status": status, **fields}
        body = json.dumps(notice).encode()
        sent = signed(body, at or datetime.now(UTC)) if headers is None else headers
        return service.http.post("/webhook", content=body, headers=sent).status_code

    now = datetime.now(UTC)
    assert tell("solved", {}) == 401
    assert tell("solved", signed(b"another body", now)) == 401
    assert tell("solved", at=now - timedelta(minutes=6)) == 401
    assert tell("solved", at=now + timedelta(minutes=6)) == 401
    assert tell("solved", {"X-Zendesk-Webhook-Signature": b"\xe4"}) == 401
    assert tell("nonsense") == 422
    assert tell("solved", external_id="") == 204
    assert tell("solved", external_id="nobody of ours") == 204
    assert tell("solved", ticket_id=str(number + 1)) == 204
    assert tell("solved", padding="x" * 20_000) == 413
    assert house.state(event.id) == "opened"
    assert tell("Solved") == 204
    assert house.state(event.id) == "solved"
    assert tell("open") == 204
    assert house.state(event.id) == "opened"
    assert house.counts() == {"opened": 1}

    metrics = service.http.get("/metrics").text
    assert 'heed_tickets_total{outcome="opened"} 1.0' in metrics
    assert 'heed_desk_seconds_count{call="create",ended="ok"} 1.0' in metrics
    assert service.http.get("/healthz").status_code == 200
    status, logged = service.end()
    assert status == 0
    assert "Ada" not in logged
    assert "broke" not in logged


def test_service_says_why_it_is_not_ready(house: House, sandbox: Sandbox, start: Callable[..., Service]) -> None:
    sandbox.fault("401", times=1000)
    service = start(HEED_ZENDESK_WEBHOOK_SECRET="")

    def paused() -> bool:
        assert service.process.poll() is None
        try:
            return "401" in service.http.get("/readyz").json()["checks"]["desk"]
        except httpx.TransportError:
            return False

    wait_for(paused, what="the pause")
    found = service.http.get("/readyz")
    assert found.status_code == 503
    assert {name: found.json()["checks"][name] for name in ("postgres", "schema", "queue")} == {
        "postgres": "ok",
        "schema": "ok",
        "queue": "ok",
    }
    assert service.http.post("/webhook", json={}).status_code == 404
    assert service.end()[0] == 0


def test_killed_service_leaves_nothing_double(house: House, sandbox: Sandbox, start: Callable[..., Service]) -> None:
    first = start()
    wait_for(first.ready, what="ticketing")
    events = [house.selected() for _ in range(30)]
    house.send(*events)
    wait_for(lambda: house.counts().get("opened", 0) > 5, what="some tickets")
    first.end(signal.SIGKILL)
    # On a busy machine Postgres may yet commit what the dead one sent, with a lease: only then can it be ended here.
    wait_for(lambda: not house.connections("heed-ticketing"), 60, what="the dead one's connections to end")
    with house.engine.begin() as connection:  # what would take until the leases and the visibility run out
        connection.execute(sa.update(tables.tickets).values(leased_until=None))
    second = start()
    wait_for(second.ready, 60, what="ticketing again")
    house.send(*events, *events)  # as the relay would, more than once: the dead one's last poll may still take some
    wait_for(lambda: house.counts() == {"opened": 30}, 60, what="all tickets")
    for event in events:
        exactly_one(sandbox, event.id)
    assert house.in_flight() == 0
    assert second.end()[0] == 0


def test_console_desk_needs_no_zendesk(house: House, start: Callable[..., Service]) -> None:
    service = start(HEED_DESK="console", HEED_ZENDESK_URL="", HEED_ZENDESK_TOKEN="")
    wait_for(service.ready, what="ticketing")
    event = house.selected()
    house.send(event)
    wait_for(lambda: house.state(event.id) == "opened", what="the ticket")
    status, logged = service.end()
    assert status == 0
    assert str(event.id) in logged
    assert "broke" not in logged
