"""The receipt over HTTP: every step that Postgres knows, nothing of anybody else, and what it says when Postgres is
away or hangs."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import SECRET, Served, free_port
from results_data import answer

from api.feedback.app import create_app
from api.feedback.progress import SECONDS
from api.feedback.tokens import Tokens
from heed.contracts import Contact, Label, QuarantineKind, QuarantineReason, new_id
from heed.db import ledger, quarantine
from heed.db.tables import erasures, tickets
from heed.settings import Settings

TOKENS = Tokens(SECRET)
WORDS = "The parcel came late and broken."


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, timeout=10) as client:
        yield client


def receipt(http: httpx.Client, submission: UUID, path: str = "") -> httpx.Response:
    return http.get(f"/r/{TOKENS.receipt_token(submission)}{path}")


def steps(page: httpx.Response) -> list[tuple[str, str]]:
    """Each step's title with `done`, `next` or what is to come."""
    found = re.findall(r'<li class="step([^"]*)".*?step__title">([^<]+)<', page.text, re.DOTALL)
    return [(title.strip(), classes.strip().removeprefix("step--") or "to come") for classes, title in found]


def test_from_the_queue_to_solved(http: httpx.Client, engine: sa.Engine) -> None:
    assert steps(receipt(http, new_id())) == [("Received", "done"), ("Read", "next")]
    unhappy = answer(engine, WORDS, vote="bad", contact=Contact(name="Ann", email="ann@example.com", reply=True))
    read = [("Received", "done"), ("Read", "done")]
    waits = [("Ticket opened", "next"), ("In progress", "to come"), ("Solved", "to come")]
    assert steps(receipt(http, unhappy)) == [*read, *waits]
    with engine.begin() as connection:
        held = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(held, ledger.Taken)
    assert steps(receipt(http, unhappy)) == [*read, *waits]  # an attempt is no ticket
    with engine.begin() as connection:
        ledger.created(connection, held, 7)
        ledger.opened(connection, held)
    opened = [("Ticket opened", "done")]
    assert steps(receipt(http, unhappy)) == [*read, *opened, ("In progress", "next"), ("Solved", "to come")]
    for status, wanted in (
        ("open", [("In progress", "done"), ("Solved", "next")]),
        ("solved", [("In progress", "done"), ("Solved", "done")]),
        ("open", [("In progress", "done"), ("Solved", "next")]),
    ):
        with engine.begin() as connection:
            ledger.seen(connection, [(unhappy, 7, status)])
        assert steps(receipt(http, unhappy)) == [*read, *opened, *wanted]
    for text in (WORDS, "Ann", "ann@example.com"):
        assert text not in receipt(http, unhappy).text


def test_a_ticket_was_opened_when_the_desk_had_made_it(http: httpx.Client, engine: sa.Engine) -> None:
    unhappy = answer(engine, WORDS, vote="bad")
    with engine.begin() as connection:
        held = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(held, ledger.Taken)
        connection.execute(sa.update(tickets).values(created_at=datetime(2026, 1, 1, tzinfo=UTC)))  # the first try
    with engine.begin() as connection:
        ledger.created(connection, held, 9)
        ledger.opened(connection, held)
    assert "2026-01-01" not in receipt(http, unhappy).text


def test_solved_without_having_been_in_progress(http: httpx.Client, engine: sa.Engine) -> None:
    unhappy = answer(engine, WORDS, vote="bad")
    with engine.begin() as connection:
        held = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(held, ledger.Taken)
        ledger.created(connection, held, 8)
        ledger.opened(connection, held)
        ledger.seen(connection, [(unhappy, 8, "solved")])
    assert [title for title, _ in steps(receipt(http, unhappy))] == ["Received", "Read", "Ticket opened", "Solved"]


def test_those_without_a_ticket(http: httpx.Client, engine: sa.Engine) -> None:
    happy = answer(engine, "Lovely.", vote="good", label=Label.POSITIVE, p_negative=0.01)
    assert steps(receipt(http, happy))[-1] == ("Counted", "done")
    assert 'data-settled="yes"' in receipt(http, happy).text
    between = answer(engine, "Well.", label=Label.NEGATIVE, p_negative=0.5)
    assert steps(receipt(http, between))[-1] == ("A person decides whether you need help", "next")
    assert 'data-settled="no"' in receipt(http, between).text
    aside = new_id()
    with engine.begin() as connection:
        item = quarantine.Item(
            QuarantineKind.SUBMISSION, "0/1-1", QuarantineReason.FAILED, "DataError", f'{{"comment":"{WORDS}"}}', aside
        )
        quarantine.add(connection, [item])
    assert steps(receipt(http, aside))[-2:] == [("Set aside", "done"), ("A person looks at it", "next")]
    assert WORDS not in receipt(http, aside).text


