"""Zendesk as a desk: what it must do, and each surprise it has. Runs against the sandbox and, with credentials in
HEED_TEST_ZENDESK_SUBDOMAIN, _EMAIL and _TOKEN, the first part against Zendesk itself.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Served, free_port
from sandbox_process import TOKEN, Sandbox, running_sandbox
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from heed.contracts import Priority, new_id
from heed.errors import HeedError, Later, Paused, Refused
from heed.settings import Settings
from ticketing import zendesk
from ticketing.desk import Opened, TicketRequest
from ticketing.zendesk import ZendeskDesk


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def desk(sandbox: Sandbox) -> Iterator[ZendeskDesk]:
    yield ZendeskDesk(Settings(zendesk_url=sandbox.url, zendesk_token=TOKEN))
    sandbox.no_faults()


@pytest.fixture(params=["sandbox", "zendesk"])
def either(request: pytest.FixtureRequest) -> ZendeskDesk:
    if request.param == "sandbox":
        return request.getfixturevalue("desk")
    given = {name: os.environ.get(f"HEED_TEST_ZENDESK_{name.upper()}") for name in ("subdomain", "email", "token")}
    if not all(given.values()):
        pytest.skip("no Zendesk to test against: HEED_TEST_ZENDESK_SUBDOMAIN, _EMAIL and _TOKEN are not set")
    return ZendeskDesk(Settings(**{f"zendesk_{name}": value for name, value in given.items()}))


def a_request() -> TicketRequest:
    return TicketRequest(
        external_id=new_id(),
        subject="Feedback: “It's late” & <late>",
        body="It's late.\n\n  **Again** – 3 weeks! 😡 <b>&amp;</b>",
        requester_name="Ada",
        requester_email="ada@example.com",
        priority=Priority.HIGH,
        tags=("heed", "heed-survey-default"),
    )


def opened(desk: ZendeskDesk, request: TicketRequest, *, look_first: bool = False) -> int:
    return desk.open(request, idempotency_key=f"heed-{request.external_id}", look_first=look_first).desk_id


# What any Zendesk must do


def test_same_request_opens_one_ticket(either: ZendeskDesk) -> None:
    request = a_request()
    assert opened(either, request) == opened(either, request)


def test_other_request_with_the_same_key_finds_the_first_ticket(either: ZendeskDesk) -> None:
    request = a_request()
    number = opened(either, request)
    assert opened(either, replace(request, subject="Feedback: changed")) == number


def test_it_tells_whether_the_ticket_was_there(either: ZendeskDesk) -> None:
    request = a_request()
    key = f"heed-{request.external_id}"
    first = either.open(request, idempotency_key=key, look_first=False)
    assert (first.made, first.status) == (True, "new")
    assert either.open(request, idempotency_key=key, look_first=False) == Opened(first.desk_id, made=False)


def test_note_is_added_once(either: ZendeskDesk) -> None:
    number = opened(either, a_request())
    for look_first in (False, True, True):
        either.annotate(number, marker="marker 1", note="A note.\nmarker 1", look_first=look_first)


def test_credentials_are_checked(either: ZendeskDesk) -> None:
    either.check()


# What the ticket looks like


def test_ticket_arrives_as_it_was_meant(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    request = a_request()
    number = opened(desk, request)
    desk.annotate(number, marker="marker", note="Why.\nmarker", look_first=False)
    desk.annotate(number, marker="marker", note="Why.\nmarker", look_first=True)
    (ticket,) = sandbox.tickets(request.external_id)
    assert (ticket["id"], ticket["subject"], ticket["priority"]) == (number, request.subject, "high")
    assert ticket["tags"] == ["heed", "heed-survey-default"]
    requester = sandbox.requester(ticket)
    assert (requester["name"], requester["email"]) == ("Ada", "ada@example.com")
    first, note = sandbox.comments(number)
    assert (first["body"], first["public"]) == (request.body, True)
    assert (note["body"], note["public"]) == ("Why.\nmarker", False)


def test_public_words_are_no_marker(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    request = replace(a_request(), body="marker")
    number = opened(desk, request)
    desk.annotate(number, marker="marker", note="marker", look_first=True)
    assert len(sandbox.comments(number)) == 2


def test_concurrent_tries_open_one_ticket(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    request = a_request()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: opened(desk, request), range(16)))) == 1
    assert len(sandbox.tickets(request.external_id)) == 1


def test_ticket_is_found_when_the_key_is_forgotten(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    request = a_request()
    number = opened(desk, request)
    assert desk.open(request, idempotency_key="another key", look_first=True) == Opened(number, made=False)
    fresh = a_request()
    assert opened(desk, fresh, look_first=True) != number
    assert len(sandbox.tickets(fresh.external_id)) == 1


def test_changes_tell_the_status(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    request = a_request()
    number = opened(desk, request)
    page = desk.changes(datetime.now(UTC) - timedelta(minutes=5))
    while page.more and page.cursor:
        page = desk.changes(page.cursor)
    assert (request.external_id, number, "new") in page.reports
    sandbox.set_status(number, "solved")
    assert page.cursor is not None
    after = desk.changes(page.cursor)
    assert list(after.reports) == [(request.external_id, number, "solved")]
    assert after.cursor != page.cursor
    assert not after.more


def test_changes_tell_false_alarms(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    tagged, other = a_request(), a_request()
    number, _ = opened(desk, tagged), opened(desk, other)
    page = desk.changes(datetime.now(UTC) - timedelta(minutes=5))
    while page.more and page.cursor:
        page = desk.changes(page.cursor)
    assert {tagged.external_id, other.external_id}.isdisjoint(page.false_alarms)
    assert page.cursor is not None
    sandbox.change(number, additional_tags=["heed_false_alarm"])
    assert list(desk.changes(page.cursor).false_alarms) == [tagged.external_id]
    sandbox.change(number, tags=["heed_false_alarm_not", "heed"])
    assert list(desk.changes(page.cursor).false_alarms) == []


# Surprises

LATER = [
    ("429", 1.0),
    ("429-date", None),
    ("429-bare", None),
    ("500", None),
    ("503", None),
    ("html", None),
    ("redirect", None),
    ("wrong", None),
    ("empty", None),
    ("late", None),
]


@pytest.mark.parametrize(("fault", "retry_after"), LATER)
def test_later_and_then_one_ticket(desk: ZendeskDesk, sandbox: Sandbox, fault: str, retry_after: float | None) -> None:
    request, before = a_request(), sandbox.requests()
    sandbox.fault(fault, on="create", seconds=1 if fault.startswith("429") else 0.1)
    began = time.monotonic()
    with pytest.raises(Later) as raised:
        opened(desk, request)
    assert time.monotonic() - began < 1, "it must not wait by itself"
    assert sandbox.requests() == before + 1, "it must not retry by itself"
    if retry_after is not None:
        assert raised.value.retry_after == retry_after
    number = opened(desk, request)
    assert [ticket["id"] for ticket in sandbox.tickets(request.external_id)] == [number]


@pytest.mark.parametrize("fault", [name for name, _ in LATER])
def test_lost_note_is_later_and_then_one_note(desk: ZendeskDesk, sandbox: Sandbox, fault: str) -> None:
    number = opened(desk, a_request())
    sandbox.fault(fault, on="update", seconds=0.1)
    with pytest.raises(Later):
        desk.annotate(number, marker="marker", note="marker", look_first=False)
    desk.annotate(number, marker="marker", note="marker", look_first=True)
    assert [comment["body"] for comment in sandbox.comments(number)[1:]] == ["marker"]


@pytest.mark.parametrize("fault", ["422", "422-invalid"])
def test_refused(desk: ZendeskDesk, sandbox: Sandbox, fault: str) -> None:
    number = opened(desk, a_request())
    sandbox.fault(fault, times=2)
    with pytest.raises(Refused):
        opened(desk, a_request())
    with pytest.raises(Refused):
        desk.annotate(number, marker="marker", note="marker", look_first=False)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_paused(desk: ZendeskDesk, sandbox: Sandbox, fault: str) -> None:
    sandbox.fault(fault, times=3)
    with pytest.raises(Paused):
        opened(desk, a_request())
    with pytest.raises(Paused):
        desk.check()
    with pytest.raises(Paused):
        desk.changes(datetime.now(UTC) - timedelta(minutes=5))
    desk.check()


@pytest.mark.parametrize("fault", ["html", "wrong", "empty", "redirect", "500"])
def test_surprises_when_reading_are_later(desk: ZendeskDesk, sandbox: Sandbox, fault: str) -> None:
    sandbox.fault(fault, times=3)
    with pytest.raises(Later):
        opened(desk, a_request(), look_first=True)
    with pytest.raises(Later):
        desk.annotate(1, marker="marker", note="marker", look_first=True)
    with pytest.raises(Later):
        desk.changes(datetime.now(UTC) - timedelta(minutes=5))


def test_retry_after_as_a_date(desk: ZendeskDesk, sandbox: Sandbox) -> None:
    sandbox.fault("429-date", seconds=30)
    with pytest.raises(Later) as raised:
        opened(desk, a_request())
    assert raised.value.retry_after is not None
    assert 27 < raised.value.retry_after <= 31


def test_retry_after_without_end_is_cut(desk: ZendeskDesk) -> None:
    assert zendesk._retry_after("99999999999") == zendesk._MOST_RETRY_AFTER
    assert zendesk._retry_after("0") == 1
    assert zendesk._retry_after("soon") is None
    assert zendesk._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 1


def test_silence_ends_in_time(desk: ZendeskDesk, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zendesk, "READ_SECONDS", 0.3)
    request = a_request()
    sandbox.fault("slow", seconds=1, on="create")
    with pytest.raises(Later):
        opened(desk, request)
    sandbox.fault("late", seconds=1, on="create")
    with pytest.raises(Later):
        opened(desk, request)
    opened(desk, request)
    time.sleep(1)  # the slow one is executed after we gave it up
    assert len(sandbox.tickets(request.external_id)) == 1


def test_nobody_there_is_later() -> None:
    desk = ZendeskDesk(Settings(zendesk_url=f"http://127.0.0.1:{free_port()}", zendesk_token=TOKEN))
    with pytest.raises(Later):
        desk.check()


def test_note_on_a_ticket_that_is_gone_is_refused(desk: ZendeskDesk) -> None:
    for look_first in (False, True):
        with pytest.raises(Refused):
            desk.annotate(987_654_321, marker="marker", note="marker", look_first=look_first)


def test_what_zendesk_refuses_in_truth(desk: ZendeskDesk) -> None:
    with pytest.raises(Refused):
        opened(desk, replace(a_request(), body="  "))
    with pytest.raises(Refused):
        opened(desk, replace(a_request(), requester_email="nonsense"))


def test_key_used_for_nothing_of_ours_is_later(desk: ZendeskDesk) -> None:
    other = a_request()
    opened(desk, other)
    with pytest.raises(HeedError) as raised:
        desk.open(a_request(), idempotency_key=f"heed-{other.external_id}", look_first=False)
    assert isinstance(raised.value, Later)


def test_an_answer_that_repeats_the_words_is_not_passed_on(serve: Callable[[Any], Served]) -> None:
    """What `Later` says is logged, and shown by /readyz."""

    async def repeats(request: Request) -> JSONResponse:
        sent = await request.json() if request.method == "POST" else None
        return JSONResponse({"tickets": [], "details": sent}, 400 if sent else 200)

    site = serve(Starlette(routes=[Route("/api/v2/tickets.json", repeats, methods=["GET", "POST"])]))
    desk = ZendeskDesk(Settings(zendesk_url=site.url, zendesk_token=TOKEN))
    with pytest.raises(Later, match="400") as raised:
        opened(desk, a_request())
    assert "Ada" not in str(raised.value)
    assert "late" not in str(raised.value)


def test_links_to_elsewhere_are_not_followed(desk: ZendeskDesk) -> None:
    desk.check()
    with pytest.raises(Later):
        desk._own.session.get("http://127.0.0.1:1/api/v2/tickets.json")
