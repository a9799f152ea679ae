"""The digest: its sentences, its days and weeks, its quotes, and its page, which needs no script."""

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served
from results_data import answer, erase

from api.results.app import create_app
from api.results.digest import duration, percent, period_of, sentences
from api.results.overview_models import DigestAsked, Figures, Overview, TicketFigures
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, Driver, Label, Reason, Role, Survey, TicketState
from heed.db import people, surveys
from heed.db.tables import tickets
from heed.settings import Settings

DIGEST = "/api/v1/surveys/default/digest"
KEY = {"Authorization": f"Bearer {API_KEY}"}
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, headers=KEY) as client:
        yield client


def ask(http: httpx.Client, **params: str) -> Any:
    found = http.get(DIGEST, params=params)
    assert found.status_code == 200, found.text
    return found.json()


def texts(found: Any) -> list[str]:
    return [each["text"] for each in found["said"]]


def test_nothing_has_happened(http: httpx.Client) -> None:
    found = ask(http)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert found["title"] == f"{yesterday:%A}, {yesterday.day} {yesterday:%B %Y}"
    assert found["said"] == [{"text": "Nobody answered.", "figures": "None the day before."}]
    assert (found["quotes"], found["over"], found["overview"]["group"]) == ([], True, "hour")
    today = ask(http, date=str(yesterday + timedelta(days=1)))
    assert texts(today) == ["Nobody has answered so far."]
    assert (today["over"], today["later"]) == (False, None)
    assert today["earlier"] == str(yesterday)
    page = http.get("/digest")
    assert page.status_code == 200
    assert "Nobody answered." in page.text
    assert "In their words" not in page.text


def test_a_week_in_sentences_and_quotes(http: httpx.Client, engine: sa.Engine) -> None:
    for number in range(16):
        answer(engine, f"Fine {number}.", vote="good", label=Label.POSITIVE, p_negative=0.1, at=NOON)
    slow: dict[str, Any] = {"label": Label.NEGATIVE, "score": -1.0, "drivers": [Driver("slow", 0, 4, -0.5)]}
    for number, likely in enumerate((0.81, 0.95, 0.97, 0.83, 0.86, 0.89)):
        at = NOON + timedelta(hours=number)
        answer(engine, f"So slow {number} <b>", vote="bad", rating=2, p_negative=likely, at=at, **slow)
    answer(engine, "so SLOW 1  <b>", p_negative=0.9, at=NOON - timedelta(hours=1), **slow)  # said before
    long = answer(engine, "Slow. " * 200, p_negative=0.99, at=NOON + timedelta(hours=9), **slow)
    gone = answer(engine, "Slow and erased.", p_negative=0.99, at=NOON, **slow)
    erase(engine, gone)
    answer(engine, "Slow and suspicious.", p_negative=0.99, at=NOON, flags=("fast",), **slow)
    answer(engine, "Slow, too.", p_negative=0.9, at=NOON - timedelta(days=7), **slow)
    with engine.begin() as connection:
        times = {"first_attempt_at": NOON, "opened_at": NOON + timedelta(hours=9, seconds=30)}
        values = {"feedback_id": long, "state": TicketState.OPENED, "attempts": 1, "desk_id": 7}
        connection.execute(sa.insert(tickets).values(**values, **times))
    found = ask(http, period="week", date="2026-03-05")
    assert found["title"] == "Week of 2 to 8 March 2026"
    assert (found["earlier"], found["later"]) == ("2026-02-23", "2026-03-09")
    assert texts(found) == [
        "26 customers answered, 25 more than the week before.",
        "38 % of those who wrote were unhappy.",  # one before is too few for a share
        "22 votes: 16 for “Good” and 6 for “Bad”.",
        "6 customers gave a rating, 2.0 of 5 on average.",
        "9 answers asked for a ticket (1 before).",  # what is suspicious asks for none
        "1 has a ticket by now; none is solved yet.",
    ]
    assert found["said"][1]["figures"] == "Words that could be read: 26; negative 10, neutral 0, positive 16."
    assert found["said"][4]["figures"].startswith("The words read negative: 9; ")
    assert found["said"][5]["figures"] == "The median time until the ticket was there was 30 seconds."
    quotes = [(each["words"][:10], each["cut"]) for each in found["quotes"]]
    assert quotes == [
        ("Slow. Slow", True),  # the newest of the strongest
        ("So slow 2 ", False),
        ("So slow 1 ", False),
        ("So slow 5 ", False),  # then the newest of those that are less strong
        ("So slow 4 ", False),
    ]
    assert len(found["quotes"][0]["words"]) <= 400
    assert found["overview"]["words"][0]["word"] == "slow"
    page = http.get("/digest", params={"survey": "default", "period": "week", "date": "2026-03-05"}).text
    for said in (
        "26 customers answered",
        "So slow 2 &lt;b&gt;",
        "/feedback?survey=default&amp;label=negative&amp;q=slow",
    ):
        assert said in page
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/static/menus.js">'], "the bar's alone"
    assert "style=" not in page


def figures(**values: Any) -> Figures:
    kept = {"votes": {"good": 0, "bad": 0, "none": 0}, "since": NOON, "until": NOON, **values}
    return Figures.model_validate(kept)


def said(now: Figures, before: Figures, over: bool = True, period: str = "day", **more: Any) -> list[str]:
    whole: dict[str, Any] = {
        "survey": "default",
        "question": "?",
        "options": DEFAULT_SURVEY.options,
        "tz": "UTC",
        "group": "hour",
        "first_day": NOON,
        "last_day": NOON,
        "buckets": [],
        "words": [],
        "negatives_looked_at": 0,
        "reasons": {},
        "open_tickets": 0,
        "oldest_waiting_seconds": None,
        "as_of": NOON,
    }
    found = Overview.model_construct(**(whole | more), now=now, before=before)
    return [each.text for each in sentences(found, period, over=over)]