def test_it_is_nobody_elses(http: httpx.Client, engine: sa.Engine) -> None:
    unhappy = answer(engine, WORDS, vote="bad")
    for path in ("", "/erase"):
        page = receipt(http, unhappy, path)
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-robots-tag"] == "noindex"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert '<meta name="robots" content="noindex">' in page.text
    token = TOKENS.receipt_token(unhappy)
    forged = (token[:-1] + ("A" if token[-1] != "A" else "B"), Tokens("x" * 32).receipt_token(unhappy), str(unhappy))
    for path in forged:
        assert http.get(f"/r/{path}").status_code == 404
        assert http.get(f"/r/{path}/erase").status_code == 404
        assert http.post(f"/r/{path}/erase", follow_redirects=True).status_code == 404
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(erasures)).scalar() == 0


def test_a_wish_to_erase(http: httpx.Client, engine: sa.Engine) -> None:
    unhappy = answer(engine, WORDS, vote="bad")
    asked = receipt(http, unhappy, "/erase")
    assert "Erase what you wrote?" in asked.text
    with engine.connect() as connection:  # asking is not doing
        assert connection.execute(sa.select(sa.func.count()).select_from(erasures)).scalar() == 0
    path = f"/r/{TOKENS.receipt_token(unhappy)}"
    for _ in range(2):
        done = http.post(f"{path}/erase?lang=de")
        assert (done.status_code, done.headers["location"]) == (303, f"{path}?lang=de")
    with engine.connect() as connection:
        assert list(connection.execute(sa.select(erasures.c.feedback_id)).scalars()) == [unhappy]
    http.cookies.clear()
    page = receipt(http, unhappy)
    assert "is being erased" in page.text
    assert "/erase" not in page.text
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE feedback SET erased_at = now(), comment = ''"))
    assert "was erased" in receipt(http, unhappy).text


def test_without_postgres(settings: Settings, serve: Callable[[Any], Served]) -> None:
    away = settings.model_copy(update={"database_url": type(settings.database_url)("postgresql://127.0.0.1:1/none")})
    with httpx.Client(base_url=serve(create_app(away)).url, timeout=10) as http:
        assert http.get("/").status_code == 200
        assert http.get("/readyz").status_code == 200
        page = http.post("/s/default", data={"vote": "good"}, follow_redirects=True)
        assert page.status_code == 200
        assert "We cannot say just now" in page.text
        assert steps(page) == [("Received", "done")]
        failed = http.post(f"{page.url.path}/erase")
        assert (failed.status_code, "Nothing was erased yet" in failed.text) == (503, True)


def test_with_postgres_hanging(settings: Settings, serve: Callable[[Any], Served]) -> None:
    with socket.socket() as silent:
        port = free_port()
        silent.bind(("127.0.0.1", port))
        silent.listen(50)
        url = type(settings.database_url)(f"postgresql://127.0.0.1:{port}/none")
        hanging = serve(create_app(settings.model_copy(update={"database_url": url}))).url
        with httpx.Client(base_url=hanging, timeout=20) as http:
            path = http.post("/s/default", data={"vote": "good"}).headers["location"]
            for _ in range(2):
                began = time.monotonic()
                assert "We cannot say just now" in http.get(path).text
                assert time.monotonic() - began < SECONDS + 2
            began = time.monotonic()
            assert http.get("/").status_code == 200
            assert time.monotonic() - began < 1


def test_times_are_told_for_machines_too(http: httpx.Client, engine: sa.Engine) -> None:
    happy = answer(engine, "Lovely.", vote="good", at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    page = http.get(f"/r/{TOKENS.receipt_token(happy)}?lang=de")
    assert '<time datetime="2026-03-01T12:30:00+00:00">1. März 2026, 12:30 UTC</time>' in page.text
