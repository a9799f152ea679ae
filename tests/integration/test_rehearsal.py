"""Rehearsing lines: the worker's own decisions, counted; nothing changes before it is saved."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from results_data import POLICY, answer, erase

from api.results import rehearsal
from api.results.app import create_app
from heed.contracts import DEFAULT_SURVEY, Contact, Decision, Label, StreamEntry, Survey
from heed.db import surveys
from heed.db import tables as t
from heed.settings import Settings
from heed.triage import Lines
from worker.sentiment import Sentiment
from worker.triage import Triage

PATH = "/api/v1/surveys/default/rehearsal"
COMMENTS = ("", "none", "N/A.", "No comment!", "It broke.", "Es ist kaputt.", "…", "no" + " " * 90, "It works " * 30)


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, headers={"Authorization": f"Bearer {API_KEY}"}) as it:
        yield it


def some(engine: sa.Engine, dice: random.Random, seen: dict[UUID, tuple[dict[str, Any], Label, float | None]]) -> UUID:
    """An answer of any kind, as the worker stores it."""
    chance = dice.choice([None, *(round(dice.random(), 3) for _ in range(5)), 0.4, 0.65])
    label = Label.UNKNOWN if chance is None else dice.choice([Label.NEGATIVE, Label.UNKNOWN, Label.POSITIVE])
    said = {
        "vote": dice.choice([None, "good", "good", "bad"]),
        "rating": dice.choice([None, 1, 2, 3, 4, 5, 5]),
        "comment": dice.choice(COMMENTS),
        "contact": dice.choice([None, None, None, Contact(email="a@example.com", reply=True), Contact(name="A")]),
        "flags": dice.choice([(), (), (), ("fast",)]),
    }
    made = answer(engine, said.pop("comment"), label=label, p_negative=chance, **said)  # type: ignore[arg-type]
    with engine.connect() as connection:
        said["comment"] = connection.execute(
            sa.select(t.feedback.c.comment).where(t.feedback.c.id == made)
        ).scalar_one()
    seen[made] = (said, label, chance)
    return made


def by_the_worker(survey: Survey, seen: dict[UUID, tuple[dict[str, Any], Label, float | None]]) -> dict[UUID, Decision]:
    triage = Triage(POLICY, Lines(0.65, 0.4))
    return {
        each: triage.decide(
            survey,
            StreamEntry(id=each, survey="default", client="0" * 32, **said),
            Sentiment(label, 0.0, chance),
        ).decision
        for each, (said, label, chance) in seen.items()
    }


def tally(decisions: dict[UUID, Decision]) -> dict[str, int]:
    return {each.value: list(decisions.values()).count(each) for each in Decision}


def test_it_decides_as_the_worker_does(http: httpx.Client, engine: sa.Engine) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice, seen = random.Random(seed), {}  # type: ignore[var-annotated]
    for _ in range(150):
        some(engine, dice, seen)
    was = by_the_worker(DEFAULT_SURVEY, seen)
    for ticket, review in ((None, None), (0.3, 0.2), (0.9, 0.8), (0.5, 0.95), (None, 0.1), (1.0, None)):
        lines = {"threshold": ticket, "review_threshold": review}
        would = by_the_worker(DEFAULT_SURVEY.model_copy(update=lines), seen)
        asked = {name: each for name, each in (("ticket", ticket), ("review", review)) if each is not None}
        found = http.get(PATH, params=asked).json()
        assert (found["answers"], found["cut"]) == (150, False)
        assert (found["was"], found["would"]) == (tally(was), tally(would)), (ticket, review)
        new = {each for each in seen if would[each] is Decision.TICKET is not was[each]}
        gone = {each for each in seen if was[each] is Decision.TICKET is not would[each]}
        assert (found["selected"], found["dropped"]) == (len(new), len(gone))
        for name, ids in (("newly_selected", new), ("newly_dropped", gone)):
            listed = [UUID(each["id"]) for each in found[name]]
            assert set(listed) <= ids
            assert len(listed) == min(len(ids), 50)
            chances = [-1 if each["p_negative"] is None else each["p_negative"] for each in found[name]]
            assert chances == sorted(chances, reverse=True)
    assert found["model_lines"] == {"ticket": 0.65, "review": 0.4}


def test_verdicts_erasures_and_what_is_long_ago(http: httpx.Client, engine: sa.Engine) -> None:
    """Of two false alarms and a missed one, other lines get some right."""
    verdicts = {"soft": (0.7, False), "hard": (0.95, True), "quiet": (0.3, True), "calm": (0.1, False)}
    ids = {}
    for words, (chance, needs) in verdicts.items():
        ids[words] = answer(engine, f"{words} words here", label=Label.NEUTRAL, p_negative=chance)
        for said in (not needs, needs):  # the newest counts
            http.post(f"/api/v1/feedback/{ids[words]}/verdict", json={"needs_person": said})
    answer(engine, "long ago", label=Label.NEGATIVE, p_negative=0.9, at=datetime.now(UTC) - timedelta(days=31))
    gone = answer(engine, "none", vote="good", label=Label.NEGATIVE, p_negative=0.99)  # a no answer, so no ticket
    assert http.get(PATH, params={"ticket": 0.98}).json()["selected"] == 0
    erase(engine, gone)
    now = http.get(PATH).json()
    assert now["answers"] == 5
    assert now["was"] == now["would"] == {"ticket": 2, "review": 0, "nothing": 3}
    assert now["was_right"] == now["would_be_right"] == {"judged": 4, "right": 2, "missed": 1, "false_alarms": 1}
    other = http.get(PATH, params={"ticket": 0.9, "review": 0.2}).json()
    assert other["would"] == {"ticket": 1, "review": 2, "nothing": 2}, "what is erased stays as it was decided"
    assert other["would_be_right"] == {"judged": 4, "right": 4, "missed": 0, "false_alarms": 0}
    [dropped] = other["newly_dropped"]
    assert (dropped["id"], dropped["comment"]) == (str(ids["soft"]), "soft words here")


def test_the_newest_alone_when_there_are_too_many(
    http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for chance in (0.9, 0.8, 0.1):
        answer(engine, "words", label=Label.NEUTRAL, p_negative=chance)
    monkeypatch.setattr(rehearsal, "ANSWERS_MOST", 2)
    found = http.get(PATH).json()
    assert (found["answers"], found["cut"], found["was"]["ticket"]) == (2, True, 1)


def test_all_of_it_is_of_one_moment(http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken away meanwhile (made-up answers are) is told as it was when the rehearsal began."""
    gone = answer(engine, "It broke.", label=Label.NEGATIVE, p_negative=0.5)
    listed = rehearsal._listed

    def meanwhile(connection: sa.Connection, ids: list[UUID]) -> Any:
        with engine.begin() as other:
            other.execute(sa.delete(t.feedback).where(t.feedback.c.id == gone))
        return listed(connection, ids)

    monkeypatch.setattr(rehearsal, "_listed", meanwhile)
    found = http.get(PATH, params={"ticket": "0.4", "review": "0.2"})
    assert found.status_code == 200, found.text
    assert [each["id"] for each in found.json()["newly_selected"]] == [str(gone)]


