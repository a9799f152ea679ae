"""Verdicts over HTTP, against a real Postgres: what follows from one, said twice, by two at once, beside a worker."""

import csv
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from results_data import answer

from api.results import performance, recent
from api.results.app import create_app
from heed import books
from heed.contracts import Driver, Judge, Label, SentenceRead, new_id
from heed.db import engine as db
from heed.db.tables import feedback, outbox, rollup, verdicts
from heed.db.verdicts import false_alarms, say
from heed.settings import Settings
from heed.stream.queue import Queue

LIST = "/api/v1/feedback"
TRIAGE = "/api/v1/surveys/default/triage"
KEY = {"Authorization": f"Bearer {API_KEY}"}
YES, NO = {"needs_person": True}, {"needs_person": False}


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(recent, "SECONDS", 0)
    return serve(create_app(settings)).url


@pytest.fixture
def http(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, headers=KEY) as client:
        yield client


def review(engine: sa.Engine, comment: str = "Well, it works, mostly.", **more: Any) -> UUID:
    return answer(engine, comment, label=Label.NEGATIVE, p_negative=0.5, **more)


def judge(http: httpx.Client, answer_id: UUID, verdict: dict[str, bool]) -> dict[str, Any]:
    answered = http.post(f"{LIST}/{answer_id}/verdict", json=verdict)
    assert answered.status_code == 200, answered.text
    whole: dict[str, Any] = answered.json()
    return whole


