"""Whatever fits or breaks the results site's OpenAPI document, whoever asks: no server error, as told, and nothing for
who may not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
import sqlalchemy as sa
from conftest import API_KEY, Served
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from results_data import answer
from schemathesis import GenerationMode

from api.results.app import create_app
from api.results.openapi import EXAMPLES
from api.results.rights import RIGHTS, Level
from heed import passwords
from heed.contracts import KeyScope, Label, Role, Survey
from heed.db import api_keys, people, surveys
from heed.db.tables import feedback
from heed.settings import Settings

TRIES, TRIES_OF_FORBIDDEN = 6, 2
# A stream that never ends: tests/integration/test_results_live.py reads it, and who may not is refused as anywhere.
ENDLESS = "/api/v1/surveys/{slug}/live"
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]


@dataclass
class Caller:
    """Somebody with some rights; `limited` sees the survey `second` alone."""

    name: str
    level: Level
    headers: dict[str, str]
    limited: bool = False


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def known(engine: sa.Engine) -> dict[str, dict[str, str]]:
    """What is there, by survey, under the names of the routes' parameters."""
    second = {
        "slug": "second",
        "question": "Well?",
        "options": [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}],
    }
    theirs = answer(engine, "mine", label=Label.NEGATIVE, p_negative=0.5)
    other = answer(engine, "It broke.", vote="bad", rating=1, label=Label.NEGATIVE, p_negative=0.9)
    with engine.begin() as connection:
        surveys.save(connection, Survey.model_validate(second))
        connection.execute(sa.update(feedback).where(feedback.c.id == theirs).values(survey="second"))
    return {
        "second": {"slug": "second", "answer_id": str(theirs), "name": "few"},
        "default": {"slug": "default", "answer_id": str(other), "name": "admin"},
    }


@pytest.fixture
def callers(site: str, engine: sa.Engine, known: Any) -> list[Caller]:
    with engine.begin() as connection:
        keys = {scope: api_keys.make(connection, "tests", scope, [scope])[1] for scope in KeyScope}
        people.add(connection, "tests", "few", Role.VIEWER, ["second"], passwords.hash_of("their-password"))
    with httpx.Client(base_url=site) as few:
        assert few.post("/login", data={"name": "few", "password": "their-password"}).status_code == 303
        session = f"heed_session={few.cookies['heed_session']}"

    def with_key(name: str, level: Level, key: str) -> Caller:
        return Caller(name, level, {"Authorization": f"Bearer {key}"})

    return [
        with_key("submit", Level.NOBODY, keys[KeyScope.SUBMIT]),
        Caller("few", Level.VIEWER, {"Cookie": session}, limited=True),
        with_key("read", Level.VIEWER, keys[KeyScope.READ]),
        with_key("manage", Level.MANAGER, keys[KeyScope.MANAGE]),
        # Last, because it may end what the others come in with.
        with_key("HEED_API_KEY", Level.ADMIN, API_KEY),
    ]


@pytest.mark.timeout(400)
def test_no_server_error_as_described_and_nothing_for_who_may_not(
    site: str, callers: list[Caller], known: dict[str, dict[str, str]]
) -> None:
    key = {"Authorization": f"Bearer {API_KEY}"}
    schema = schemathesis.openapi.from_url(f"{site}/openapi.json", headers=key)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {(each.method.upper(), each.path) for each in operations} == {
        each for each in RIGHTS if each[1].startswith("/api/")
    }
    seen: dict[str, set[int]] = {}
    for caller in callers:
        for operation in operations:
            right = RIGHTS[operation.method.upper(), operation.path]
            may = caller.level >= right.level and not (right.every_survey and caller.limited)
            if operation.path == ENDLESS and may:
                continue
            for mode in GenerationMode:
                codes = tried(caller, operation, mode, may, known)
                seen.setdefault(caller.name, set()).update(codes)
                where = f"{caller.name}: {operation.method} {operation.path}: {codes}"
                assert may or codes == {403}, where
                assert 401 not in codes, where
    assert seen.pop("submit") == {403}
    assert all({200, 403, 404, 422} <= codes for name, codes in seen.items() if name != "HEED_API_KEY"), seen
    assert {200, 201, 204, 404, 422} <= seen["HEED_API_KEY"], seen


def tried(
    caller: Caller, operation: Any, mode: GenerationMode, may: bool, known: dict[str, dict[str, str]]
) -> set[int]:
    codes: set[int] = set()
    turn = iter(range(10_000))

    @hypothesis_settings(
        max_examples=TRIES if may else TRIES_OF_FORBIDDEN,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        # What is there is never guessed: every third time of the survey that all see, every third of the other.
        number = next(turn) % 3
        there = known["default" if number == 1 else "second"] if number else {}
        case.path_parameters.update({name: there[name] for name in case.path_parameters if name in there})
        if mode is GenerationMode.POSITIVE and (case.query or {}).get("q"):
            case.query["q"] = "broke"
        # Its own headers and cookies may be anything but who asks.
        case.headers.pop("Authorization", None)
        case.cookies.pop("heed_session", None)
        answered = case.call(headers=caller.headers)
        codes.add(answered.status_code)
        case.validate_response(answered, checks=[schemathesis.checks.CHECKS.get_one(name) for name in CHECKS])
        if caller.limited:
            of_another = number == 1 and {"slug", "answer_id"} & set(case.path_parameters)
            assert not (of_another and answered.status_code < 400), f"{operation.path} of another survey"
            assert known["default"]["answer_id"] not in answered.text

    call()
    return codes


def test_the_examples_fit_and_each_operation_says_who_may(settings: Settings) -> None:
    document = create_app(settings).openapi()
    schemas = document["components"]["schemas"]
    for name, example in EXAMPLES.items():
        whole = {**schemas[name], "components": document["components"]}
        jsonschema.Draft202012Validator(whole).validate(example)
        assert set(example) == set(schemas[name]["properties"]), name
    tags = {each["name"] for each in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert "Takes a" in operation["description"], path
            assert set(operation["tags"]) <= tags, path
            assert operation["security"] == [{"key": []}, {"session": []}], f"{method} {path}"
