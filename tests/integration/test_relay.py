"""The relay against a real Postgres and the moto server: every due event reaches the queue by the rule, in the end."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Served
from results_data import event
from starlette.responses import HTMLResponse, JSONResponse

from heed.contracts import NegativeFeedback
from heed.db import outbox
from heed.db import tables as t
from heed.errors import Later
from heed.lifecycle import Stop
from heed.settings import Settings
from heed.stream.queue import Queue
from local.aws import client, provision
from worker import relay
from worker.bus import Bus
from worker.relay import Relay


@pytest.fixture
def bus(settings: Settings) -> Bus:
    provision(settings)
    return Bus(settings)


def selected(engine: sa.Engine, count: int) -> list[NegativeFeedback]:
    """Feedback that was selected, with its outbox rows."""
    events = [event() for _ in range(count)]
    with engine.begin() as connection:
        for each in events:
            row = each.model_dump(mode="json", exclude={"v"}) | {
                "client": each.id.hex,
                "source": "api",
                "comment": "",
                "reply": False,
                "scores": {},
                "selected": True,
            }
            connection.execute(sa.insert(t.feedback).values(row | {"id": each.id, "received_at": each.received_at}))
        outbox.add(connection, events)
    return events


def received(settings: Settings) -> list[dict[str, Any]]:
    sqs = client("sqs", settings)
    url = sqs.get_queue_url(QueueName=settings.event_queue)["QueueUrl"]
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def due_now(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(t.outbox).values(due_at=sa.func.now()))


def test_events_reach_the_queue_by_the_rule(settings: Settings, engine: sa.Engine, bus: Bus) -> None:
    events = selected(engine, 23)
    relay = Relay(settings, engine, bus)
    assert relay.turn() == 23
    assert relay.turn() == 0  # published: not due again before its pause
    bodies = received(settings)
    assert {body["detail"]["id"] for body in bodies} == {str(event.id) for event in events}
    assert len(bodies) == 23
    assert [NegativeFeedback.model_validate(body["detail"]) for body in bodies]


def test_other_events_do_not_match_the_rule(settings: Settings, bus: Bus) -> None:
    events = client("events", settings)
    for source, detail in (("elsewhere", {"v": 1}), ("heed.worker", {"v": 2})):
        events.put_events(
            Entries=[
                {
                    "EventBusName": settings.event_bus,
                    "Source": source,
                    "DetailType": "NegativeFeedback",
                    "Detail": json.dumps(detail),
                }
            ]
        )
    assert received(settings) == []


def test_published_again_until_closed(settings: Settings, engine: sa.Engine, bus: Bus) -> None:
    [event] = selected(engine, 1)
    relay = Relay(settings, engine, bus)
    pauses = []
    for _ in range(3):
        relay.turn()
        with engine.connect() as connection:
            query = sa.select(sa.func.extract("epoch", t.outbox.c.due_at - sa.func.now()))
            pauses.append(float(connection.execute(query).scalar_one()))
        due_now(engine)
    assert len(received(settings)) == 3
    assert pauses == pytest.approx([30, 60, 120], abs=3)
    with engine.begin() as connection:
        outbox.close(connection, event.id)
    assert relay.turn() == 0


def test_a_relay_that_dies_after_its_claim_loses_nothing(settings: Settings, engine: sa.Engine, bus: Bus) -> None:
    selected(engine, 3)
    with engine.begin() as connection:
        assert len(outbox.claim(connection, 10)) == 3
    relay = Relay(settings, engine, bus)
    assert relay.turn() == 0  # the claim holds for its while
    due_now(engine)
    assert relay.turn() == 3
    assert len(received(settings)) == 3


def test_an_event_from_before_the_clock_was_put_back_is_due(engine: sa.Engine) -> None:
    selected(engine, 1)
    with engine.begin() as connection:
        connection.execute(sa.update(t.outbox).values(due_at=sa.func.now() + timedelta(days=1)))
    with engine.begin() as connection:
        assert len(outbox.claim(connection, 10)) == 1


def test_two_relays_share(engine: sa.Engine) -> None:
    selected(engine, 10)
    with engine.begin() as one, engine.begin() as other:
        first, second = outbox.claim(one, 6), outbox.claim(other, 6)
    assert len(first) == 6
    assert len(second) == 4
    assert not {claim[0] for claim in first} & {claim[0] for claim in second}


def test_an_answer_that_is_not_the_buss_is_later(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Any]
) -> None:
    selected(engine, 1)
    page = HTMLResponse("<!doctype html><title>Maintenance</title>")
    elsewhere = settings.model_copy(update={"aws_endpoint": serve(page).url})
    with pytest.raises(Later):
        Relay(settings, engine, Bus(elsewhere)).turn()


def test_a_refusal_that_repeats_the_credentials_is_not_passed_on(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    """AWS tells what it would have signed, the session's token included; what `Later` says is logged."""
    says = {"__type": "InvalidSignatureException", "message": "should have been\nx-amz-security-token:secret-token"}
    aws = serve(JSONResponse(says, 400))
    [event] = selected(engine, 1)
    with pytest.raises(Later, match="InvalidSignatureException") as raised:
        Bus(settings.model_copy(update={"aws_endpoint": aws.url})).publish([event.model_dump(mode="json")])
    assert "secret-token" not in str(raised.value)


def test_the_books_are_taken_on_after_a_surprise(
    settings: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "BOOKS_SECONDS", 0.01)
    stop, surprises = Stop(), 0

    def take(*_: object) -> None:
        nonlocal surprises
        surprises += 1
        if surprises == 3:
            stop.request()
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr(relay.books, "take", take)
    relay.Watch(engine, Queue.connect(settings)).run(stop)
    assert surprises == 3


def test_what_is_not_known_now_is_not_shown(
    settings: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(watch: relay.Watch) -> set[str]:
        stop = Stop()
        monkeypatch.setattr(stop, "wait", lambda _seconds: stop.request())
        watch.run(stop)
        return {sample.labels.get("entry", sample.name) for metric in watch.readings() for sample in metric.samples}

    watch = relay.Watch(engine, Queue.connect(settings))
    assert list(watch.readings()) == []
    everything = shown(watch)
    assert everything >= {"accepted", "queued", "stored", "lost", "in_flight", "heed_books_imbalance"}
    away = Settings.model_validate(settings.model_dump() | {"redis_url": "redis://127.0.0.1:1/0"})
    assert everything - shown(relay.Watch(engine, Queue.connect(away))) == {
        "accepted",
        "queued",
        "heed_books_imbalance",
    }
    monkeypatch.setattr(relay, "BOOKS_STALE_SECONDS", 0)
    assert list(watch.readings()) == []


def test_a_bus_that_is_away_is_waited_for(settings: Settings, engine: sa.Engine, bus: Bus) -> None:
    selected(engine, 2)
    away = Settings.model_validate(settings.model_dump() | {"aws_endpoint": "http://127.0.0.1:1"})
    with pytest.raises(Later):
        Relay(settings, engine, Bus(away)).turn()
    with engine.connect() as connection:
        assert {(row.failed, row.published) for row in connection.execute(sa.select(t.outbox))} == {(1, 0)}
    due_now(engine)
    assert Relay(settings, engine, bus).turn() == 2
    assert len(received(settings)) == 2
