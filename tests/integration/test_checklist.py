"""The first steps: each is ticked off by its effect, and by nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served
from results_data import answer

from api.results import checklist
from api.results.app import create_app
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, MADE_UP, Context, Label, Role
from heed.db import ledger, people, surveys
from heed.db.tables import feedback
from heed.settings import Settings

SITE = "https://feedback.example"


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings.model_copy(update={"feedback_url": f"{SITE}/"}))).url


@pytest.fixture
def http(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30) as client:
        yield client


def steps(http: httpx.Client) -> tuple[bool, bool, bool]:
    found = http.get("/api/v1/checklist").json()
    assert found["done"] is (found["answered"] and found["embedded"] and found["ticketed"])
    return found["answered"], found["embedded"], found["ticketed"]


def test_each_step_by_its_effect(http: httpx.Client, engine: sa.Engine) -> None:
    found = http.get("/api/v1/checklist").json()
    assert found["new"] is True
    assert steps(http) == (False, False, False)
    assert found["form"] == f"{SITE}/"
    assert found["test"] == f"{SITE}/?vote=bad&ref=test"
    assert found["snippet"] == f'<script async src="{SITE}/widget.js" data-survey="default"></script>'

    made_up = answer(engine, vote="good", context=Context(url="https://shop.example/"))
    with engine.begin() as connection:
        connection.execute(sa.update(feedback).where(feedback.c.id == made_up).values(source=MADE_UP))
    assert steps(http) == (False, False, False)
    answer(engine, vote="good", context=Context(language="en"))
    assert steps(http) == (True, False, False)
    answer(engine, vote="good", context=Context(url=f"{SITE}/demo"))  # the feedback site's own page
    assert steps(http) == (True, False, False)
    answer(engine, vote="good", context=Context(url=f"{SITE}.shop.example/orders"))
    assert steps(http) == (True, True, False)

    unhappy = answer(engine, "It broke.", vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    with engine.begin() as connection:
        taken = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(taken, ledger.Taken)
    assert steps(http) == (True, True, False)  # only tried so far
    with engine.begin() as connection:
        assert ledger.created(connection, taken, 7)
    assert steps(http) == (True, True, True)


def test_a_system_with_many_answers_is_not_new(
    http: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checklist, "NEW_UNTIL", 3)
    for _ in range(2):
        answer(engine, vote="good")
    assert http.get("/api/v1/checklist").json()["new"] is True
    answer(engine, vote="good")
    assert http.get("/api/v1/checklist").json()["new"] is False


def test_who_sees_what(site: str, http: httpx.Client, engine: sa.Engine) -> None:
    assert http.get("/api/v1/checklist", params={"survey": "none"}).status_code == 404
    other = DEFAULT_SURVEY.model_copy(update={"slug": "other"})
    with engine.begin() as connection:
        surveys.save(connection, "tests", other)
        people.add(connection, "tests", "boss", Role.MANAGER, ["other"], passwords.hash_of("their-password"))
        people.add(connection, "tests", "ann", Role.VIEWER, None, passwords.hash_of("their-password"))
    for name, code in (("boss", 404), ("ann", 403)):
        with httpx.Client(base_url=site, timeout=30) as client:
            client.post("/login", data={"name": name, "password": "their-password"})
            assert client.get("/api/v1/checklist").status_code == code
            if name == "ann":
                assert "checklist" not in client.get("/").text