def selected(engine: sa.Engine) -> tuple[int, int, int, int]:
    """Selected submissions by their rows, by the rollup's two ends, and events in the outbox."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.func.count()).where(feedback.c.selected)).scalar_one()
        by_grain = dict(
            connection.execute(sa.select(rollup.c.grain, sa.func.sum(rollup.c.selected)).group_by(rollup.c.grain)).all()
        )
        events = connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one()
    return rows, by_grain["hour"], by_grain["total"], events


def test_yes_selects_once(http: httpx.Client, engine: sa.Engine, settings: Settings) -> None:
    answer_id = review(engine, rating=3)
    before = http.get(f"{LIST}/{answer_id}").json()
    assert (before["decision"], before["queued"], before["selected"], before["verdicts"]) == ("review", True, False, [])
    for _ in range(2):
        whole = judge(http, answer_id, YES)
        assert (whole["decision"], whole["queued"], whole["selected"]) == ("review", False, True)
        assert (whole["reasons"], whole["priority"]) == (["review"], "normal")
        [said] = whole["verdicts"]
        assert (said["needs_person"], said["judge"]) == (True, "api")
        assert selected(engine) == (1, 1, 1, 1)
    assert whole == http.get(f"{LIST}/{answer_id}").json()
    with engine.connect() as connection:
        event = connection.execute(sa.select(outbox.c.event)).scalar_one()
    assert (event["id"], event["reasons"], event["rating"]) == (str(answer_id), ["text"], 3)
    taken = books.take(engine, Queue.connect(settings))
    assert (taken.selected, taken.in_flight, taken.ticketed, taken.failed) == (1, 1, 0, 0)
    assert [problem for problem in taken.problems if "tickets" in problem] == []


def test_no_ends_the_waiting_and_selects_nothing(http: httpx.Client, engine: sa.Engine) -> None:
    answer_id = review(engine)
    whole = judge(http, answer_id, NO)
    assert (whole["queued"], whole["selected"], whole["reasons"]) == (False, False, [])
    assert selected(engine) == (0, 0, 0, 0)
    # A second thought opens the ticket after all, a third one does not take it back.
    assert judge(http, answer_id, YES)["selected"]
    whole = judge(http, answer_id, NO)
    assert (whole["selected"], [said["needs_person"] for said in whole["verdicts"]]) == (True, [False, True, False])
    assert selected(engine) == (1, 1, 1, 1)


def test_a_false_alarm_keeps_its_ticket(http: httpx.Client, engine: sa.Engine) -> None:
    answer_id = answer(engine, "Love it.", vote="bad", label=Label.POSITIVE, p_negative=0.05, sampled=True)
    whole = judge(http, answer_id, NO)
    assert (whole["decision"], whole["queued"], whole["sampled"], whole["selected"]) == ("ticket", False, True, True)
    assert whole["reasons"] == ["option"]
    assert selected(engine) == (1, 1, 1, 1)


def test_what_an_earlier_version_stored_can_be_judged(http: httpx.Client, engine: sa.Engine) -> None:
    old, ticket = answer(engine, "Odd.", vote="good"), answer(engine, "Odd.", vote="bad")
    with engine.begin() as connection:
        connection.execute(sa.update(feedback).values(decision=None, reading=None))
    whole = http.get(f"{LIST}/{old}").json()
    assert (whole["decision"], whole["reading"], whole["queued"]) == (None, None, False)
    judge(http, old, YES)
    judge(http, ticket, YES)
    assert selected(engine) == (2, 2, 2, 2)
    counts = http.get(TRIAGE).json()["verdicts"]
    assert counts == {"confirmed": 1, "false_alarms": 0, "found": 0, "missed": 1, "dismissed": 0}


def test_who_judges(http: httpx.Client, site: str, engine: sa.Engine) -> None:
    answer_id = review(engine)
    address = f"{LIST}/{answer_id}/verdict"
    with httpx.Client(base_url=site) as manager:
        assert manager.post(address, json=YES).status_code == 401
        manager.post("/login", data={"password": ADMIN_PASSWORD})
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            refused = manager.post(address, json=YES, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:heed:problem:cross-origin")
        assert http.get(f"{LIST}/{answer_id}").json()["verdicts"] == []
        assert manager.post(address, json=YES, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    judges = [said["judge"] for said in judge(http, answer_id, YES)["verdicts"]]
    assert judges == ["api", "manager"]  # newest first


NONSENSE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff",
    b'{"needs_person": "yes"}',
    b'{"needs_person": 1}',
    b'{"needs_person": NaN}',
    b'{"needs_person": null}',
    b'{"needs_person": true, "x": 1}',
    b'{"needs_person"\x00: true}',
]


def test_nonsense_is_refused(http: httpx.Client, engine: sa.Engine) -> None:
    answer_id = review(engine)
    address = f"{LIST}/{answer_id}/verdict"
    for body in NONSENSE:
        refused = http.post(address, content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code in (400, 422), body
        assert refused.headers["content-type"] == "application/problem+json"
    assert (
        http.post(address, data={"needs_person": "true"}).status_code == 422
    )  # what a form on another site could send
    assert http.post(address, content=b" " * 200_000).status_code == 413
    assert http.post(f"{LIST}/{new_id()}/verdict", json=YES).status_code == 404
    assert http.post(f"{LIST}/nonsense/verdict", json=YES).status_code == 422
    assert http.get(address).status_code == 405
    assert http.get(f"{LIST}/{answer_id}").json()["verdicts"] == []


def test_the_page_of_the_queue(http: httpx.Client, engine: sa.Engine) -> None:
    for query, status in (("", 200), ("?survey=default", 200), ("?survey=nope", 404), ("?survey=%00", 404)):
        assert http.get(f"/review{query}", headers={"Accept": "text/html"}).status_code == status, query


def test_without_postgres(settings: Settings, serve: Callable[[Any], Served]) -> None:
    url = type(settings.database_url)("postgresql://127.0.0.1:1/none")
    site = serve(create_app(settings.model_copy(update={"database_url": url}))).url
    away = httpx.post(f"{site}{LIST}/{new_id()}/verdict", json=YES, headers=KEY)
    assert away.status_code == 503
    assert int(away.headers["retry-after"]) > 0
    assert httpx.get(f"{site}{TRIAGE}", headers=KEY).status_code == 503


def test_two_managers_at_once(engine: sa.Engine, http: httpx.Client) -> None:
    ids = [review(engine) for _ in range(10)]
    begin = threading.Barrier(4)

    def work() -> None:
        begin.wait()
        for answer_id in ids:
            judge(http, answer_id, YES)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert selected(engine) == (10, 10, 10, 10)
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(verdicts)).scalar_one() == 10


def test_a_verdict_and_a_worker_do_not_wait_for_each_other_for_good(engine: sa.Engine) -> None:
    """Both change the same rows of the rollup. Each goes through its rows with pauses, so that they meet."""
    ids = [review(engine, f"number {number}") for number in range(40)]
    with engine.begin() as connection:
        # Slow as on a busy machine: whoever takes the rows in another order than the others is caught.
        connection.execute(
            sa.text("""
                CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END $$;
                CREATE TRIGGER pause BEFORE UPDATE ON rollup FOR EACH ROW EXECUTE FUNCTION pause();
            """)
        )
    stop = threading.Event()

    def worker() -> int:
        stored = 0
        while not stop.is_set():
            review(engine, "meanwhile")
            stored += 1
        return stored

    def manager(mine: list[UUID]) -> None:
        for answer_id in mine:
            with db.begin(engine) as connection:
                say(connection, answer_id, True, Judge.MANAGER)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(worker) for _ in range(2)]
        try:
            for judged in [pool.submit(manager, ids[::2]), pool.submit(manager, ids[1::2])]:
                judged.result()
        finally:
            stop.set()
        stored = sum(each.result() for each in workers)
    assert stored > 5
    assert selected(engine) == (40, 40, 40, 40)
    with engine.connect() as connection:
        waited = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(sa.text(waited)).scalar_one() == 0


def test_the_queue_is_a_filter(http: httpx.Client, engine: sa.Engine) -> None:
    asked = review(engine)
    drawn = answer(engine, "Fine.", vote="good", label=Label.POSITIVE, p_negative=0.1, sampled=True)
    bad = answer(engine, "Broken.", vote="bad", label=Label.NEGATIVE, p_negative=0.9)

    def found(**params: str) -> list[str]:
        return [item["id"] for item in http.get(LIST, params=params).json()["items"]]

    assert found(queued="true", survey="default") == [str(drawn), str(asked)]
    assert found(queued="true", survey="other") == []
    assert found(decision="review") == [str(asked)]
    assert found(decision="ticket") == found(queued="false") == [str(bad)]
    assert found(decision="nothing") == [str(drawn)]
    judge(http, asked, NO)
    assert found(queued="true") == [str(drawn)]
    file = http.get(LIST, params={"format": "csv"}).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(file, newline="")))
    assert [row["decision"] for row in rows] == ["ticket", "nothing", "review"]


def test_the_queue_is_read_from_its_own_index(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))
        for query in (
            "SELECT id FROM feedback WHERE survey = 'default' AND queued = true ORDER BY id DESC LIMIT 50",
            "SELECT count(*) FROM (SELECT id FROM feedback WHERE survey = 'default' AND queued LIMIT 1000) AS waits",
        ):
            plan = "\n".join(connection.execute(sa.text(f"EXPLAIN {query}")).scalars())
            assert "ix_feedback_queued_survey_id" in plan


def test_an_answer_tells_how_it_was_read(http: httpx.Client, engine: sa.Engine) -> None:
    drivers = (Driver("late", 7, 11, -1.5), Driver("base", None, None, 0.25))
    sentences = (SentenceRead(0, 25, -1.25),)
    answer_id = review(
        engine, "🙁 Too late, refund please.", score=-1.25, drivers=drivers, sentences=sentences, coverage=0.5
    )
    read = http.get(f"{LIST}/{answer_id}").json()["reading"]
    assert (read["rating"], read["topics"], read["language"], read["coverage"]) == (-1.25, ["refund"], None, 0.5)
    assert read["drivers"] == [["late", 7, 11, -1.5], ["base", None, None, 0.25]]
    assert read["sentences"] == [[0, 25, -1.25]]
    with engine.begin() as connection:
        connection.execute(sa.update(feedback).values(reading={"v": 2, "other": "shape"}))
    assert http.get(f"{LIST}/{answer_id}").json()["reading"] is None


def test_figures_need_verdicts_on_the_drawn(http: httpx.Client, engine: sa.Engine) -> None:
    old = datetime.now(UTC) - timedelta(days=performance.DAYS + 1)
    answer(engine, "Old.", vote="bad", sampled=True, at=old)
    for _ in range(20):
        answer(engine, "Broken.", vote="bad", sampled=True)
        answer(engine, "Fine.", vote="good", sampled=True)
    answer(engine, "Not drawn.", vote="bad", label=Label.NEGATIVE)
    figures = http.get(TRIAGE).json()
    assert figures["precision"] == {"value": None, "low": None, "high": None, "missing": 20}
    assert figures["recall"]["missing"] == 40
    assert figures["sample"]["ticket"] == {"drawn": 20, "judged": 0, "needed": 0}
    for place, item in enumerate(http.get(LIST, params={"queued": "true", "limit": "40"}).json()["items"]):
        needs = item["decision"] == "ticket" and place >= 4  # the newest two of the tickets are false alarms
        judge(http, item["id"], {"needs_person": not needs})
        judge(http, item["id"], {"needs_person": needs})  # the newest verdict counts
    figures = http.get(TRIAGE).json()
    assert figures["sample"]["ticket"] == {"drawn": 20, "judged": 20, "needed": 18}
    assert figures["sample"]["nothing"] == {"drawn": 20, "judged": 20, "needed": 0}
    assert (figures["precision"]["value"], figures["recall"]["value"]) == (0.9, 1.0)
    assert figures["recall"]["low"] < 1 == figures["recall"]["high"]
    counts = {"confirmed": 18, "false_alarms": 2, "found": 0, "missed": 0, "dismissed": 20}
    assert figures["verdicts"] == counts
    assert http.get("/api/v1/surveys/nope/triage").status_code == 404


def test_agents_false_alarms_do_not_bend_the_figures(http: httpx.Client, engine: sa.Engine) -> None:
    """An agent tells a false alarm and never that a ticket was right: what is drawn by lot is asked of managers."""
    tickets = [answer(engine, "Broken.", vote="bad", sampled=True) for _ in range(25)]
    alarms = tickets[:20]
    with db.begin(engine) as connection:
        assert false_alarms(connection, alarms) == alarms
    figures = http.get(TRIAGE).json()
    assert figures["sample"]["ticket"] == {"drawn": 25, "judged": 0, "needed": 0}
    assert figures["precision"]["missing"] == 20
    assert figures["verdicts"]["false_alarms"] == 20
    assert http.get(f"{LIST}/{alarms[0]}").json()["queued"]
    assert not judge(http, alarms[0], NO)["queued"]
    assert http.get(TRIAGE).json()["sample"]["ticket"] == {"drawn": 25, "judged": 1, "needed": 0}


def test_figures_cost_the_same_however_much_there_is(
    http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance, "DRAWN_MOST", 5)
    monkeypatch.setattr(performance, "JUDGED_MOST", 2)
    ids = [answer(engine, "Broken.", vote="bad", sampled=True) for _ in range(8)]
    for answer_id in ids:
        judge(http, answer_id, YES)
    figures = http.get(TRIAGE).json()
    assert figures["sample"]["ticket"]["drawn"] == 5
    assert figures["verdicts"]["confirmed"] == 2