def test_small_numbers_and_plurals() -> None:
    one = figures(answers=1, sentiment={"negative": 1}, negative_share=1.0, votes={"good": 0, "bad": 1, "none": 0})
    one = one.model_copy(update={"rated": 1, "average_rating": 2.0, "selected": 1})
    assert said(one, figures()) == [
        "One customer answered.",
        "The one who wrote was unhappy.",
        "One vote: 0 for “Good” and 1 for “Bad”.",
        "One customer gave a rating, 2.0 of 5.",
        "One answer asked for a ticket.",
    ]
    two = figures(answers=2, selected=2, tickets=TicketFigures(looked_at=2, opened=2, solved=1), negative_share=None)
    assert said(two, one, over=False) == [
        "2 customers have answered so far, 1 more than the day before up to this time.",
        "Nobody wrote words that could be read.",
        "Nobody voted.",
        "2 answers asked for a ticket (1 before).",
        "2 have a ticket by now, and 1 is solved.",
    ]
    happy = figures(answers=2, sentiment={"positive": 2}, negative_share=0.0)
    assert said(happy, two, period="week")[:2] == [
        "2 customers answered, as many as the week before.",
        "Of the 2 who wrote, none was unhappy. That is too few to speak of shares.",
    ]
    assert said(happy, figures(answers=1_004))[0] == "2 customers answered, 1,002 fewer than the day before."
    assert "No answer asked for a ticket." in said(happy, figures())
    many = {"sentiment": {"negative": 250, "positive": 750}, "negative_share": 0.25, "answers": 1000}
    assert said(figures(**many), figures(**many))[1] == "25 % of those who wrote were unhappy (25 % before)."
    reasons = {Reason.TEXT: 1, Reason.REVIEW: 0}
    assert said(one, figures(), reasons=reasons)[4] == "One answer asked for a ticket."


def test_votes_are_all_told() -> None:
    """Those for an option that the survey has no more, and those for options that are called the same, too."""
    now = figures(answers=6, votes={"good": 1, "bad": 2, "poor": 3, "none": 0})
    assert "6 votes: 1 for “Good”, 2 for “Bad” and 3 for “poor”." in said(now, figures())
    alike = tuple(each.model_copy(update={"label": "So"}) for each in DEFAULT_SURVEY.options)
    now = figures(answers=3, votes={"good": 1, "bad": 2, "none": 0})
    assert "3 votes: 1 for “So” and 2 for “So”." in said(now, figures(), options=alike)


def test_durations_and_shares() -> None:
    shown = [duration(each) for each in (0.2, 1, 30, 89, 90, 3600, 5400, 86_400, 129_600, 200_000)]
    assert shown == [
        "less than a second",
        "1 second",
        "30 seconds",
        "89 seconds",
        "2 minutes",
        "60 minutes",
        "2 hours",
        "24 hours",
        "2 days",
        "2 days",
    ]
    assert [percent(each) for each in (None, 0, 0.001, 0.31, 0.999, 1)] == [
        "–",
        "0 %",
        "< 1 %",
        "31 %",
        "> 99 %",
        "100 %",
    ]


def test_days_and_weeks_are_local() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # Monday already in Berlin

    def days(**asked: Any) -> tuple[date, date]:
        made = period_of(DigestAsked.model_validate(asked), late)
        return made.first, made.last

    assert days() == (date(2026, 2, 28), date(2026, 2, 28))
    assert days(tz="Europe/Berlin") == (date(2026, 3, 1), date(2026, 3, 1))
    assert days(period="week") == (date(2026, 2, 16), date(2026, 2, 22))
    assert days(period="week", tz="Europe/Berlin") == (date(2026, 2, 23), date(2026, 3, 1))
    assert days(period="week", date="2026-01-01") == (date(2025, 12, 29), date(2026, 1, 4))


REFUSED: tuple[dict[str, str], ...] = (
    {"date": "tomorrow"},
    {"date": "1999-12-31"},
    {"date": "0001-01-01", "period": "week"},
    {"date": "9999-12-31", "period": "week", "tz": "America/Lima"},
    {"tz": "Mars/Base"},
    {"period": "month"},
    {"days": "1"},
)


def test_what_cannot_be_asked_for(http: httpx.Client) -> None:
    for params in REFUSED:
        refused = http.get(DIGEST, params=params)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json"), params
        page = http.get("/digest", params=params, headers={"Accept": "text/html"})
        assert page.status_code == 422
        assert refused.json()["detail"].split(": ")[-1][:20] in html.unescape(page.text)


def test_the_first_and_last_days_have_nothing_beyond(http: httpx.Client) -> None:
    assert ask(http, date="2000-01-02")["earlier"] is None
    assert ask(http, date="2199-12-30")["later"] is None
    assert ask(http, date="2000-01-05", period="week")["earlier"] is None


def test_who_sees_one_survey(http: httpx.Client, engine: sa.Engine) -> None:
    assert http.get("/digest?survey=nothing").status_code == 404
    options = [{"key": "good", "label": "a"}, {"key": "bad", "label": "b"}]
    second = Survey.model_validate({"slug": "second", "question": "Well?", "options": options})
    with engine.begin() as connection:
        surveys.save(connection, "tests", second)
        people.add(connection, "tests", "few", Role.VIEWER, ["second"], passwords.hash_of("their-password"))
    with httpx.Client(base_url=http.base_url) as few:
        few.post("/login", data={"name": "few", "password": "their-password"})
        assert few.get(DIGEST).status_code == few.get("/digest?survey=default").status_code == 404
        theirs = few.get("/digest").text
        assert "Well?" in theirs
        assert "How was your experience" not in theirs
