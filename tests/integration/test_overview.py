"""The overview: buckets in any zone against a count by hand, the period before, tickets, words, bounds and rights."""

import random
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served
from results_data import answer

from api.results import overview, period
from api.results.app import create_app
from api.results.overview_models import Asked, Overview
from api.results.recent import RecentBy
from api.results.telling import Spoken, most_telling, word_of
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, Contact, Driver, Label, Role, Survey, TicketState
from heed.db import ledger, outbox, people, surveys
from heed.db.tables import feedback, ticket_counts, tickets
from heed.settings import Settings
from heed.web.problems import Problem

OVERVIEW = "/api/v1/surveys/default/overview"
KEY = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, headers=KEY) as client:
        yield client


def ask(http: httpx.Client, **params: str) -> Any:
    found = http.get(OVERVIEW, params=params)
    assert found.status_code == 200, found.text
    return found.json()


def local(received: datetime, zone: ZoneInfo, group: str) -> date | datetime:
    """Where an answer belongs: by the local time of the hour (UTC) in which it was received."""
    hour = received.replace(minute=0, second=0, microsecond=0)
    at = hour.astimezone(zone)
    day = at.date()
    if group == "hour":
        return hour
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[group]


@pytest.mark.parametrize(
    ("zone", "first", "last", "group"),
    [
        ("UTC", "2026-01-28", "2026-03-03", "day"),
        ("Europe/Berlin", "2026-03-28", "2026-03-30", "hour"),  # 23 hours on the 29th
        ("Europe/Berlin", "2026-10-20", "2026-10-31", "day"),  # 25 hours on the 25th
        ("America/New_York", "2026-10-29", "2026-11-20", "week"),
        ("Asia/Kolkata", "2026-05-01", "2026-05-05", "day"),  # half an hour off
        ("Pacific/Auckland", "2026-03-30", "2026-04-08", "day"),
        ("Africa/Cairo", "2026-04-20", "2026-05-04", "day"),  # the clock goes forward at midnight
        ("America/Havana", "2026-10-28", "2026-11-05", "day"),  # midnight comes twice
        ("Europe/Berlin", "2025-12-01", "2026-12-01", "month"),
    ],
)
def test_buckets_hold_what_a_count_by_hand_does(
    http: httpx.Client, engine: sa.Engine, zone: str, first: str, last: str, group: str
) -> None:
    clock, chance = ZoneInfo(zone), random.Random(f"{zone} {group}")
    since = datetime.combine(date.fromisoformat(first), datetime.min.time(), clock).astimezone(UTC)
    until = datetime.combine(date.fromisoformat(last), datetime.min.time(), clock).astimezone(UTC) + timedelta(days=1)
    labels = [*Label]
    for _ in range(60):  # some around each end, where it matters whether they are in it
        at = chance.choice([since, until, since + (until - since) * chance.random()])
        at += timedelta(minutes=chance.uniform(-90, 90))
        answer(
            engine,
            vote=chance.choice([None, "good", "bad"]),
            rating=chance.choice([None, 1, 4]),
            label=chance.choice(labels),
            p_negative=0.5,
            at=at,
        )
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(feedback.c.received_at, feedback.c.label, feedback.c.vote, feedback.c.rating)
        )
        everything = rows.all()
    days = range((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
    wanted = {date.fromisoformat(first) + timedelta(days=day) for day in days}
    inside = [row for row in everything if local(row.received_at, clock, "day") in wanted]
    by_hand = Counter((local(row.received_at, clock, group), row.label) for row in inside)

    found = ask(http, tz=zone, group=group, **{"from": first, "to": last})
    starts = [datetime.fromisoformat(bucket["at"]) for bucket in found["buckets"]]
    assert starts == sorted(set(starts))
    counted: Counter[Any] = Counter()
    for start, bucket in zip(starts, found["buckets"], strict=True):
        assert start.utcoffset() == start.astimezone(clock).utcoffset()
        for label in labels:
            counted[local(start.astimezone(UTC), clock, group), label] += bucket[label]
        assert bucket["answers"] == sum(bucket[label] for label in labels) == sum(bucket["votes"].values())
    assert +counted == by_hand
    assert 20 < len(inside) < 60, "the data must lie on both sides of both ends"
    figures = found["now"]
    assert figures["answers"] == len(inside)
    assert figures["votes"] == {
        kind: len([row for row in inside if (row.vote or "none") == kind]) for kind in ("good", "bad", "none")
    }
    assert figures["average_rating"] == pytest.approx(statistics.mean(row.rating for row in inside if row.rating))


def test_days_and_hours_as_the_clocks_show_them() -> None:
    at = datetime(2026, 6, 10, 12, 20, tzinfo=UTC)

    def lengths(first: str, last: str, zone: str) -> list[float]:
        made = period.of_days(date.fromisoformat(first), date.fromisoformat(last), "day", zone, at)
        ends = [*made.starts[1:], made.now.until]
        return [(end - start) / timedelta(hours=1) for start, end in zip(made.starts, ends, strict=True)]

    assert lengths("2026-03-28", "2026-03-30", "Europe/Berlin") == [24, 23, 24]
    assert lengths("2026-10-24", "2026-10-26", "Europe/Berlin") == [24, 25, 24]
    assert lengths("2011-12-29", "2011-12-31", "Pacific/Apia") == [24, 24]  # the 30th never was
    hours = period.of_days(date(2026, 10, 25), date(2026, 10, 25), "hour", "Europe/Berlin", at)
    assert len(hours.starts) == 25
    assert [hours.local(start).hour for start in hours.starts[1:5]] == [1, 2, 2, 3]


def test_a_period_is_compared_with_as_much_of_the_one_before() -> None:
    at = datetime(2026, 6, 10, 12, 20, tzinfo=UTC)  # a Wednesday
    week = period.of_preset("7d", None, "Europe/Berlin", at)
    assert (week.first, week.last, week.group) == (date(2026, 6, 4), date(2026, 6, 10), "day")
    assert week.now.until == datetime(2026, 6, 10, 22, tzinfo=UTC)
    assert week.before.since == week.now.since - timedelta(days=7)
    assert week.before.until == datetime(2026, 6, 3, 13, tzinfo=UTC)  # the hour that runs is counted, too
    past = period.of_days(date(2026, 5, 4), date(2026, 5, 10), None, "Europe/Berlin", at)
    assert (past.before.since, past.before.until) == (past.now.since - timedelta(days=7), past.now.since)
    year = period.of_preset("12m", None, "UTC", at)
    assert (year.first, year.last, len(year.starts)) == (date(2025, 7, 1), date(2026, 6, 30), 12)
    assert year.before.since == datetime(2024, 7, 1, tzinfo=UTC)
    hours = period.of_preset("24h", None, "Asia/Kolkata", at)
    assert (hours.now.since, hours.now.until) == (
        datetime(2026, 6, 9, 13, tzinfo=UTC),
        datetime(2026, 6, 10, 13, tzinfo=UTC),
    )
    assert len(hours.starts) == 24
    for preset in period.PRESETS:
        for group in period.GROUPS:
            if (preset, group) in (("90d", "hour"), ("12m", "hour")):
                with pytest.raises(Problem, match="at most 750 can be shown"):
                    period.of_preset(preset, group, "UTC", at)
            else:
                made = period.of_preset(preset, group, "Australia/Lord_Howe", at)
                assert made.starts[0] == made.now.since < at < made.now.until
                assert made.before.since < made.before.until <= made.now.since


REFUSED = (
    ({"tz": "Europe/Atlantis"}, "there is no such time zone"),
    ({"tz": "../../etc/passwd"}, "there is no such time zone"),
    ({"tz": "Europe"}, "there is no such time zone"),
    ({"period": "90d", "group": "hour"}, "at most 750"),
    ({"from": "2026-01-01", "to": "2027-03-01"}, "at most 400"),
    ({"from": "2026-02-01", "to": "2026-01-01"}, "ends before it begins"),
    ({"from": "2026-02-01"}, "needs both"),
    ({"from": "2026-02-01", "to": "2026-02-02", "period": "7d"}, "not both"),
    ({"from": "0001-01-01", "to": "0001-01-02", "tz": "Asia/Tokyo"}, "can be from 2000"),
    ({"from": "9999-12-31", "to": "9999-12-31", "tz": "America/Lima"}, "can be from 2000"),
    ({"from": "yesterday", "to": "2026-02-02"}, "date"),
    ({"period": "1d"}, "24h"),
    ({"group": "minute"}, "hour"),
    ({"zone": "UTC"}, "not permitted"),
)


def test_what_cannot_be_asked_for_is_refused_with_a_reason(http: httpx.Client) -> None:
    for params, said in REFUSED:
        refused = http.get(OVERVIEW, params=params)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json"), params
        assert said in refused.json()["detail"], params


def test_a_survey_that_there_is_not(http: httpx.Client) -> None:
    assert http.get("/api/v1/surveys/nothing/overview").status_code == 404
    assert http.get("/api/v1/surveys/No!/overview").status_code == 422


def open_ticket(
    engine: sa.Engine, answer_id: UUID, opened_at: datetime, solved_at: datetime | None, desk_id: int
) -> None:
    state = TicketState.SOLVED if solved_at else TicketState.OPENED
    with engine.begin() as connection:
        row = {"feedback_id": answer_id, "state": state, "attempts": 1, "first_attempt_at": opened_at}
        times = {"opened_at": opened_at, "solved_at": solved_at}
        connection.execute(sa.insert(tickets).values(**row, **times, desk_id=desk_id, desk_status="open"))
        outbox.close(connection, answer_id)


def test_tickets_reasons_and_what_waits(http: httpx.Client, engine: sa.Engine) -> None:
    empty = ask(http)
    assert (empty["now"]["answers"], empty["now"]["negative_share"], empty["words"]) == (0, None, [])
    assert (empty["oldest_waiting_seconds"], empty["open_tickets"]) == (None, 0)
    assert empty["now"]["tickets"]["seconds_to_ticket"] is None

    now = datetime.now(UTC)
    read: dict[str, Any] = {"label": Label.NEGATIVE, "p_negative": 0.9}
    made = [now - timedelta(days=2, minutes=10 * number) for number in range(5)]
    ids = [answer(engine, "Bad.", vote="bad", at=at, **read) for at in made]
    waits = answer(engine, "Call me.", at=now - timedelta(hours=5), contact=Contact(email="a@b.example", reply=True))
    answer(engine, "Fine.", label=Label.POSITIVE, p_negative=0.1, at=now - timedelta(days=1))
    earlier = answer(engine, "Bad, too.", rating=1, at=now - timedelta(days=9), **read)
    for number, (answer_id, at) in enumerate(zip(ids[:4], made, strict=False)):
        opened = at + timedelta(seconds=10 * number + 10)
        open_ticket(engine, answer_id, opened, at + timedelta(hours=number + 1) if number < 3 else None, number + 1)
    open_ticket(engine, earlier, now - timedelta(days=8), None, 9)
    with engine.begin() as connection:
        counts = [{"survey": "default", "state": TicketState.OPENED, "tickets": 2}]
        connection.execute(sa.insert(ticket_counts), counts)
    found = ask(http, period="7d")
    assert (found["now"]["answers"], found["now"]["selected"]) == (7, 6)
    assert found["now"]["negative_share"] == pytest.approx(5 / 6)  # the words of one could not be read
    assert found["now"]["tickets"] == {
        "looked_at": 6,
        "opened": 4,
        "solved": 3,
        "seconds_to_ticket": pytest.approx(25, abs=0.01),
        "seconds_to_solution": pytest.approx(7200, abs=0.01),
    }
    assert found["reasons"] == {"text": 5, "option": 5, "rating": 0, "contact": 1, "review": 0}
    assert found["before"]["tickets"]["opened"] == found["before"]["answers"] == 1
    assert found["open_tickets"] == 2
    with engine.connect() as connection:
        oldest = connection.execute(sa.text("SELECT min(feedback_id::text) FROM outbox")).scalar_one()
    assert oldest == str(ids[4]) != str(waits)
    assert found["oldest_waiting_seconds"] == pytest.approx((now - made[4]).total_seconds(), abs=30)
    assert found["oldest_queued_seconds"] == 0  # an admin's key may see the books


def test_made_up_tickets_count_as_they_would_have_been(http: httpx.Client, engine: sa.Engine) -> None:
    opened = datetime.now(UTC)
    made = answer(engine, "Bad.", vote="bad", at=opened - timedelta(minutes=1))
    with engine.begin() as connection:
        ledger.pretend(connection, [ledger.Pretended(made, "default", opened, opened + timedelta(minutes=1))])
    found = ask(http, period="7d")["now"]["tickets"]
    assert (found["looked_at"], found["opened"], found["solved"]) == (1, 1, 1)


def test_what_many_complain_about_elsewhere_hides_no_ticket(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of the newest are looked at; those of another, busier survey do not stand in for a survey's own."""
    now = datetime.now(UTC)
    own = answer(engine, "Bad.", vote="bad", at=now - timedelta(minutes=9))
    others = [answer(engine, "Bad.", vote="bad", at=now - timedelta(minutes=number)) for number in range(3)]
    open_ticket(engine, own, now, None, 1)
    with engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update={"slug": "busy"}), new=True)
        connection.execute(sa.update(feedback).where(feedback.c.id.in_(others)).values(survey="busy"))
    monkeypatch.setattr(overview, "SELECTED_MOST", 2)
    with engine.begin() as connection:
        found = overview.load(connection, "default", period.of_preset("24h", None, "UTC", now), now)
    assert (found.now.tickets.looked_at, found.now.tickets.opened, found.reasons["option"]) == (1, 1, 1)


def test_costs_have_a_bound(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many answers there are, only so many are looked at, and the rest comes from the rollup."""
    now = datetime.now(UTC)
    for number in range(6):
        drivers = [Driver("slow", 0, 4, -0.5)]
        read: dict[str, Any] = {"label": Label.NEGATIVE, "p_negative": 0.9, "score": -1.0, "drivers": drivers}
        answer(engine, "slow", at=now - timedelta(minutes=number), **read)
    monkeypatch.setattr(overview, "SELECTED_MOST", 4)
    monkeypatch.setattr(overview, "NEGATIVES_MOST", 3)
    with engine.begin() as connection:
        made = period.of_preset("24h", None, "UTC", now)
        found = overview.load(connection, "default", made, now)
    assert found.now.tickets.looked_at == 4
    assert (found.negatives_looked_at, found.words[0].answers) == (3, 3)
    assert (found.now.answers, found.now.selected) == (6, 6)
    with engine.connect() as connection:  # the newest negatives are found by the index, not by going through all
        connection.execute(sa.text("SET enable_seqscan = off"))
        about = {
            "survey": "default",
            "label": "negative",
            "first": UUID(int=0),
            "last": UUID(int=2**128 - 1),
            "most": 3,
        }
        plan = "\n".join(connection.execute(sa.text(f"EXPLAIN {overview._SPOKEN.text}"), about).scalars())
        assert "ix_feedback_survey_label_id" in plan
        plan = "\n".join(connection.execute(sa.text(f"EXPLAIN {overview._SELECTED.text}"), about).scalars())
        assert "ix_feedback_selected_id" in plan


def test_telling_words(http: httpx.Client, engine: sa.Engine) -> None:
    now = datetime.now(UTC)

    def said(at: datetime, *drivers: Driver, label: Label = Label.NEGATIVE) -> None:
        read: dict[str, Any] = {"score": -1.0, "drivers": drivers}
        answer(engine, "words", label=label, p_negative=0.9, at=at, **read)

    base = Driver("base", None, None, -0.3)
    for _ in range(3):
        said(now, base, Driver("VADER", 0, 5, -0.9), Driver("slow", 0, 4, -0.5), Driver("the slow", 0, 4, -0.25))
    for _ in range(4):
        said(now, Driver("~work", 0, 4, -0.4), Driver("have to", 0, 4, -0.4), Driver("0 weeks", 0, 4, -0.2))
    said(now, Driver("lovely", 0, 5, 0.5), Driver("once", 0, 4, -0.2), Driver("rare", 0, 4, -0.2))
    said(now, Driver("slow", 0, 4, -0.5), label=Label.NEUTRAL)
    said(now - timedelta(days=8), Driver("slow", 0, 4, -0.1))
    said(now - timedelta(days=8), base)
    found = ask(http, period="7d")
    assert found["words"] == [
        {"word": "slow", "negated": False, "answers": 3, "points": -2.25, "share": 3 / 8, "share_before": 0.5},
        {"word": "work", "negated": True, "answers": 4, "points": -1.6, "share": 0.5, "share_before": 0.0},
    ]
    assert found["negatives_looked_at"] == 8


def test_what_is_a_word() -> None:
    kept = {
        "customer service": ("customer service", False),
        "the player": ("player", False),
        "a month": ("month", False),
        "~work": ("work", True),
        "not worth": ("worth", True),
        "don't work": ("work", True),
    }
    assert {term: word_of(term) for term in kept} == kept
    for term in ("VADER", "have to", "0 weeks", "x 0", "~the", "not", "i could", "!!", "ok", ""):
        assert word_of(term) is None, term
    one = Spoken([[("slow", -0.1)]])
    assert [word.word for word in most_telling(one, Spoken([]))] == ["slow"]  # of few, one is something
    assert most_telling(one, Spoken([]))[0].share_before is None
    pair, alone = ("battery", -0.2), ("battery lasts", -0.3)
    assert [word.word for word in most_telling(Spoken([[pair, alone]]), one)] == ["battery lasts"]
    assert [word.word for word in most_telling(Spoken([[pair, alone], [pair]]), one)] == ["battery", "battery lasts"]
    many = Spoken([[(word, -0.1) for word in ("aba", "cac", "dad") for _ in range(9)]])
    assert {word.answers for word in most_telling(many, one)} == {1}  # said once by an answer, however often


def test_who_sees_one_survey_and_what_only_some_may_see(http: httpx.Client, engine: sa.Engine) -> None:
    options = [{"key": "good", "label": "a"}, {"key": "bad", "label": "b"}]
    second = Survey.model_validate({"slug": "second", "question": "Well?", "options": options})
    with engine.begin() as connection:
        surveys.save(connection, "tests", second)
        people.add(connection, "tests", "few", Role.MANAGER, ["second"], passwords.hash_of("their-password"))
    with httpx.Client(base_url=http.base_url) as few:
        assert few.get(OVERVIEW).status_code == 401
        few.post("/login", data={"name": "few", "password": "their-password"})
        assert few.get(OVERVIEW).status_code == 404
        theirs = few.get("/api/v1/surveys/second/overview").json()
        assert (theirs["question"], theirs["oldest_queued_seconds"]) == ("Well?", None)  # the queue is everybody's


def test_many_with_the_same_question_cost_one_answer() -> None:
    taken: list[str] = []
    started, go_on = threading.Event(), threading.Event()

    def take(question: str) -> int:
        taken.append(question)
        if question == "slow":
            started.set()
            go_on.wait(10)
        return len(taken)

    kept = RecentBy(take, seconds=60, most=2)
    assert [kept.read(each) for each in ("a", "a", "b", "a")] == [1, 1, 2, 1]
    waiting = threading.Thread(target=kept.read, args=("slow",))
    waiting.start()
    assert started.wait(10)
    assert kept.read("a") == 1  # one that hangs holds up nobody who asks something else
    go_on.set()
    waiting.join(10)
    assert kept.read("b") == 4  # forgotten, since only two are remembered
    assert RecentBy(take, seconds=60, most=2, forget=-1).read("c") == 5


def test_it_is_documented(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    listed = described["paths"]["/api/v1/surveys/{slug}/overview"]["get"]
    assert {each["name"] for each in listed["parameters"]} == {"slug", "period", "from", "to", "group", "tz"}
    assert set(described["components"]["schemas"]["Overview"]["properties"]) == set(Overview.model_fields)
    assert Asked().tz == "UTC"
