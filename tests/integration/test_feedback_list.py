"""The feedback page without scripts: its address is the view, what it offers to whom, its ends and its errors."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, Served
from results_data import answer, erase

from api.results.app import create_app
from api.results.feedback_models import View
from api.results.feedback_pages import PAGE
from heed import passwords
from heed.contracts import Label, Role, Survey
from heed.db import people, surveys
from heed.db.tables import feedback, verdicts
from heed.settings import Settings


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def http(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, headers={"Accept": "text/html"}) as client:
        client.post("/login", data={"name": "", "password": ADMIN_PASSWORD})
        yield client


def ids(page: str) -> list[str]:
    return re.findall(r'data-id="([^"]+)"', page)


def links(page: str) -> dict[str, str]:
    """Where each link leads, by its text."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return {re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)).strip(): unescape(href) for href, text in found}


def test_the_address_is_the_view(http: httpx.Client, engine: sa.Engine) -> None:
    bad = answer(engine, "Late <b>delivery</b>", vote="bad", rating=1, label=Label.NEGATIVE, p_negative=0.9)
    answer(engine, "Late but fine", vote="good", label=Label.NEUTRAL, p_negative=0.2)
    form = {"survey": "default", "q": "late", "label": "negative", "vote": "", "from": "", "tz": "Europe/Vienna"}
    sent = http.get("/feedback", params=form)
    assert (sent.status_code, sent.headers["location"]) == (303, "/feedback?survey=default&label=negative&q=late")
    page = http.get(sent.headers["location"])
    assert page.status_code == 200
    assert ids(page.text) == [str(bad)]
    assert '<mark class="hit">Late</mark> &lt;b&gt;delivery&lt;/b&gt;' in page.text
    ways = links(page.text)
    assert ways["Words: late ×: remove"] == "/feedback?survey=default&label=negative"
    assert ways["Reads: negative ×: remove"] == "/feedback?survey=default&q=late"
    assert ways["Clear filters"] == "/feedback?survey=default"
    exported = http.get(ways["CSV of all that fits"]).text
    assert exported.count("Late") == 1
    assert ways["Negative 1"] == "/feedback?survey=default&label=negative"
    for name, href in ways.items():
        if href.startswith(("/feedback?", "/api/v1/feedback?")):
            assert http.get(href).status_code == 200, name


