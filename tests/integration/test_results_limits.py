"""Who is limited to some surveys finds nothing of any other, wherever they look, and changes nothing of it."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from conftest import Served
from results_data import answer

from api.results.app import create_app
from api.results.rights import RIGHTS, Level
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, Driver, Label, Role, TicketState
from heed.db import outbox, people, surveys
from heed.db.tables import audit, feedback, survey_versions, tickets, verdicts
from heed.settings import Settings

MARKER = "zebrafish"  # in whatever the other survey holds
OTHER = DEFAULT_SURVEY.model_copy(update={"slug": f"{MARKER}-shop", "question": f"How is the {MARKER}?"})
PASSWORD = "their-password"


@pytest.fixture
def theirs(engine: sa.Engine) -> UUID:
    """An answer of the other survey, whose ticket has failed and which waits for a verdict, beside one of their own."""
    answer(engine, "It is slow.", label=Label.NEGATIVE, p_negative=0.9)
    reading: dict[str, Any] = {"score": -1.0, "drivers": [Driver(MARKER, 0, 9, -0.9)]}
    found = answer(engine, f"{MARKER} is slow", vote="bad", label=Label.NEGATIVE, p_negative=0.9, **reading)
    with engine.begin() as connection:
        surveys.save(connection, "tests", OTHER, new=True)
        named = OTHER.model_copy(update={"question": f"And how is the {MARKER} now?"})
        surveys.save(connection, "tests", named)
        connection.execute(
            sa.update(feedback).where(feedback.c.id == found).values(survey=OTHER.slug, queued=True, asked=1)
        )
        failed = {"state": TicketState.FAILED, "attempts": 1, "last_error": MARKER, "first_attempt_at": sa.func.now()}
        connection.execute(sa.insert(tickets).values(feedback_id=found, **failed))
        outbox.close(connection, found)
    return found


def kept(engine: sa.Engine, found: UUID) -> list[Any]:
    about = (feedback.c.id == found, tickets.c.feedback_id == found, verdicts.c.feedback_id == found)
    with engine.connect() as connection:
        rows = [connection.execute(sa.select(each.left.table).where(each)).all() for each in about]
        versions = sa.select(survey_versions).where(survey_versions.c.survey == OTHER.slug)
        return [*rows, connection.execute(versions.order_by(survey_versions.c.version)).all()]


def addresses(path: str, found: UUID) -> Iterator[str]:
    path = path.replace("{answer_id}", str(found)).replace("{number}", "1").replace("{color}", "0b6b53")
    yield path.replace("{slug}", OTHER.slug)
    yield path.replace("{slug}", "default")
    for query in (f"survey={OTHER.slug}", f"view=survey%3D{OTHER.slug}", f"id={found}", "q=slow", f"after={found}"):
        yield f"{path.replace('{slug}', 'default')}?{query}"


def sent(path: str) -> dict[str, Any]:
    """What this address takes, about the other survey."""
    if "/api/" not in path:
        lines = {"ticket": "50", "review": "40", "version": "2"}
        return {"data": {"survey": OTHER.slug, "needs_person": "no", **lines}}
    return {"json": {"needs_person": False} if path.endswith("/verdict") else OTHER.model_dump(mode="json")}


def test_nothing_of_another_survey(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served], theirs: UUID
) -> None:
    url = serve(create_app(settings)).url
    with engine.begin() as connection:
        people.add(connection, "tests", "ann", Role.MANAGER, ["default"], passwords.hash_of(PASSWORD))
    before = kept(engine, theirs)
    asked = [
        (method, address)
        for (method, path), right in RIGHTS.items()
        if right.level in (Level.VIEWER, Level.MANAGER) and "session" not in path and path != "/logout"
        for address in addresses(path, theirs)
        if not path.endswith("/live") or address.startswith(f"/api/v1/surveys/{OTHER.slug}")  # which never ends
    ]
    own = 0
    with httpx.Client(base_url=url, timeout=20) as ann:
        assert ann.post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 303
        for method, address in asked:
            answered = ann.request(method, address, **(sent(address) if method != "GET" else {}))
            assert answered.status_code < 500, (method, address)
            # What was asked for may be told back.
            assert MARKER not in answered.text.replace(OTHER.slug, ""), (method, address)
            own += "It is slow" in answered.text
    assert own > 10, "their own survey is shown"
    assert kept(engine, theirs) == before
    with engine.connect() as connection:
        lines = connection.execute(sa.select(audit.c.object, audit.c.detail).where(audit.c.actor == "ann")).all()
    assert not [line for line in lines if OTHER.slug in str(line) or str(theirs) in line.object]


@pytest.mark.usefixtures("theirs")
def test_who_does_not_see_the_default_survey_begins_with_theirs(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    url = serve(create_app(settings)).url
    with engine.begin() as connection:
        people.add(connection, "tests", "ann", Role.MANAGER, [OTHER.slug], passwords.hash_of(PASSWORD))
    with httpx.Client(base_url=url, timeout=20) as ann:
        assert ann.post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 303
        for path in ("/", "/feedback", "/attention", "/digest", "/surveys", "/review"):
            answered = ann.get(path)
            assert (answered.status_code, OTHER.slug in answered.text) == (200, True), path
            assert DEFAULT_SURVEY.question not in answered.text, path