def test_the_models_own_lines(http: httpx.Client, engine: sa.Engine) -> None:
    """Known by the answers to surveys that draw none; needed only where there is something to rehearse."""
    assert http.get(PATH).json()["lines"] is None
    with engine.begin() as connection:
        surveys.save(connection, "tests", DEFAULT_SURVEY.model_copy(update={"threshold": 0.9, "review_threshold": 0.8}))
    answer(engine, "words", label=Label.NEUTRAL, p_negative=0.85)
    refused = http.get(PATH, params={"ticket": 0.5})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:heed:problem:lines-unknown")
    found = http.get(PATH, params={"ticket": 0.5, "review": 0.6}).json()
    assert (found["lines"], found["model_lines"]) == ({"ticket": 0.5, "review": 0.5}, None)
    for wrong in ({"ticket": 0}, {"ticket": 1.1}, {"review": "nan"}, {"ticket": "x"}, {"tickets": 0.5}):
        assert http.get(PATH, params=wrong).status_code == 422, wrong
    assert http.get(PATH, params={"ticket": "", "review": ""}).status_code == 422, "empty is the model's own"
    assert http.get("/api/v1/surveys/nowhere/rehearsal").status_code == 404


def test_rehearsed_and_saved_without_scripts(http: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "<i>Meh</i>", label=Label.NEGATIVE, p_negative=0.5)
    with httpx.Client(base_url=http.base_url) as page:
        assert page.post("/login", data={"password": ADMIN_PASSWORD}).status_code == 303
        first = page.get("/surveys/default/rehearsal")
        assert "with 65&nbsp;% and 40&nbsp;%" in first.text
        other = page.get("/surveys/default/rehearsal", params={"ticket": "50", "review": ""})
        assert "New tickets: 1" in other.text
        assert "&lt;i&gt;Meh&lt;/i&gt;" in other.text
        assert http.get("/api/v1/surveys/default").json()["version"] == 1, "nothing is changed by looking"
        saved = page.post("/surveys/default/rehearsal", data={"version": "1", "ticket": "50", "review": ""})
        assert saved.headers["location"] == "/surveys/default?said=saved"
        survey = http.get("/api/v1/surveys/default").json()["survey"]
        assert (survey["threshold"], survey["review_threshold"], survey["version"]) == (0.5, None, 2)
        stale = page.post("/surveys/default/rehearsal", data={"version": "1", "ticket": "60", "review": ""})
        assert (stale.status_code, "saved meanwhile" in stale.text) == (409, True)
        wrong = page.get("/surveys/default/rehearsal", params={"ticket": "150"})
        assert (wrong.status_code, "at most 100 %" in wrong.text) == (422, True)
        now = page.get("/surveys/default/rehearsal")
        assert 'value="50"' in now.text, "it begins with what the survey has"
