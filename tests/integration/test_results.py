"""The results site over HTTP, against a real Postgres: the numbers, the lists, and what happens to nonsense."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import httpx
import pytest
import redis
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served, wait_for
from results_data import POLICY, answer, erase

from api.results import export, recent
from api.results.answers import Answers
from api.results.app import create_app
from api.results.models import Filter
from heed.contracts import Contact, Context, Label, QuarantineKind, QuarantineReason, TicketState, new_id
from heed.db import quarantine
from heed.db.tables import feedback, ticket_counts, tickets
from heed.settings import Settings

RESULTS = "/api/v1/surveys/default/results"
LIST = "/api/v1/feedback"
KEY = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings.model_copy(update={"zendesk_subdomain": "acme"}))).url


@pytest.fixture
def http(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, headers=KEY) as client:
        yield client


def ticket(engine: sa.Engine, feedback_id: UUID, state: TicketState, desk_id: int | None) -> None:
    with engine.begin() as connection:
        now = sa.func.now()
        values = {"feedback_id": feedback_id, "state": state, "attempts": 1, "first_attempt_at": now}
        connection.execute(sa.insert(tickets).values(**values, desk_id=desk_id, desk_status="open"))
        connection.execute(sa.insert(ticket_counts).values(survey="default", state=state, tickets=1))


def test_results_add_up(http: httpx.Client, engine: sa.Engine) -> None:
    now = datetime.now(UTC)
    bad = answer(engine, "Terrible.", vote="bad", rating=1, label=Label.NEGATIVE, p_negative=0.9)
    answer(engine, "Broken.", vote="bad", label=Label.NEGATIVE, p_negative=0.8)
    answer(engine, vote="good", rating=4, at=now - timedelta(hours=50))
    answer(engine, "Fine.", label=Label.NEUTRAL, p_negative=0.1, at=now - timedelta(days=40))
    ticket(engine, bad, TicketState.OPENED, 7)
    results = http.get(RESULTS).json()
    assert (results["survey"], results["total"], results["selected"]) == ("default", 4, 2)
    assert results["votes"] == {"good": 1, "bad": 2, "none": 1}
    assert results["ratings"] == {"1": 1, "2": 0, "3": 0, "4": 1, "5": 0, "none": 2}
    assert results["average_rating"] == 2.5
    assert results["sentiment"] == {"negative": 2, "neutral": 1, "positive": 0, "unknown": 1}
    assert results["tickets"] == {"waiting": 1, "attempting": 0, "created": 0, "opened": 1, "solved": 0, "failed": 0}
    assert (len(results["hours"]), len(results["days"])) == (48, 30)
    assert sum(hour["answers"] for hour in results["hours"]) == 2
    assert sum(day["answers"] for day in results["days"]) == 3
    assert sum(day["unknown"] for day in results["days"]) == 1
    last = [hour for hour in results["hours"] if hour["answers"]][-1]
    assert last["votes"] == {"good": 0, "bad": 2, "none": 0}
    assert last["negative"] == 2
    assert datetime.fromisoformat(results["as_of"]) >= now


def test_results_are_read_from_the_rollup_alone(http: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "Words", vote="good")
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE feedback RENAME TO feedback_away"))
    assert http.get(RESULTS).json()["total"] == 1


def test_zero_answers(http: httpx.Client) -> None:
    results = http.get(RESULTS).json()
    assert (results["total"], results["average_rating"]) == (0, None)
    assert results["votes"] == {"good": 0, "bad": 0, "none": 0}


def test_one_answer(http: httpx.Client, engine: sa.Engine) -> None:
    contact = Contact(name="Ann", email="ann@example.com", reply=True)
    answer_id = answer(engine, "No reply.", vote="bad", label=Label.NEGATIVE, p_negative=0.7, contact=contact)
    ticket(engine, answer_id, TicketState.OPENED, 7)
    one = http.get(f"{LIST}/{answer_id}").json()
    assert "client" not in one
    assert one["contact"] == {"name": "Ann", "email": "ann@example.com", "reply": True}
    assert (one["selected"], one["reasons"], one["priority"]) == (True, ["text", "option", "contact"], "high")
    assert (one["scores"], one["scorer"]) == ({"neg": 0.25}, "test-scorer")
    assert one["policy"] == f"{POLICY.name} 0.65/0.4"
    assert one["ticket"]["url"] == "https://acme.zendesk.com/agent/tickets/7"
    assert (one["ticket"]["state"], one["ticket"]["desk_status"]) == ("opened", "open")
    [listed] = http.get(LIST).json()["items"]
    assert listed.items() <= one.items()
    assert http.get(f"{LIST}/{new_id()}").status_code == 404
    assert http.get(f"{LIST}/nonsense").status_code == 422
    assert http.get("/api/v1/surveys/nope/results").status_code == 404
    assert http.get("/api/v1/surveys/nope/live").status_code == 404


def test_list_filters(http: httpx.Client, engine: sa.Engine) -> None:
    now = datetime.now(UTC)
    old = answer(engine, "50% off_now", vote="good", rating=5, label=Label.POSITIVE, at=now - timedelta(days=2))
    bad = answer(engine, "Slow DELIVERY", vote="bad", rating=2, label=Label.NEGATIVE, p_negative=0.9)
    plain = answer(engine, "fine", label=Label.NEUTRAL)
    ticket(engine, bad, TicketState.FAILED, None)

    def found(**params: str) -> set[str]:
        answered = http.get(LIST, params=params)
        assert answered.status_code == 200, answered.text
        return {item["id"] for item in answered.json()["items"]}

    day_ago = (now - timedelta(days=1)).isoformat()
    assert found() == {str(old), str(bad), str(plain)}
    assert found(survey="default", label="negative") == {str(bad)}
    assert found(vote="good") == found(rating="5") == found(q="50% OFF_") == found(until=day_ago) == {str(old)}
    assert found(selected="true") == found(ticket="failed") == found(q="delivery") == {str(bad)}
    assert found(since=day_ago) == {str(bad), str(plain)}
    assert found(survey="other") == found(q="%_%") == set()


def test_where_an_answer_comes_from_and_what_makes_it_suspicious(http: httpx.Client, engine: sa.Engine) -> None:
    context = Context(url="https://shop.example/a?b=1", app="2.4.1", ref="mail", language="de")
    odd = answer(engine, "Broken.", vote="bad", context=context, user="u-1", flags=("honeypot", "burst"))
    plain = answer(engine, "Fine.", vote="good")
    one = http.get(f"{LIST}/{odd}").json()
    assert one["context"] == {"url": "https://shop.example/a?b=1", "app": "2.4.1", "ref": "mail", "language": "de"}
    assert (one["customer"], one["flags"], one["erased_at"]) == ("u-1", ["honeypot", "burst"], None)
    assert (one["decision"], one["selected"], one["queued"]) == ("review", False, True)
    two = http.get(f"{LIST}/{plain}").json()
    assert (two["context"], two["customer"], two["flags"]) == (None, None, [])

    def found(**params: str) -> list[str]:
        return [item["id"] for item in http.get(LIST, params=params).json()["items"]]

    assert found(flagged="true") == found(flagged="true", survey="default") == [str(odd)]
    assert found(flagged="false") == [str(plain)]
    with engine.begin() as connection:  # a newer version's, of another shape
        connection.execute(sa.update(feedback).values(context={"url": "x", "screen": "small"}, flags=["novel"]))
    one = http.get(f"{LIST}/{odd}").json()
    assert (one["context"]["url"], one["flags"]) == ("x", ["novel"])


def test_what_is_flagged_is_read_from_its_own_index(engine: sa.Engine) -> None:
    statements: list[bytes] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[1].mogrify(*given[2:4])))
    Answers(engine, Settings()).newest(Filter(survey="default", flagged=True), 20)
    asked = next(each for each in statements if b"flags" in each).decode()
    with engine.begin() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {asked}").scalars())
    assert "ix_feedback_flagged_survey_id" in plan


def test_what_a_customer_erased(http: httpx.Client, engine: sa.Engine) -> None:
    contact, context = Contact(name="Ann", email="ann@example.com", reply=True), Context(url="https://shop.example")
    gone = answer(
        engine,
        "Broken.",
        vote="bad",
        label=Label.NEGATIVE,
        p_negative=0.9,
        score=-2.0,
        contact=contact,
        context=context,
    )
    before = http.get(RESULTS).json()
    erase(engine, gone)
    one = http.get(f"{LIST}/{gone}").json()
    assert (one["comment"], one["contact"], one["context"], one["reading"]) == ("", None, None, None)
    assert datetime.fromisoformat(one["erased_at"]) > datetime.fromisoformat(one["stored_at"])
    assert (one["label"], one["decision"], one["selected"], one["vote"]) == ("negative", "ticket", True, "bad")
    after = http.get(RESULTS).json()
    assert {**after, "as_of": None} == {**before, "as_of": None}
    file = http.get(LIST, params={"format": "csv"}).content.decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(file, newline=""))
    assert (row["comment"], row["contact_email"], row["url"], row["reply"]) == ("", "", "", "no")
    assert row["erased_at"][:10] == one["erased_at"][:10]
    assert http.post(f"{LIST}/{gone}/verdict", json={"needs_person": True}).status_code == 200


def test_pages_of_the_list_meet_without_gap_or_overlap(http: httpx.Client, engine: sa.Engine) -> None:
    ids = [str(answer(engine, f"number {number}")) for number in range(7)]
    seen: list[str] = []
    before: str | None = None
    for _ in range(4):
        page = http.get(LIST, params={"limit": 2, **({"before": before} if before else {})}).json()
        seen += [item["id"] for item in page["items"]]
        before = page["next"]
        answer(engine, "meanwhile")
    assert seen == ids[::-1]
    assert before is None


def test_csv_is_safe_and_whole(http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH", 3)
    evil = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", 'a,"b"\nc', "Grüße 🙂", "plain"]
    for words in evil:
        contact, context = Contact(name="=cmd()", email="a@example.com"), Context(ref="=cmd()", app="-1")
        answer(engine, words, contact=contact, context=context, user="@cmd", flags=("fast", "burst"))
    answered = http.get(LIST, params={"format": "csv"})
    assert answered.headers["content-disposition"] == 'attachment; filename="feedback.csv"'
    assert answered.headers["content-type"] == "text/csv; charset=utf-8"
    assert answered.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answered.content.decode("utf-8-sig"), newline="")))
    expected = [f"'{words}" if words[0] in "=+-@\t\r\n" else words for words in reversed(evil)]
    assert [row["comment"] for row in rows] == expected
    assert {row["contact_name"] for row in rows} == {row["ref"] for row in rows} == {"'=cmd()"}
    assert {(row["app"], row["customer"], row["flags"]) for row in rows} == {("'-1", "'@cmd", "fast burst")}
    assert {row["compound"] for row in rows} == {"-0.5"}  # a number is none of a formula's beginnings
    assert len(http.get(LIST, params={"format": "csv", "q": "plain"}).text.splitlines()) == 2


def test_csv_comes_in_batches(http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH", 2)
    for number in range(5):
        answer(engine, f"number {number}")
    with http.stream("GET", LIST, params={"format": "csv"}) as answered:
        parts = [part for part in answered.iter_text() if part]
    assert len("".join(parts).splitlines()) == 6
    assert answered.headers.get("transfer-encoding") == "chunked"


def test_quarantine_and_books(http: httpx.Client, engine: sa.Engine) -> None:
    reason = QuarantineReason.INVALID
    with engine.begin() as connection:
        item = quarantine.Item(QuarantineKind.SUBMISSION, "0/1-0", reason, "it does not fit", "{}")
        quarantine.add(connection, [item])
    [shown] = http.get("/api/v1/quarantine").json()
    assert (shown["kind"], shown["reason"], shown["detail"]) == ("submission", "invalid", "it does not fit")
    books = http.get("/api/v1/books").json()
    assert (books["stored"], books["quarantined"], books["accepted"]) == (0, 1, 0)


def test_a_queue_that_hangs_holds_one_reader(
    http: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "SECONDS", 0)
    assert http.get("/api/v1/books").json()["balanced"]
    with redis.Redis.from_url(settings.need("redis_url")) as client, ThreadPoolExecutor(5) as pool:
        client.client_pause(3000)
        asked = [pool.submit(http.get, "/api/v1/books") for _ in range(5)]
        wait_for(lambda: sum(each.done() for each in asked) == 4, 2)
        assert all(each.result().json()["balanced"] for each in asked)


def test_books_without_redis(settings: Settings, serve: Callable[[Any], Served]) -> None:
    away = settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1/0")})
    with httpx.Client(base_url=serve(create_app(away)).url, headers=KEY) as http:
        books = http.get("/api/v1/books").json()
        assert (books["accepted"], books["queued"], books["balanced"]) == (None, None, None)
        assert http.get(RESULTS).status_code == 200
        assert http.get("/readyz").status_code == 200


def test_without_postgres(settings: Settings, serve: Callable[[Any], Served]) -> None:
    url = type(settings.database_url)("postgresql://127.0.0.1:1/none")
    site = serve(create_app(settings.model_copy(update={"database_url": url}))).url
    with httpx.Client(base_url=site, headers=KEY) as http:
        for path in (
            RESULTS,
            LIST,
            f"{LIST}?format=csv",
            "/api/v1/surveys/default/triage",
            "/api/v1/surveys/default/live",
            "/api/v1/books",
        ):
            away = http.get(path)
            assert away.status_code == 503, path
            assert int(away.headers["retry-after"]) > 0
            assert "127.0.0.1" not in away.text
        for page in ("/", "/review"):  # the frame; the module says what is missing
            assert http.get(page).status_code == 200
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200
    with httpx.Client(base_url=site, cookies={"heed_session": "once-given"}) as http:
        away = http.get("/", headers={"Accept": "text/html"})
        assert (away.status_code, "set-cookie" in away.headers) == (503, False)  # nobody is logged out
        assert 'http-equiv="refresh"' in away.text
        assert http.get(RESULTS).headers["content-type"] == "application/problem+json"
        for path in ("/logout", "/api/v1/keys"):
            assert http.post(path).status_code == 503
        refused = http.post("/login", data={"password": ADMIN_PASSWORD})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "Nobody can log in at the moment" in refused.text


# No input is an error of ours

NONSENSE = [
    "",
    "\x00",
    "a\x00b",
    "%",
    "\\",
    "'; --",
    "x" * 300,
    "-1",
    "0",
    "9" * 40,
    "1e400",
    "nan",
    "inf",
    "null",
    "💥",
]
NONSENSE_PATHS = ["%00", "%F0%9F%92%A5", "%ED%A0%80", "..%2f..", "x" * 300, "%25", "9" * 400, "A", "-"]
TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e18", "-99999999999", "2024-02-30", "2024-01-01"]


def test_nonsense_in_filters(http: httpx.Client) -> None:
    for name, value in product(Filter.model_fields, NONSENSE + TIMES):
        for form in ("json", "csv"):
            assert http.get(LIST, params={name: value, "format": form}).status_code in (200, 422), (name, value)


def test_nonsense_in_paging(http: httpx.Client) -> None:
    for name, value in product(["before", "limit", "format", "unknown"], NONSENSE):
        answered = http.get(LIST, params={name: value})
        assert answered.status_code == 422, (name, value)
        assert answered.headers["content-type"] == "application/problem+json"


def test_nonsense_in_paths(http: httpx.Client) -> None:
    paths = [
        "/api/v1/surveys/{}/results",
        "/api/v1/surveys/{}/live",
        "/api/v1/surveys/{}/triage",
        f"{LIST}/{{}}",
        "/s/{}",
    ]
    for path, value in product(paths, NONSENSE_PATHS):
        answered = http.get(path.format(value), headers={"Accept": "text/html"} if path == "/s/{}" else {})
        assert answered.status_code in (404, 422), value


def test_errors_are_problem_documents(http: httpx.Client) -> None:
    for method, path, status in [
        ("GET", "/api/v1/none", 404),
        ("DELETE", LIST, 405),
        ("GET", f"{LIST}?limit=0", 422),
    ]:
        answered = http.request(method, path)
        assert answered.status_code == status
        assert answered.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= answered.json().keys()
    assert "GET" in http.delete(LIST).headers["allow"]
    page = http.get("/none", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "This page does not exist" in page.text


def test_words_in_the_page_stay_data(http: httpx.Client, engine: sa.Engine) -> None:
    evil = "</script><script>alert(1)</script><!--"
    answer_id = answer(engine, evil)
    for path in ("/", f"/feedback/{answer_id}"):
        page = http.get(path).text
        assert "<script>alert" not in page
        data = page.split('id="data">')[1].split("</script>")[0]
        assert evil in json.dumps(json.loads(data))