def test_quick_views(http: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "x", vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    answer(engine, "y", flags=("fast",))
    answer(engine, "z", language="de")
    page = http.get("/feedback").text
    quick = page.split('aria-label="Quick views"')[1].split("</nav>")[0]
    shown = {name: ids(http.get(href).text) for name, href in links(quick).items()}
    everything = ids(page)
    assert {name: [everything.index(each) for each in found] for name, found in shown.items()} == {
        "Everything 3": [0, 1, 2],
        "Negative 1": [2],
        "Waiting for a verdict 2": [0, 1],  # one cannot be read, one is suspicious
        "Suspicious": [1],
        "With a ticket 1": [2],
        "Failed tickets 0": [],
        "Written in another language": [0],
    }


def test_what_waits_can_be_judged_one_by_one(http: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "x", flags=("fast",))
    assert links(http.get("/feedback?queued=true").text)["Judge them one by one"] == "/review?survey=default"
    assert "Judge them one by one" not in http.get("/feedback").text


def test_pages_of_the_list(http: httpx.Client, engine: sa.Engine) -> None:
    made = [str(answer(engine, f"number {number}")) for number in range(2 * PAGE + 3)][::-1]
    first = http.get("/feedback").text
    second = http.get(links(first)["Older →"]).text
    third = http.get(links(second)["Older →"]).text
    assert [ids(page) for page in (first, second, third)] == [made[:PAGE], made[PAGE : 2 * PAGE], made[2 * PAGE :]]
    assert "Older →" not in links(third)
    assert "← Newer" not in links(first)
    assert ids(http.get(links(third)["← Newer"]).text) == made[PAGE : 2 * PAGE]
    assert links(third)["To the newest"] == "/feedback?survey=default"
    one = http.get(links(third)["Details of the answer of " + second_of(made[-1])]).text
    ways = links(one)
    assert ways["← Back to the list"] == f"/feedback?survey=default&before={made[2 * PAGE - 1]}"
    assert urlsplit(ways["↑ Newer"]).path == f"/feedback/{made[-2]}"
    assert "↓ Older" not in ways
    for view in ("nonsense", "rating=9", "survey=default&survey=x", "id=x", "%00", "x" * 50_000, "survey=nope"):
        assert http.get(f"/feedback/{made[0]}", params={"view": view}).status_code in (200, 404, 431), view[:20]


def second_of(answer_id: str) -> str:
    return datetime.fromtimestamp((UUID(answer_id).int >> 80) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_nothing_fits_nothing_is_there_and_what_cannot_be_read(http: httpx.Client, engine: sa.Engine) -> None:
    assert "No answers yet" in http.get("/feedback").text
    answer_id = answer(engine, "late")
    assert "No answer fits" in http.get("/feedback?q=never").text
    assert "There is nothing further" in http.get(f"/feedback?before={answer_id}").text
    for query, field in (
        ("rating=9", "rating"),
        ("tz=Mars/Base", "tz"),
        ("tz=../../etc/passwd", "tz"),
        ("from=yesterday", "from"),
        ("period=3d", "period"),
        ("colour=red", "colour"),
        ("id=x", "id"),
        ("survey=default&language=german", "language"),
    ):
        refused = http.get(f"/feedback?{query}")
        assert refused.status_code == 422, query
        assert "This view cannot be read" in refused.text
        assert f"<li>{field}" in refused.text, query
    for query in ("survey=nope", "survey=N%00", "survey=nope&rating=9"):
        assert http.get(f"/feedback?{query}").status_code in (404, 422), query
    assert http.get("/feedback?from=0001-01-01&to=9999-12-31&tz=Pacific/Kiritimati").status_code == 200


def test_a_search_that_takes_too_long_says_what_to_do(
    http: httpx.Client, engine: sa.Engine, settings: Settings, serve: Callable[[Any], Served]
) -> None:
    answer(engine, "slow")
    with engine.begin() as connection:  # from now on Postgres gives up at once on what reads comments
        connection.execute(
            sa.text(
                "CREATE FUNCTION too_long(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
                " $$BEGIN RAISE EXCEPTION SQLSTATE '57014'; END$$"
            )
        )
        connection.execute(sa.text("ALTER TABLE feedback RENAME TO feedback_kept"))
        names = ", ".join("too_long(comment) AS comment" if c.name == "comment" else c.name for c in feedback.columns)
        connection.execute(sa.text(f"CREATE VIEW feedback AS SELECT {names} FROM feedback_kept"))
    page = http.get("/feedback?q=slow")
    assert page.status_code == 422
    assert "This takes too long to find" in page.text
    assert links(page.text)["Only the last 7 days"] == "/feedback?survey=default&q=slow&period=7d"
    assert 'value="slow"' in page.text


def test_days_are_those_of_a_zone() -> None:
    def range_of(**given: str) -> tuple[datetime | None, datetime | None]:
        found = View.of(given.items()).filter(datetime(2026, 11, 22, 12, tzinfo=UTC))
        return found.since, found.until

    vienna = {"tz": "Europe/Vienna"}
    # A day of 25 hours, and one of 23.
    assert range_of(**{"from": "2026-10-25", "to": "2026-10-25"}, **vienna) == (
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )
    assert range_of(to="2026-03-29", **vienna) == (None, datetime(2026, 3, 29, 22, tzinfo=UTC))
    assert range_of(period="7d") == (datetime(2026, 11, 15, 12, tzinfo=UTC), None)
    assert range_of(period="7d", **{"from": "2026-01-01"}) == (datetime(2026, 1, 1, tzinfo=UTC), None)
    assert range_of(period="24h", since="2026-11-22T06:00:00") == (datetime(2026, 11, 22, 6, tzinfo=UTC), None)


def test_a_view_is_read_back_as_it_is_written() -> None:
    given = [("survey", "default"), ("q", 'a "b" & c=d'), ("queued", "false"), ("rating", "2"), ("period", "7d")]
    given += [("id", str(UUID(int=7 << 76))), ("id", str(UUID(int=8 << 76)))]
    view = View.of(given)
    again = View.of([(name, value) for name, values in parse_qs(view.whole).items() for value in values])
    assert again == view
    days = View.of([("from", "2026-01-02"), ("tz", "Asia/Tokyo")])
    assert days.first == date(2026, 1, 2)
    assert View.of([(name, value[0]) for name, value in parse_qs(days.whole).items()]) == days


def test_it_offers_what_one_may_do_and_no_more(site: str, http: httpx.Client, engine: sa.Engine) -> None:
    theirs = answer(engine, "mine", vote="bad")
    others = answer(engine, "not mine", vote="bad")
    second = {
        "slug": "second",
        "question": "Well?",
        "options": [{"key": "good", "label": "Fine"}, {"key": "bad", "label": "Poor"}],
    }
    kept = passwords.hash_of("their-password")
    with engine.begin() as connection:
        surveys.save(connection, "tests", Survey.model_validate(second))
        connection.execute(sa.update(feedback).where(feedback.c.id == theirs).values(survey="second"))
        people.add(connection, "tests", "few", Role.VIEWER, ["second"], kept)
    mine = http.get("/feedback").text
    for offered in ('id="f-survey"', "Needed a person", "False alarm", 'id="export"', 'format=jsonl"'):
        assert offered in mine or offered in http.get("/feedback?survey=second").text, offered
    with httpx.Client(base_url=site, headers={"Accept": "text/html"}) as few:
        few.post("/login", data={"name": "few", "password": "their-password"})
        page = few.get("/feedback")
        assert ids(page.text) == [str(theirs)]
        assert "Well?" in page.text
        for offered in ('data-act="yes"', 'id="export"', "format=", "<kbd>Y</kbd>", "<kbd>X</kbd>", "How was your"):
            assert offered not in page.text, offered
        assert few.get("/feedback?survey=default").status_code == 404
        assert ids(few.get(f"/feedback?id={others}&id={theirs}").text) == [str(theirs)]
        assert few.get("/feedback?survey=default&rating=9").status_code == 422
        assert "How was your" not in few.get("/feedback?survey=default&rating=9").text
        one = few.get(f"/feedback/{theirs}", params={"view": "survey=default"}).text
        assert links(one)["← Back to the list"] == "/feedback?survey=second"


def test_nothing_selected_is_nothing_exported(http: httpx.Client, engine: sa.Engine) -> None:
    kept = [str(answer(engine, f"number {number}")) for number in range(3)]
    page = http.get("/feedback").text
    form = page.split('id="export"')[1].split("</form>")[0]
    hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
    for chosen in ([], [kept[1]]):
        sent = [*hidden, *(("id", each) for each in chosen), ("format", "csv")]
        file = http.get("/api/v1/feedback", params=sent)
        assert file.status_code == 200
        assert [each for each in kept if each in file.text] == chosen


def test_what_became_of_an_answer_shows(http: httpx.Client, engine: sa.Engine) -> None:
    far = "x " * 700 + "needle " + "y " * 700
    judged, gone, long = answer(engine, "judged"), answer(engine, "gone"), answer(engine, far)
    with engine.begin() as connection:
        connection.execute(sa.insert(verdicts).values(feedback_id=judged, needs_person=False, judge="manager"))
    erase(engine, gone)
    rows = dict(zip(ids(page := http.get("/feedback").text), page.split("data-id=")[1:], strict=True))
    assert "Judged: needs nobody" in rows[str(judged)]
    assert "Erased on" in rows[str(gone)]
    assert "needle" not in rows[str(long)]
    found = http.get("/feedback?q=needle").text
    assert '<mark class="hit">needle</mark>' in found
    assert len(found.split('answer__words" dir="auto">')[1].split("</p>")[0]) < 700


def test_old_answers_are_found_by_period(http: httpx.Client, engine: sa.Engine) -> None:
    now = datetime.now(UTC)
    old, new = answer(engine, "old", at=now - timedelta(days=10)), answer(engine, "new")
    assert ids(http.get("/feedback?period=30d").text) == [str(new), str(old)]
    assert ids(http.get("/feedback?period=7d").text) == [str(new)]
    day = (now - timedelta(days=10)).date()
    assert ids(http.get(f"/feedback?from={day}&to={day}").text) == [str(old)]
