"""The role matrix: every route of the results site, for each role, each scope of a key, and nobody."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served
from results_data import answer
from starlette.routing import Mount

from api.results import rights
from api.results.app import create_app
from api.results.rights import RIGHTS, Level
from heed import passwords
from heed.contracts import KeyScope, Label, Role, Survey, new_id
from heed.db import api_keys, people, surveys
from heed.db.tables import feedback
from heed.settings import Settings

SAMPLES = {
    "slug": "default",
    "answer_id": str(new_id()),
    "name": "ghost",
    "number": "999",
    "session_id": "0" * 64,
    "color": "0b6b53",
}
# What each route takes, said here once more and in other words.
NEEDS = {
    Level.NOBODY: {
        *("/healthz", "/readyz", "/metrics", "/static/{path:path}", "/login"),
        *("/login/oidc", "/login/oidc/callback"),
    },
    Level.MANAGER: {
        *("/review", "/api/v1/feedback/{answer_id}/verdict", "/api/v1/books", "/api/v1/quarantine"),
        # Surveys: everybody sees them, managers change them.
        *("POST /surveys/{slug}", "POST /surveys/{slug}/preview", "PUT /api/v1/surveys/{slug}"),
        *("/surveys/{slug}/close", "/surveys/{slug}/reopen", "/surveys/{slug}/rehearsal"),
        *("/api/v1/surveys/{slug}/close", "/api/v1/surveys/{slug}/reopen", "/api/v1/surveys/{slug}/rehearsal"),
        *("/attention", "/api/v1/attention", "/api/v1/books/missing", "/api/v1/checklist"),
        *("/attention/tickets/retry", "/attention/tickets/{answer_id}/retry", "/attention/verdicts/{answer_id}"),
        *("/attention/quarantine/replay", "/attention/quarantine/{number}/replay"),
        *("/api/v1/feedback/{answer_id}/ticket/retry", "/api/v1/tickets/retry"),
        *("/api/v1/quarantine/{number}/replay", "/api/v1/quarantine/replay"),
    },
    Level.ADMIN: {"/people", "/keys", "/audit", "/api/v1/people", "/api/v1/keys", "/api/v1/audit"},
}


def needs(method: str, path: str) -> Level:
    for level, paths in NEEDS.items():
        if (
            path in paths
            or f"{method} {path}" in paths
            or (level is Level.ADMIN and path.startswith(tuple(f"{each}/" for each in paths)))
        ):
            return level
    return Level.VIEWER


def routes_of(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/{{path:path}}"
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods - {"HEAD"})


@dataclass
class Caller:
    name: str
    level: Level
    client: httpx.Client
    login: Callable[[], httpx.Client] | None = None


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def callers(site: str, engine: sa.Engine) -> Iterator[list[Caller]]:
    made = [Caller("nobody", Level.NOBODY, httpx.Client(base_url=site))]
    kept = passwords.hash_of("their-password")
    with engine.begin() as connection:
        keys = {scope: api_keys.make(connection, "tests", scope, [scope])[1] for scope in KeyScope}
        for role in Role:
            people.add(connection, "tests", f"a-{role}", role, None, kept)

    def log_in(name: str) -> httpx.Client:
        client = httpx.Client(base_url=site)
        assert client.post("/login", data={"name": name, "password": "their-password"}).status_code == 303
        return client

    for role, level in zip(Role, (Level.VIEWER, Level.MANAGER, Level.ADMIN), strict=True):
        made.append(Caller(role, level, log_in(f"a-{role}"), lambda role=role: log_in(f"a-{role}")))
    for scope, level in zip(KeyScope, Level, strict=True):
        made.append(Caller(f"key {scope}", level, httpx.Client(base_url=site, headers=bearer(keys[scope]))))
    made.append(Caller("HEED_API_KEY", Level.ADMIN, httpx.Client(base_url=site, headers=bearer(API_KEY))))
    yield made
    for caller in made:
        caller.client.close()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status(client: httpx.Client, method: str, path: str) -> tuple[int, str]:
    with client.stream(method, path) as answered:
        return answered.status_code, answered.headers.get("location", "")


def test_every_route_stands_in_the_table_and_nothing_else(settings: Settings) -> None:
    found = set(routes_of(create_app(settings).router.routes))
    assert len(found) > 40
    assert found == set(RIGHTS)
    for method, path in RIGHTS:
        sample = path.replace("{path:path}", "base.css").format_map(SAMPLES)
        fitting = [methods for pattern, methods in rights._PATTERNS.items() if pattern.match(sample)]
        assert len(fitting) == 1, f"it must be clear which line of the table {sample} is"
        assert fitting[0][method] is RIGHTS[method, path]


@pytest.mark.timeout(300)
def test_the_matrix(callers: list[Caller]) -> None:
    tried = 0
    for method, path in sorted(RIGHTS):
        if path == "/logout":  # below: it ends the session
            continue
        sample = path.replace("{path:path}", "base.css").format_map(SAMPLES)
        least = needs(method, path)
        for caller in callers:
            code, location = status(caller.client, method, sample)
            tried += 1
            said = f"{caller.name}: {method} {path}: {code}"
            if least is Level.NOBODY:
                assert code in (200, 403, 404), said  # 403: a login without a password; 404: no provider is set
            elif caller.name == "nobody":
                assert code == 401 or (code, location[:6]) == (303, "/login"), said
            elif caller.level < least:
                assert code == 403, said
            else:
                assert code in (200, 204, 303, 404, 409, 422), said
                assert not location.startswith("/login"), said
    assert tried == (len(RIGHTS) - 1) * 9
    for caller in callers:
        code, location = status(caller.client, "POST", "/logout")
        expected = {"nobody": 401, "key submit": 403}.get(caller.name, 303)
        assert code == expected, caller.name
        if caller.login:
            assert status(caller.client, "GET", "/api/v1/me")[0] == 401


def test_exports_take_a_manager(callers: list[Caller]) -> None:
    for caller, kind in product(callers, ("csv", "jsonl")):
        code, _ = status(caller.client, "GET", f"/api/v1/feedback?format={kind}")
        expected = 401 if caller.name == "nobody" else 200 if caller.level >= Level.MANAGER else 403
        assert code == expected, (caller.name, kind)


def test_a_route_that_somebody_forgot_is_closed(settings: Settings, serve: Callable[[Any], Served]) -> None:
    app = create_app(settings)
    app.add_api_route("/api/v1/forgotten", lambda: "open", methods=["GET"])
    site = serve(app).url
    assert httpx.get(f"{site}/api/v1/forgotten").status_code == 401
    assert httpx.get(f"{site}/api/v1/forgotten", headers=bearer(API_KEY)).status_code == 404
    wrong = httpx.put(f"{site}/api/v1/keys", headers=bearer(API_KEY))
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")


def test_who_sees_one_survey_sees_nothing_of_another(site: str, engine: sa.Engine) -> None:
    theirs, others = answer(engine, "mine", vote="bad"), answer(engine, "not mine", vote="bad", label=Label.NEGATIVE)
    second = Survey.model_validate(
        {
            "slug": "second",
            "question": "Well?",
            "options": [{"key": "good", "label": "a"}, {"key": "bad", "label": "b"}],
        }
    )
    kept = passwords.hash_of("their-password")
    with engine.begin() as connection:
        surveys.save(connection, "tests", second)
        connection.execute(sa.update(feedback).where(feedback.c.id == theirs).values(survey="second"))
        for name, role in (("few", Role.VIEWER), ("boss", Role.MANAGER)):
            people.add(connection, "tests", name, role, ["second"], kept)
    for name in ("few", "boss"):
        with httpx.Client(base_url=site) as http:
            http.post("/login", data={"name": name, "password": "their-password"})
            assert [each["id"] for each in http.get("/api/v1/feedback").json()["items"]] == [str(theirs)]
            assert http.get("/api/v1/feedback", params={"survey": "default"}).json()["items"] == []
            assert http.get(f"/api/v1/feedback/{theirs}").status_code == 200
            assert http.get("/").status_code == 200
            assert "Well?" in http.get("/").text
            assert "How was your experience" not in http.get("/").text
            assert http.get("/s/second").status_code == http.get(f"/feedback/{theirs}").status_code == 200
            closed = [f"/api/v1/feedback/{others}", "/s/default", f"/feedback/{others}"]
            closed += [f"/api/v1/surveys/default/{what}" for what in ("results", "triage", "live", "versions")]
            closed += ["/surveys/default", "/surveys/default/qr.svg", "/api/v1/surveys/default"]
            for path in closed:
                assert http.get(path).status_code == 404, path
            if name == "boss":
                exported = http.get("/api/v1/feedback?format=csv").text
                assert (str(theirs) in exported, str(others) in exported) == (True, False)
                assert "Well?" in http.get("/review").text  # without a name: the first that they see
                assert http.get("/review?survey=default").status_code == 404
                for path in ("/api/v1/books", "/api/v1/quarantine"):  # of all surveys together
                    assert http.get(path).status_code == 403
                refused = http.post(f"/api/v1/feedback/{others}/verdict", json={"needs_person": False})
                assert refused.status_code == 404
    with httpx.Client(base_url=site, headers=bearer(API_KEY)) as http:
        assert http.get(f"/api/v1/feedback/{others}").json()["verdicts"] == []
