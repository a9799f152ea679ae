"""What needs a person: each group from real rows, trying again exactly once, and nothing of it to who may not."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from results_data import answer

from api.results import recent
from api.results.app import create_app
from heed import books, passwords
from heed.contracts import Judge, Label, QuarantineKind, QuarantineReason, Role, StreamEntry, Survey, new_id
from heed.db import ledger, people, quarantine, surveys, verdicts
from heed.db.quarantine import Item
from heed.db.tables import audit, feedback, outbox, ticket_counts, tickets
from heed.db.tables import quarantine as held_rows
from heed.settings import Settings
from heed.stream.queue import Queue
from worker.handler import Handler
from worker.sentiment.vader import VaderScorer

SECOND = Survey.model_validate(
    {
        "slug": "second",
        "question": "And here?",
        "options": [{"key": "good", "label": "a"}, {"key": "bad", "label": "b"}],
    }
)


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(recent, "SECONDS", 0)
    return serve(create_app(settings)).url


@pytest.fixture
def http(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30) as client:
        yield client


def refuse(engine: sa.Engine, answer_id: UUID, error: str = "422: no such brand") -> None:
    """The desk refuses the ticket, as ticketing records it."""
    with engine.begin() as connection:
        taken = ledger.take(connection, answer_id, "default", 60)
        assert isinstance(taken, ledger.Taken)
        assert ledger.failed(connection, taken, error)


def unhappy(engine: sa.Engine, comment: str = "It broke.", **more: Any) -> UUID:
    return answer(engine, comment, vote="bad", label=Label.NEGATIVE, p_negative=0.9, **more)


def quarantined(engine: sa.Engine, **more: Any) -> int:
    entry = StreamEntry(id=new_id(), survey="nowhere", client=new_id().hex, vote="good", comment="<b>Lost</b>")
    given = {
        "kind": QuarantineKind.SUBMISSION,
        "source": f"0/{entry.id}",
        "reason": QuarantineReason.UNKNOWN_SURVEY,
        "detail": "no survey 'nowhere'",
        "payload": entry.model_dump_json(),
        "feedback_id": entry.id,
    }
    with engine.begin() as connection:
        quarantine.add(connection, [Item(**{**given, **more})])
        return connection.execute(sa.select(sa.func.max(held_rows.c.id))).scalar_one()


def said(engine: sa.Engine, action: str = "replay") -> list[tuple[str, str, dict[str, Any]]]:
    with engine.connect() as connection:
        query = sa.select(audit.c.actor, audit.c.object, audit.c.detail).where(audit.c.action == action)
        return [tuple(row) for row in connection.execute(query.order_by(audit.c.id))]


def counted(engine: sa.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(ticket_counts.c.state, ticket_counts.c.tickets)).all()
    return {state: count for state, count in rows if count}


def test_nothing_needs_anybody(http: httpx.Client, engine: sa.Engine, settings: Settings) -> None:
    found = http.get("/api/v1/attention").json()
    assert found["nothing"] is True
    assert found["books"] is None
    assert found["quarantine"] == {"count": 0, "items": [], "stored": []}
    page = http.get("/attention").text
    assert "Nothing needs you" in page
    assert "<form" not in page.partition("<main")[2]
    assert http.get("/api/v1/attention", params={"survey": "none"}).status_code == 404
    assert http.get("/attention", params={"survey": "none"}).status_code == 404
    assert http.get("/attention", params={"done": "evil"}, headers={"Accept": "text/html"}).status_code == 404


def test_a_refused_ticket_is_tried_again_exactly_once(
    http: httpx.Client, engine: sa.Engine, settings: Settings
) -> None:
    answer_id = unhappy(engine)
    refuse(engine, answer_id)
    found = http.get("/api/v1/attention").json()
    assert (found["nothing"], found["failed"]["count"]) == (False, 1)
    [item] = found["failed"]["items"]
    assert (item["id"], item["error"], item["attempts"]) == (str(answer_id), "422: no such brand", 1)
    assert "422: no such brand" in http.get("/attention").text

    # Many at once, and again later: one of them does it.
    results: list[int] = []
    path = f"/api/v1/feedback/{answer_id}/ticket/retry"
    threads = [threading.Thread(target=lambda: results.append(http.post(path).status_code)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [200] * 4
    again = http.post(path)
    assert again.json()["ticket"]["state"] == "attempting"
    assert counted(engine) == {"attempting": 1}
    with engine.connect() as connection:
        assert connection.execute(sa.select(outbox.c.feedback_id)).scalars().all() == [answer_id]
    assert said(engine) == [("HEED_API_KEY", str(answer_id), {"tickets": 1})]
    assert books.astray(engine) == []
    taken = books.take(engine, Queue.connect(settings))
    assert (taken.failed, taken.in_flight, taken.tickets_off) == (0, 1, 0)
    assert http.post(f"/api/v1/feedback/{new_id()}/ticket/retry").status_code == 404
    assert http.post("/api/v1/feedback/nonsense/ticket/retry").status_code == 422


def test_all_refused_tickets_of_a_survey(site: str, http: httpx.Client, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        surveys.save(connection, "tests", SECOND)
        both = ["default", "second"]
        people.add(connection, "tests", "boss", Role.MANAGER, both, passwords.hash_of("their-password"))
    mine = [unhappy(engine, f"Number {number}") for number in range(3)]
    theirs = unhappy(engine, "Elsewhere")
    for each in (*mine, theirs):
        refuse(engine, each)
    with engine.begin() as connection:
        connection.execute(sa.update(feedback).where(feedback.c.id == theirs).values(survey="second"))
        connection.execute(sa.update(ticket_counts).values(tickets=3))
        connection.execute(sa.insert(ticket_counts).values(survey="second", state="failed", tickets=1))
    found = http.get("/api/v1/attention").json()
    assert [each["comment"] for each in found["failed"]["items"]] == ["Number 2", "Number 1", "Number 0"]
    assert [(each["survey"], each["failed"]) for each in found["elsewhere"]] == [("second", 1)]
    assert http.post("/api/v1/tickets/retry", params={"survey": "default"}).json() == {"count": 3}
    assert http.post("/api/v1/tickets/retry", params={"survey": "default"}).json() == {"count": 0}
    assert said(engine) == [("HEED_API_KEY", "default", {"tickets": 3})]
    left = http.get("/api/v1/attention").json()
    assert (left["failed"]["count"], left["elsewhere"][0]["failed"], left["nothing"]) == (0, 1, False)
    with httpx.Client(base_url=site, timeout=30) as boss:
        boss.post("/login", data={"name": "boss", "password": "their-password"})
        assert "Nothing of this survey needs you." in boss.get("/attention").text
        assert "Nothing of this survey needs you." not in boss.get("/attention?survey=second").text


def test_what_a_manager_alone_selected_can_be_tried_again(http: httpx.Client, engine: sa.Engine) -> None:
    """It keeps no reason, and its event names one all the same."""
    answer_id = answer(engine, "Hm.", vote="good", label=Label.NEGATIVE, p_negative=0.5)
    with engine.begin() as connection:
        verdicts.say(connection, answer_id, True, Judge.MANAGER)
        first = connection.execute(sa.select(outbox.c.event)).scalar_one()
    refuse(engine, answer_id)
    assert http.get("/api/v1/attention").json()["failed"]["items"][0]["reasons"] == ["review"]
    assert http.post(f"/api/v1/feedback/{answer_id}/ticket/retry").status_code == 200
    with engine.connect() as connection:
        assert connection.execute(sa.select(outbox.c.event)).scalar_one() == first


def test_the_quarantine(http: httpx.Client, engine: sa.Engine, settings: Settings) -> None:
    first, second = quarantined(engine), quarantined(engine)
    event = quarantined(engine, kind=QuarantineKind.EVENT, source="message-1", reason=QuarantineReason.INVALID)
    found = http.get("/api/v1/attention").json()["quarantine"]
    assert [(each["id"], each["replayable"]) for each in found["items"]] == [
        (event, False),
        (second, True),
        (first, True),
    ]
    page = http.get("/attention").text
    assert "&lt;b&gt;Lost" in page
    assert "<b>Lost" not in page
    assert "There is no such survey" in page
    assert "cannot be tried again from here" in page

    refused = http.post(f"/api/v1/quarantine/{event}/replay")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:heed:problem:not-replayable")
    assert http.post("/api/v1/quarantine/999/replay").status_code == 404
    assert http.post("/api/v1/quarantine/0/replay").status_code == 422
    assert http.get("/api/v1/quarantine/999/replay").status_code == 404
    waits = http.post(f"/api/v1/quarantine/{first}/replay").json()
    assert waits["replay_at"] is not None
    assert http.post(f"/api/v1/quarantine/{first}/replay").json() == waits
    assert "Waits for another try" in http.get("/attention").text
    assert http.post("/api/v1/quarantine/replay").json() == {"count": 1}
    assert http.post("/api/v1/quarantine/replay").json() == {"count": 0}
    assert said(engine) == [
        ("HEED_API_KEY", f"quarantine {first}", {"submissions": 1}),
        ("HEED_API_KEY", "quarantine", {"submissions": 1}),
    ]

    with engine.begin() as connection:
        surveys.save(connection, "tests", SECOND.model_copy(update={"slug": "nowhere"}))
    Handler(engine, VaderScorer(), settings.failure_limit).replay()
    became = http.get(f"/api/v1/quarantine/{first}/replay").json()
    assert became["resolved_at"] is not None
    assert http.post(f"/api/v1/quarantine/{first}/replay").json() == became  # stored: nothing is done
    after = http.get("/api/v1/attention").json()["quarantine"]
    assert [each["id"] for each in after["items"]] == [event]
    assert [each["id"] for each in after["stored"]] == [second, first]
    assert f"/feedback/{became['feedback_id']}" in http.get("/attention").text


def test_what_waits_for_a_verdict(http: httpx.Client, engine: sa.Engine) -> None:
    for number in range(7):
        answer(engine, f"Perhaps {number}", label=Label.NEGATIVE, p_negative=0.5)
    flagged = unhappy(engine, "Bought with a click.", flags=("fast", "burst"))
    found = http.get("/api/v1/attention").json()
    assert (found["review"]["count"], len(found["review"]["items"])) == (7, 5)
    assert (found["flagged"]["count"], found["flagged"]["items"][0]["id"]) == (1, str(flagged))
    page = http.get("/attention").text
    assert "sent faster than a person can, one of a burst" in page
    assert "Review all" in page
    assert "Perhaps unhappy: 50 % likely" in page


def test_the_forms_work_without_scripts(site: str, engine: sa.Engine) -> None:
    perhaps = answer(engine, "Perhaps.", label=Label.NEGATIVE, p_negative=0.5)
    failed, number = unhappy(engine), quarantined(engine)
    refuse(engine, failed)
    with httpx.Client(base_url=site, timeout=30, follow_redirects=True) as browser:
        browser.post("/login", data={"password": ADMIN_PASSWORD})
        of = {"survey": "default"}
        for path, more, sentence in (
            (f"verdicts/{perhaps}", {"needs_person": "yes"}, "Yes: the ticket is on its way."),
            (f"verdicts/{perhaps}", {"needs_person": "no"}, "No: noted."),
            (f"tickets/{failed}/retry", {}, "on its way to the desk again"),
            (f"tickets/{failed}/retry", {}, "nothing was done"),
            ("tickets/retry", {}, "nothing was done"),
            (f"quarantine/{number}/replay", {}, "tried again within a few seconds"),
            ("quarantine/replay", {}, "waits for that already"),
        ):
            shown = browser.post(f"/attention/{path}", data={**of, **more})
            assert shown.status_code == 200, path
            assert shown.url.path == "/attention"
            assert sentence in shown.text, path
        assert browser.post(f"/attention/verdicts/{perhaps}", data={**of, "needs_person": "perhaps"}).status_code == 422
        foreign = browser.post("/attention/tickets/retry", data=of, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
    with engine.connect() as connection:
        judges = connection.execute(sa.text("SELECT judge, needs_person FROM verdicts ORDER BY id")).all()
    assert [tuple(each) for each in judges] == [("manager", True), ("manager", False)]


def test_who_sees_one_survey(site: str, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        surveys.save(connection, "tests", SECOND)
        people.add(connection, "tests", "boss", Role.MANAGER, ["second"], passwords.hash_of("their-password"))
    failed, perhaps = unhappy(engine), answer(engine, "Perhaps.", label=Label.NEGATIVE, p_negative=0.5)
    refuse(engine, failed)
    quarantined(engine)
    with httpx.Client(base_url=site, timeout=30) as boss:
        boss.post("/login", data={"name": "boss", "password": "their-password"})
        for path in ("/api/v1/attention?survey=default", "/attention?survey=default"):
            assert boss.get(path).status_code == 404
        found = boss.get("/api/v1/attention?survey=second").json()
        assert (found["nothing"], found["books"], found["quarantine"], found["elsewhere"]) == (True, None, None, [])
        assert "And here?" in boss.get("/attention").text
        of = {"survey": "default"}
        for path in (
            f"/api/v1/feedback/{failed}/ticket/retry",
            "/api/v1/tickets/retry?survey=default",
            f"/attention/tickets/{failed}/retry",
            "/attention/tickets/retry",
        ):
            assert boss.post(path, data=of).status_code == 404, path
        assert boss.post(f"/attention/verdicts/{perhaps}", data={**of, "needs_person": "no"}).status_code == 404
        for path in ("/api/v1/quarantine/replay", "/api/v1/quarantine/1/replay", "/attention/quarantine/replay"):
            assert boss.post(path, data=of).status_code == 403, path
        assert (
            boss.get("/api/v1/books/missing").status_code == boss.get("/api/v1/quarantine/1/replay").status_code == 403
        )
    assert counted(engine) == {"failed": 1}
    assert said(engine) == []


def test_books_that_do_not_balance_name_who_is_astray(http: httpx.Client, engine: sa.Engine) -> None:
    lost, stuck, ended, odd = (unhappy(engine, f"Number {number}") for number in range(4))
    with engine.begin() as connection:
        for each in (stuck, ended):
            taken = ledger.take(connection, each, "default", 60)
            assert isinstance(taken, ledger.Taken)
            if each == ended:
                ledger.created(connection, taken, 7)
                ledger.opened(connection, taken)
    assert http.get("/api/v1/books/missing").json() == []
    with engine.begin() as connection:
        kept = connection.execute(sa.select(outbox.c.event).where(outbox.c.feedback_id == odd)).scalar_one()
        connection.execute(sa.delete(outbox))
        connection.execute(sa.insert(outbox).values(feedback_id=ended, event=kept))
        connection.execute(
            sa.insert(tickets).values(feedback_id=odd, state="solved", attempts=1, first_attempt_at=sa.func.now())
        )
        connection.execute(sa.update(feedback).where(feedback.c.id == odd).values(selected=False))
    found = {each["id"]: each["why"] for each in http.get("/api/v1/books/missing").json()}
    assert found == {str(lost): "unticketed", str(stuck): "stuck", str(ended): "ended", str(odd): "unselected"}
    told = http.get("/api/v1/attention").json()
    assert told["books"]["books"]["balanced"] is False
    assert len(told["books"]["astray"]) == 4
    page = http.get("/attention").text
    assert "The books do not balance" in page
    assert "was selected, and has no ticket" in page
    assert "nobody knows by name" in page  # these answers were never in the queue


def test_many_astray_are_bounded(http: httpx.Client, engine: sa.Engine) -> None:
    ids = [unhappy(engine, f"Number {number}") for number in range(books.MOST_ASTRAY + 3)]
    with engine.begin() as connection:
        connection.execute(sa.delete(outbox))
    found = [each["id"] for each in http.get("/api/v1/books/missing").json()]
    assert found == [str(each) for each in sorted(ids, reverse=True)[: books.MOST_ASTRAY]]
