"""`heed demo`: a year of made-up answers by the worker's own ways. The books balance at every moment, the desk hears of
nothing, twice is once, and nothing is left of it.
"""

import os
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served, wait_for
from results_data import answer, erase

from api.results.app import create_app
from heed import books
from heed.contracts import DEFAULT_SURVEY, MADE_UP, Judge, Label, Role, StreamEntry, Submission, new_id, received_at
from heed.db import made_up, people, surveys, verdicts
from heed.db import tables as t
from heed.errors import HeedError
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue
from ticketing.handler import _answer  # what ticketing would read, should it ever be asked
from worker.demo import fill as filling
from worker.demo.fill import Demo
from worker.demo.story import ANGRY, MOODS, SPELLS, Year, texts
from worker.handler import Handler
from worker.learning.verdicts import rated
from worker.sentiment.vader import VaderScorer

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
RUN = "from heed import cli; from worker.demo.cli import demo; cli.app.command('demo')(demo); cli.main()"


@pytest.fixture
def demo(engine: sa.Engine) -> Demo:
    return Demo(engine, VaderScorer())


def make(demo: Demo, answers: int = 1_200, now: datetime = NOW) -> int:
    return sum(demo.fill(demo.begin(now, answers)))


def command(settings: Settings, *arguments: str) -> tuple[list[str], dict[str, str]]:
    own = {"HEED_DATABASE_URL": settings.need("database_url"), "HEED_HOME": "/nowhere", "HEED_SCORER": "vader"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEED_")}
    return [sys.executable, "-c", RUN, "demo", *arguments], clean | own


def heed(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(settings, *arguments)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)


def count(engine: sa.Engine, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()


def everything(engine: sa.Engine) -> dict[str, list[Any]]:
    """All rows of all tables but the audit, which forgets nothing."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in t.metadata.sorted_tables
            if table.name != "audit"
        }


def assert_balanced(engine: sa.Engine, settings: Settings, stored: int) -> books.Books:
    taken = books.take(engine, Queue.connect(settings))
    assert taken.balanced, taken
    assert taken.stored == stored
    assert books.astray(engine) == []
    found = books.difference(engine, Queue.connect(settings))
    assert (found.lost, found.earlier) == (0, 0)
    return taken


def assert_counts(engine: sa.Engine) -> None:
    """The counts are what a recount gives."""
    with engine.connect() as connection:
        fresh: Counter[Any] = Counter()
        chosen: Counter[Any] = Counter()
        for row in connection.execute(sa.select(t.feedback)):
            hour = received_at(row.id).replace(minute=0, second=0, microsecond=0)
            for grain, at in (("hour", hour), ("day", hour.replace(hour=0))):
                fresh[row.survey, grain, at, row.vote or "", row.rating or 0, row.label] += 1
                chosen[row.survey, grain, at, row.vote or "", row.rating or 0, row.label] += row.selected
        query = sa.select(t.rollup).where(t.rollup.c.grain != "total", t.rollup.c.answers > 0)
        for row in connection.execute(query):
            assert fresh.pop(tuple(row)[:6]) == row.answers
            assert chosen[tuple(row)[:6]] == row.selected
        assert not fresh
        states = (
            sa.select(t.feedback.c.survey, t.tickets.c.state, sa.func.count())
            .join(t.tickets)
            .group_by("survey", "state")
        )
        counts = sa.select(t.ticket_counts).where(t.ticket_counts.c.tickets > 0)
        assert sorted(map(tuple, connection.execute(states))) == sorted(map(tuple, connection.execute(counts)))


def test_a_year(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    assert make(demo) == 1_200
    taken = assert_balanced(engine, settings, 1_200)
    assert (taken.accepted, taken.in_flight, taken.failed, taken.queued) == (1_200, 0, 0, 0)
    assert taken.selected == taken.ticketed > 150
    assert_counts(engine)
    assert count(engine, t.outbox) == 0
    assert count(engine, t.tickets, t.tickets.c.desk_id.is_not(None)) == 0
    with engine.connect() as connection:
        rows = connection.execute(sa.select(t.feedback).order_by(t.feedback.c.id)).all()
        ledger = {row.feedback_id: row for row in connection.execute(sa.select(t.tickets))}
        judged = connection.execute(sa.select(t.verdicts)).all()
    assert {row.source for row in rows} == {MADE_UP}
    assert all(NOW - timedelta(days=365) <= received_at(row.id) == row.received_at <= NOW for row in rows)
    assert {row.received_at.month for row in rows} == set(range(1, 13))
    assert len({row.context["language"] for row in rows}) == 7
    assert {each for row in rows for each in row.reasons} >= {"text", "option", "rating", "contact"}
    by_id = {row.id: row for row in rows}
    assert set(ledger) == {row.id for row in rows if row.selected}
    for each, ticket in ledger.items():
        assert by_id[each].received_at < ticket.opened_at <= NOW
        assert (ticket.state == "solved") is (ticket.solved_at is not None)
        assert ticket.solved_at is None or ticket.opened_at < ticket.solved_at <= NOW
    assert len(judged) > 20
    assert all(by_id[each.feedback_id].received_at < each.at <= NOW for each in judged)
    waiting = [row for row in rows if row.queued]
    assert all(NOW - row.received_at <= timedelta(days=filling.ASKED_DAYS) for row in waiting)


def test_the_story_shows() -> None:
    """More are unhappy while things go wrong, by day and week there is a rhythm, and it is the same each time."""
    year = Year(NOW, 8_000, "demo")
    made = [year.answer(number) for number in range(8_000)]
    assert [each.at for each in made] == sorted(each.at for each in made)
    assert len({each.entry.id for each in made}) == len({each.entry.client for each in made}) == 8_000
    assert [Year(NOW, 8_000, "demo").answer(number) for number in (0, 4_711, 7_999)] == [
        made[n] for n in (0, 4_711, 7_999)
    ]

    def share(begins: float, ends: float) -> float:
        then = [each.unhappy for each in made if ends < (NOW - each.at) / timedelta(days=1) <= begins]
        return sum(then) / len(then)

    for spell in SPELLS:
        assert share(spell.begins, spell.ends) > 2 * share(365, 100)
    assert 0.1 < share(365, 100) < 0.35
    for each in made:  # none that a customer could not have sent
        given = each.entry.model_dump(include={"vote", "rating", "comment", "contact", "context"})
        Submission.model_validate(given)
    hours = Counter(each.at.hour for each in made)
    assert hours[19] > 4 * hours[3] > 0
    days = Counter(each.at.weekday() for each in made)
    assert days[0] > 1.3 * days[5]
    assert 1_000 < sum(not each.entry.comment for each in made) < 4_000
    assert all(each.entry.contact is None or each.entry.contact.email.endswith("@example.com") for each in made)


def test_the_texts() -> None:
    found = texts()
    assert {mood for _language, mood in found} == set(MOODS)
    assert sum(map(len, found.values())) >= 150
    said = [text for each in found.values() for _topic, text in each]
    assert len(said) == len(set(said))
    for (_language, mood), lines in found.items():
        for topic, text in lines:
            assert text.format(item="kettle", days=3, hours=4)
            assert topic in {"delivery", "product", "service", "app", "price", "returns", "general"}
            assert not any(character.isdigit() for character in text)
            assert mood != ANGRY or len(text) > 8


def test_twice_and_by_two_at_once(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    filled = demo.begin(NOW, 1_200)
    other = Demo(engine, VaderScorer())
    again = other.begin(NOW + timedelta(days=1), 99)  # finds what is there, and goes on with that
    assert again == filled
    first, second = demo.fill(filled), other.fill(again)
    steps = [next(first), next(second), *first, *second]
    assert (sum(steps), min(steps) > 0) == (1_200, True)  # nothing is done twice, not even in vain
    before = everything(engine)
    assert make(demo, 1_200, NOW + timedelta(days=40)) == 0
    assert everything(engine) == before
    assert_balanced(engine, settings, 1_200)


def test_all_of_it_goes_and_the_rest_stays(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    queue, worker = Queue.connect(settings), Handler(engine, VaderScorer(), settings.failure_limit)
    for _ in range(5):
        entry = StreamEntry(id=new_id(), survey="default", client=new_id().hex, vote="bad", comment="Late again")
        queue.redis.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
    deliveries = queue.read("test", 100, 0.05)
    worker.keep(worker.assess(deliveries))
    queue.done(deliveries)
    before = everything(engine)
    make(demo)
    assert_balanced(engine, settings, 1_205)
    with engine.connect() as connection:  # somebody tries what a customer can do
        some = connection.execute(sa.select(t.feedback.c.id).where(t.feedback.c.survey == "demo").limit(1)).scalar_one()
    erase(engine, some)
    assert demo.remove() == 1_200
    assert everything(engine) == before
    assert assert_balanced(engine, settings, 5).settlements == []
    assert demo.remove() is None
    assert make(demo, 600) == 600  # and again, from the beginning
    assert_balanced(engine, settings, 605)
    with engine.connect() as connection:
        noted = connection.execute(
            sa.select(t.audit.c.actor, t.audit.c.action, t.audit.c.detail)
            .where(t.audit.c.action.startswith("demo"))
            .order_by(t.audit.c.id)
        )
        assert [tuple(each) for each in noted] == [
            ("command line", "demo-made", {"answers": 1_200}),
            ("command line", "demo-removed", {"answers": 1_200}),
            ("command line", "demo-made", {"answers": 600}),
        ]


def test_who_was_let_see_it_sees_no_other_of_that_name(engine: sa.Engine, demo: Demo) -> None:
    make(demo, 100)
    with engine.begin() as connection:
        for name, only in (("ann", ["default", "demo"]), ("bob", ["demo"]), ("cid", None)):
            people.add(connection, "tests", name, Role.VIEWER, only, "hash")
    demo.remove()
    with engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update={"slug": "demo"}), new=True)
        seen = {each.name: each.surveys for each in people.every(connection) if not each.built_in}
        noted = connection.execute(
            sa.select(t.audit.c.object, t.audit.c.detail["surveys"])
            .where(t.audit.c.action == "person-changed")
            .order_by(t.audit.c.id)
        ).all()
    assert seen == {"ann": ("default",), "bob": (), "cid": None}
    assert [tuple(each) for each in noted] == [("ann", ["default"]), ("bob", [])]


def test_an_answer_from_elsewhere_stays(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    """Somebody opened the survey and a customer answered: that was accepted, and is in the books."""
    make(demo, 600)
    queue, worker = Queue.connect(settings), Handler(engine, VaderScorer(), settings.failure_limit)
    entry = StreamEntry(id=new_id(), survey="demo", client=new_id().hex, vote="bad", comment="A real one")
    queue.redis.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
    deliveries = queue.read("test", 100, 0.05)
    worker.keep(worker.assess(deliveries))
    queue.done(deliveries)
    assert_balanced(engine, settings, 601)
    assert demo.remove() == 600
    taken = assert_balanced(engine, settings, 1)
    assert (taken.accepted, taken.selected, taken.in_flight) == (1, 1, 1)
    assert_counts(engine)
    assert count(engine, t.feedback) == 1
    with pytest.raises(HeedError, match="did not make"):  # it is theirs now
        demo.begin(NOW, 600)


def test_a_survey_of_that_name_is_left_alone(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    with engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update={"slug": "demo"}))
    before = everything(engine)
    with pytest.raises(HeedError, match="did not make"):
        demo.begin(NOW, 100)
    assert demo.remove() is None
    assert everything(engine) == before
    told = heed(settings)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("heed: There is a survey `demo` already")


def test_no_desk_hears_of_a_verdict_either(engine: sa.Engine, settings: Settings, demo: Demo) -> None:
    make(demo, 600)
    with engine.begin() as connection:
        missed = connection.execute(
            sa.select(t.feedback.c.id).where(~t.feedback.c.selected).order_by(t.feedback.c.id.desc()).limit(3)
        ).scalars()
        for each in list(missed):
            assert verdicts.say(connection, each, True, Judge.MANAGER).selected
            assert _answer(connection, each) is not None
    assert count(engine, t.outbox) == 0
    assert_balanced(engine, settings, 600)
    assert_counts(engine)
    real = answer(engine, "Hm.", vote="good", label=Label.NEGATIVE, p_negative=0.5)
    with engine.begin() as connection:
        verdicts.say(connection, real, True, Judge.MANAGER)
    assert count(engine, t.outbox) == 1


def test_no_model_learns_from_it(engine: sa.Engine, demo: Demo) -> None:
    make(demo, 600)
    assert count(engine, t.verdicts) > 20
    assert rated(engine).rows == []
    real = [answer(engine, "It broke.", label=Label.NEGATIVE, p_negative=0.5) for _ in range(10)]
    with engine.begin() as connection:
        for each in real:
            verdicts.say(connection, each, True, Judge.MANAGER)
    assert {row.text for row in rated(engine).rows} == {"It broke."}


def test_killed_in_the_middle_and_run_again(engine: sa.Engine, settings: Settings) -> None:
    line, environment = command(settings, "--answers", "6000")
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: count(engine, t.feedback), 60, "the first answers")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    there = count(engine, t.feedback)
    assert 0 < there < 6_000, "it was not killed in the middle"
    assert_balanced(engine, settings, there)
    ended = heed(settings, "--answers", "6000")
    assert ended.returncode == 0, ended.stderr
    assert f"{6_000 - there:,} made-up answers are in the survey `demo`: http://127.0.0.1:5001/s/demo" in ended.stdout
    assert_balanced(engine, settings, 6_000)
    again = heed(settings)
    assert "is there already, with 6,000 made-up answers" in again.stdout
    assert "nothing is added" in again.stdout
    assert count(engine, t.feedback) == 6_000
    assert "6,000 made-up answers are gone" in heed(settings, "--remove").stdout
    assert_balanced(engine, settings, 0)
    assert "nothing is removed" in heed(settings, "--remove").stdout
    assert heed(settings, "--answers", "0").returncode == 2


def test_the_command_is_one_of_heed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["heed.commands"]["demo"] == "worker.demo.cli:demo"


def test_its_pages_say_so(engine: sa.Engine, settings: Settings, demo: Demo, serve: Callable[[Any], Served]) -> None:
    make(demo, 100)
    site = serve(create_app(settings)).url
    notice = "made up"
    with engine.begin() as connection:
        connection.execute(sa.update(t.feedback).values(queued=True))
    with httpx.Client(base_url=site, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30) as http:
        with engine.connect() as connection:
            one = connection.execute(sa.select(t.feedback.c.id).limit(1)).scalar_one()
        for path in ("/s/demo", "/attention?survey=demo", "/review?survey=demo", f"/feedback/{one}"):
            assert notice in http.get(path).text, path
        assert "First steps" not in http.get("/s/demo").text  # nobody can answer it
        for path in ("/", "/attention", "/audit", "/s/default"):
            assert notice not in http.get(path).text, path
        assert http.get(f"/api/v1/feedback/{one}").json()["source"] == "demo"
        assert http.get("/api/v1/attention?survey=demo").json()["review"]["count"] > 90  # to try it with
        assert http.get("/api/v1/attention").json()["elsewhere"] == []  # and no work for anybody elsewhere
        year = f"from={NOW - timedelta(days=365):%Y-%m-%d}&to={NOW:%Y-%m-%d}"
        found = http.get(f"/api/v1/surveys/demo/overview?{year}").json()["now"]
        # They have their tickets, though no desk has a number for one.
        assert found["tickets"]["opened"] == found["selected"] > 0
    demo.remove()
    with engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update={"slug": "demo"}))
    with httpx.Client(base_url=serve(create_app(settings)).url, headers={"Authorization": f"Bearer {API_KEY}"}) as http:
        assert notice not in http.get("/s/demo").text
    assert made_up.SLUG == "demo"
