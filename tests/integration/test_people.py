"""People, their sessions, API keys and the audit, over HTTP against a real Postgres."""

import json
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest
import redis
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, SECRET, Served, wait_for
from results_data import answer

from api.feedback.app import create_app as create_feedback
from api.results import export
from api.results.app import create_app
from heed.contracts import KeyScope, Label, Role, Survey, fingerprint
from heed.db import api_keys, logins, people, surveys
from heed.db.tables import api_keys as keys_table
from heed.db.tables import audit, login_attempts, sessions, users
from heed.links import make_login_token
from heed.settings import Settings
from worker import keys as worker_keys

ME = "/api/v1/me"
KEY = {"Authorization": f"Bearer {API_KEY}"}
LogIn = Callable[[str, str], httpx.Client]


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def root(site: str) -> Iterator[httpx.Client]:
    """Everything may be done with HEED_API_KEY."""
    with httpx.Client(base_url=site, headers=KEY) as client:
        yield client


def add(root: httpx.Client, name: str, role: str = "viewer", only: list[str] | None = None) -> str:
    made = root.post("/api/v1/people", json={"name": name, "role": role, "surveys": only})
    assert made.status_code == 201, made.text
    return str(made.json()["password"])


@pytest.fixture
def log_in(site: str) -> Iterator[Callable[[str, str], httpx.Client]]:
    """Log somebody in."""
    with ExitStack() as opened:
        yield lambda name, password: entered(opened.enter_context(httpx.Client(base_url=site)), name, password)


def entered(client: httpx.Client, name: str, password: str) -> httpx.Client:
    answered = client.post("/login", data={"name": name, "password": password})
    assert answered.status_code == 303, answered.text
    return client


def audited(engine: sa.Engine, *actions: str) -> list[tuple[str, str, str, Any]]:
    """The lines of the audit with these actions, oldest first."""
    query = sa.select(audit.c.actor, audit.c.action, audit.c.object, audit.c.detail).order_by(audit.c.id)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query) if not actions or row.action in actions]


# Logging in


def test_somebody_logs_in_by_name_and_password(site: str, root: httpx.Client, engine: sa.Engine, log_in: LogIn) -> None:
    password = add(root, "Ann", "manager")
    assert root.post("/api/v1/people", json={"name": "ANN", "role": "viewer"}).status_code == 422
    assert root.post("/api/v1/people", json={"name": "admin", "role": "viewer"}).status_code == 422
    ann = log_in(" aNN ", password)
    assert ann.get(ME).json() == {"actor": "ann", "level": "manager", "surveys": None}
    admin = log_in("", ADMIN_PASSWORD)
    assert admin.get(ME).json() == log_in("admin", ADMIN_PASSWORD).get(ME).json()
    assert admin.get(ME).json() == {"actor": "admin", "level": "admin", "surveys": None}
    with engine.connect() as connection:
        kept = connection.execute(sa.select(users.c.password_hash).where(users.c.name == "ann")).scalar_one()
        tokens = connection.execute(sa.select(sessions.c.id)).scalars().all()
    assert kept.startswith("$argon2id$")
    assert fingerprint(ann.cookies["heed_session"]) in tokens
    assert ann.cookies["heed_session"] not in tokens
    with httpx.Client(base_url=site) as by_link:
        by_link.get("/login", params={"once": make_login_token(SECRET)})
        assert by_link.get(ME).json()["actor"] == "admin"


def test_nobody_is_answered_like_a_wrong_password(site: str, root: httpx.Client, engine: sa.Engine) -> None:
    add(root, "ann")
    times: dict[str, list[float]] = {"ann": [], "nobody": [], "not a name\x01": []}
    answers = set()
    with httpx.Client(base_url=site) as http:
        for _ in range(5):
            for name, taken in times.items():
                with engine.begin() as connection:
                    connection.execute(sa.delete(login_attempts))
                began = time.perf_counter()
                refused = http.post("/login", data={"name": name, "password": "wrong"})
                taken.append(time.perf_counter() - began)
                answers.add((refused.status_code, refused.text.replace(name, "")))
    assert len(answers) == 1
    known, *unknown = (statistics.median(taken) for taken in times.values())
    assert all(0.5 < other / known < 2 for other in unknown), times
    actors = {actor for actor, *_ in audited(engine, "login-failed")}
    assert actors == {"ann", "(nobody)"}, "what nobody is called may be a password in the wrong field"


def test_guessing_is_slowed_down_in_every_process(
    settings: Settings, site: str, serve: Callable[[Any], Served], engine: sa.Engine
) -> None:
    other = serve(create_app(settings)).url
    for each in (site, other):  # FastAPI builds its routes at the first request, and not well in two threads at once
        assert httpx.get(f"{each}/login").status_code == 200
    with ThreadPoolExecutor(8) as pool:
        guess = {"name": "ann", "password": "guess"}
        tries = [pool.submit(httpx.post, f"{each}/login", data=guess) for each in [site, other] * 8]
    codes = sorted(each.result().status_code for each in tries)
    assert codes == [403] * logins.MOST_OF_ADDRESS + [429] * 6, "also when they come at once"
    refused = httpx.post(f"{other}/login", data={"password": ADMIN_PASSWORD})
    assert (refused.status_code, 0 < int(refused.headers["retry-after"]) <= 300) == (429, True)
    with engine.begin() as connection:  # time goes by
        connection.execute(sa.update(login_attempts).values(at=sa.func.now() - sa.text("interval '301 s'")))
    assert httpx.post(f"{other}/login", data={"password": ADMIN_PASSWORD}).status_code == 303


def test_one_name_is_slowed_down_from_everywhere(engine: sa.Engine) -> None:
    for number in range(logins.MOST_OF_NAME):
        with engine.begin() as connection:
            assert logins.attempt(connection, f"10.0.0.{number}", "ann")[1] == 0
    with engine.begin() as connection:
        assert 290 < logins.attempt(connection, "10.0.1.1", "ann")[1] <= 300
        number, wait = logins.attempt(connection, "10.0.1.1", "bob")
        assert wait == 0
        logins.succeeded(connection, number)


def test_attempts_at_once_count_one_after_the_other(engine: sa.Engine) -> None:
    def attempt(connection: sa.Connection) -> float:
        return logins.attempt(connection, "10.0.0.1", "ann")[1]

    for _ in range(logins.MOST_OF_ADDRESS - 1):
        with engine.begin() as connection:
            attempt(connection)
    with engine.begin() as first, engine.begin() as second, ThreadPoolExecutor(1) as pool:
        assert attempt(first) == 0
        other = pool.submit(attempt, second)
        time.sleep(0.3)
        assert not other.done()
        first.commit()
        assert other.result(5) > 0


# Sessions


def test_sessions_are_seen_and_ended(site: str, root: httpx.Client, engine: sa.Engine, log_in: LogIn) -> None:
    password = add(root, "ann")
    bob = log_in("bob", add(root, "bob"))
    phone, desk = log_in("ann", password), log_in("ann", password)
    mine = desk.get("/api/v1/sessions").json()
    assert sorted(each["current"] for each in mine) == [False, True]
    assert all(each["user_agent"].startswith("python-httpx") for each in mine)
    [phones] = [each["id"] for each in mine if not each["current"]]
    assert bob.delete(f"/api/v1/sessions/{phones}").status_code == 404, "not somebody else's"
    assert phone.get(ME).status_code == 200
    assert desk.delete(f"/api/v1/sessions/{phones}").status_code == 204
    assert phone.get(ME).status_code == 401
    page = desk.get("/sessions").text
    assert "python-httpx" in page
    [form] = re.findall(r'action="(/sessions/\w+/revoke)"', page)
    assert desk.post(form).headers["location"] == "/sessions"
    assert desk.get(ME).status_code == 401
    third = log_in("ann", password)
    assert len(root.get("/api/v1/people/ann/sessions").json()) == 1
    assert root.delete("/api/v1/people/ann/sessions").status_code == 204
    assert third.get(ME).status_code == 401
    fourth = log_in("ann", password)
    token = fourth.cookies["heed_session"]
    fourth.post("/logout")
    assert httpx.get(f"{site}{ME}", cookies={"heed_session": token}).status_code == 401, "not only the browser forgets"
    actions = [action for actor, action, *_ in audited(engine) if actor in ("ann", "HEED_API_KEY")]
    assert actions.count("session-revoked") == 3
    assert actions.count("logout") == 1


def test_a_session_ends_in_time_and_is_seen_once_a_minute(
    site: str, root: httpx.Client, engine: sa.Engine, log_in: LogIn
) -> None:
    ann = log_in("ann", add(root, "ann"))

    def written() -> Any:
        with engine.connect() as connection:
            return connection.execute(sa.select(sessions.c.seen_at, sa.text("xmin::text"))).one()

    def change(**values: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.update(sessions).values({name: sa.text(text) for name, text in values.items()}))

    before = written()
    assert ann.get(ME).status_code == 200
    assert written() == before
    change(seen_at="now() - interval '61 s'")
    old = written()
    assert ann.get(ME).status_code == 200
    assert written().seen_at > old.seen_at
    change(expires_at="now() - interval '1 s'")
    assert ann.get(ME).status_code == 401
    log_in("", ADMIN_PASSWORD)
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(sessions)).scalar_one() == 1


def test_long_user_agents_are_cut(site: str, engine: sa.Engine) -> None:
    httpx.post(f"{site}/login", data={"password": ADMIN_PASSWORD}, headers={"User-Agent": "x" * 5000})
    with engine.connect() as connection:
        assert connection.execute(sa.select(sessions.c.user_agent)).scalar_one() == "x" * 200


def test_who_is_disabled_or_gets_a_password_is_out(site: str, root: httpx.Client, log_in: LogIn) -> None:
    password = add(root, "ann")
    ann = log_in("ann", password)
    renewed = root.post("/api/v1/people/ann/password").json()["password"]
    assert ann.get(ME).status_code == 401
    assert ann.post("/login", data={"name": "ann", "password": password}).status_code == 403
    ann = log_in("ann", renewed)
    assert root.patch("/api/v1/people/ann", json={"role": "manager"}).json()["role"] == "manager"
    assert ann.get(ME).json()["level"] == "manager", "at once, in the session that stands"
    assert root.patch("/api/v1/people/ann", json={"disabled": True}).json()["disabled_at"]
    assert ann.get(ME).status_code == 401
    assert ann.post("/login", data={"name": "ann", "password": renewed}).status_code == 403
    back = root.patch("/api/v1/people/ann", json={"disabled": False}).json()
    assert (back["disabled_at"], back["role"]) == (None, "manager"), "what is not given stays"
    assert ann.get(ME).status_code == 401, "and nothing that was ended comes back"
    assert log_in("ann", renewed).get(ME).status_code == 200


@pytest.mark.parametrize("what", ["disabled", "password"])
def test_nobody_logs_in_while_being_put_out(site: str, root: httpx.Client, engine: sa.Engine, what: str) -> None:
    password = add(root, "ann")
    with engine.begin() as connection:
        if what == "disabled":
            people.change(connection, "tests", "ann", Role.VIEWER, None, disabled=True)
        else:
            people.set_password(connection, "tests", "ann", "another hash")
        with ThreadPoolExecutor(1) as pool:
            login = pool.submit(httpx.post, f"{site}/login", data={"name": "ann", "password": password})
            time.sleep(0.5)
            assert not login.done(), "it waits for what is being decided"
            connection.commit()
            assert login.result().status_code == 403


def test_the_built_in_admin_stays(root: httpx.Client) -> None:
    for refused in (
        root.patch("/api/v1/people/admin", json={"disabled": True}),
        root.patch("/api/v1/people/admin", json={"role": "viewer"}),
        root.post("/api/v1/people/admin/password"),
    ):
        assert (refused.status_code, "built-in" in refused.json()["detail"]) == (422, True)


def test_nonsense_about_people(root: httpx.Client) -> None:
    for body in (
        {"name": "a b", "role": "viewer"},
        {"name": "ünal", "role": "viewer"},
        {"name": "a\x00", "role": "viewer"},
        {"name": "ann", "role": "owner"},
        {"name": "ann", "role": "admin", "surveys": ["default"]},
        {"name": "ann", "role": "viewer", "surveys": []},
        {"name": "ann", "role": "viewer", "surveys": ["none-such"]},
        {"name": "ann", "role": "viewer", "password": "mine"},
    ):
        assert root.post("/api/v1/people", json=body).status_code == 422, body
    assert root.patch("/api/v1/people/ghost", json={}).status_code == 404
    assert [each["name"] for each in root.get("/api/v1/people").json()] == ["admin"]


@pytest.mark.parametrize("end", ["session", "disabled", "survey", "key"])
def test_the_live_stream_ends(site: str, root: httpx.Client, engine: sa.Engine, end: str, log_in: LogIn) -> None:
    second = {"slug": "second", "question": "?", "options": [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}]}
    with engine.begin() as connection:
        surveys.save(connection, "tests", Survey.model_validate(second))
    if end == "key":
        made = root.post("/api/v1/keys", json={"name": "k", "scopes": ["read"]}).json()
        viewer = httpx.Client(base_url=site, headers={"Authorization": f"Bearer {made['key']}"})
    else:
        viewer = entered(httpx.Client(base_url=site), "ann", add(root, "ann", only=["default"]))
    staying = log_in("bob", add(root, "bob"))
    address = "/api/v1/surveys/default/live"
    with (
        closing(viewer),
        viewer.stream("GET", address, timeout=10) as stream,
        staying.stream("GET", address, timeout=10) as other,
    ):
        lines, others = stream.iter_lines(), other.iter_lines()
        assert any(line == "event: results" for line in lines)
        assert any(line == "event: results" for line in others)
        match end:
            case "session":
                done = root.delete("/api/v1/people/ann/sessions")
            case "disabled":
                done = root.patch("/api/v1/people/ann", json={"disabled": True})
            case "survey":
                done = root.patch("/api/v1/people/ann", json={"surveys": ["second"]})
            case _:
                done = root.delete(f"/api/v1/keys/{made['info']['id']}")
        assert done.is_success, done.text
        began = time.monotonic()
        for _ in lines:
            pass
        assert time.monotonic() - began < 5
        answer(engine, "still live", vote="good")
        assert any("still live" in line for line in others)
        after = viewer.get("/api/v1/surveys/default/results")
        assert after.status_code == (404 if end == "survey" else 401)


# Other sites


def test_other_sites_change_nothing(site: str, root: httpx.Client, engine: sa.Engine, log_in: LogIn) -> None:
    admin = log_in("", ADMIN_PASSWORD)
    answer_id = answer(engine, "Hm.", label=Label.NEGATIVE, p_negative=0.5)
    new = {"name": "eve", "role": "admin"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        for method, path, body in (
            ("POST", "/api/v1/people", new),
            ("PATCH", "/api/v1/people/ann", {"role": "admin"}),
            ("DELETE", "/api/v1/people/admin/sessions", None),
            ("POST", "/api/v1/keys", {"name": "k", "scopes": ["admin"]}),
            ("POST", f"/api/v1/feedback/{answer_id}/verdict", {"needs_person": True}),
        ):
            refused = admin.request(method, path, json=body, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:heed:problem:cross-origin"), path
        for path, form in (("/people", {**new, "reach": "all"}), ("/keys", {"name": "k", "scope": "admin"})):
            assert admin.post(path, data=form, headers=headers).status_code == 403, path
    assert admin.get(ME).status_code == 200
    assert [each["name"] for each in root.get("/api/v1/people").json()] == ["admin"]
    ours = admin.post("/api/v1/people", json=new, headers={"Origin": site, "Sec-Fetch-Site": "same-origin"})
    assert ours.status_code == 201
    by_key = root.post(
        "/api/v1/keys", json={"name": "k", "scopes": ["read"]}, headers={"Origin": "https://ours.example"}
    )
    assert by_key.status_code == 201, "no browser sends a key by itself"


# Keys


def test_keys_are_shown_once_and_work_until_revoked(site: str, root: httpx.Client, engine: sa.Engine) -> None:
    made = root.post("/api/v1/keys", json={"name": " the shop ", "scopes": ["manage", "read"]}).json()
    key, info = made["key"], made["info"]
    assert key.startswith("hk_")
    assert (info["name"], info["shown"], info["scopes"]) == ("the shop", key[:8], ["read", "manage"])
    listed = root.get("/api/v1/keys").text
    assert (key in listed, fingerprint(key) in listed) == (False, False)
    with engine.connect() as connection:
        assert connection.execute(sa.select(keys_table.c.digest)).scalar_one() == fingerprint(key)
    by_key = {"Authorization": f"bearer {key}"}
    assert httpx.get(f"{site}{ME}", headers=by_key).json()["actor"] == f"key {info['id']}"
    [used] = root.get("/api/v1/keys").json()
    assert used["last_used_at"]
    httpx.get(f"{site}{ME}", headers=by_key)
    assert root.get("/api/v1/keys").json() == [used], "to the minute"
    for _ in range(2):
        assert root.delete(f"/api/v1/keys/{info['id']}").status_code == 204
    assert httpx.get(f"{site}{ME}", headers=by_key).status_code == 401
    assert root.delete("/api/v1/keys/12345").status_code == 404
    assert root.get("/api/v1/keys").json()[0]["revoked_at"]
    for wrong in ("hk_", "hk_wrong", key + "x"):
        assert httpx.get(f"{site}{ME}", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    assert len(audited(engine, "key-made", "key-revoked")) == 2
    for body in ({"name": "", "scopes": ["read"]}, {"name": "k", "scopes": []}, {"name": "k", "scopes": ["root"]}):
        assert root.post("/api/v1/keys", json=body).status_code == 422


def test_submitting_keys_reach_the_feedback_site(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    limited = settings.model_copy(update={"rate_limit": 1})
    address = f"{serve(create_feedback(limited)).url}/api/v1/surveys/default/feedback"
    with engine.begin() as connection:
        number, key = api_keys.make(connection, "tests", "shop", [KeyScope.SUBMIT])
        _, reader = api_keys.make(connection, "tests", "reader", [KeyScope.READ, KeyScope.ADMIN])

    def send(token: str) -> int:
        return httpx.post(address, json={"vote": "good"}, headers={"Authorization": f"Bearer {token}"}).status_code

    with redis.Redis.from_url(settings.need("redis_url")) as client:
        assert send(key) == 503, "nobody has told yet; it may be a good one"
        assert send("wrong") == 401
        assert send(API_KEY) == 202
        worker_keys.publish(engine, client)
        assert [send(key) for _ in range(3)] == [202] * 3, "and no rate limit"
        assert (send(reader), send("hk_wrong"), send(key + "x")) == (401, 401, 401)
        assert key.encode() not in b"".join(client.smembers("heed:api-keys"))  # type: ignore[arg-type]
        with engine.begin() as connection:
            api_keys.revoke(connection, "tests", number)
        worker_keys.publish(engine, client)
        assert send(key) == 401
        client.flushall()
        assert send(key) == 503


# The audit


def test_the_audit_tells_and_cannot_be_changed(site: str, root: httpx.Client, engine: sa.Engine, log_in: LogIn) -> None:
    password = add(root, "ann", "manager")
    ann = log_in("ann", password)
    httpx.post(f"{site}/login", data={"name": "ann", "password": "my-secret-guess"})
    httpx.post(f"{site}/login", data={"name": "my-secret-guess", "password": ""})
    words = "Nobody answers my secret letters."
    answer_id = answer(engine, words, vote="bad", label=Label.NEGATIVE, p_negative=0.5)
    for _ in range(2):
        ann.post(f"/api/v1/feedback/{answer_id}/verdict", json={"needs_person": False})
    ann.get("/api/v1/feedback", params={"format": "csv", "q": "secret", "label": "negative"})
    wait_for(lambda: audited(engine, "export-ended"), what="the export's end")
    root.patch("/api/v1/people/ann", json={"role": "viewer", "surveys": ["default"]})
    made = root.post("/api/v1/keys", json={"name": "shop", "scopes": ["submit"]}).json()
    assert audited(engine) == [
        ("HEED_API_KEY", "person-added", "ann", {"role": "manager", "surveys": None}),
        ("ann", "login", "", {"by": "password"}),
        ("ann", "login-failed", "", {}),
        ("(nobody)", "login-failed", "", {}),
        ("ann", "verdict", str(answer_id), {"needs_person": False}),
        ("ann", "export", "feedback", {"label": "negative", "format": "csv", "searched": True}),
        ("ann", "export-ended", "feedback", {"rows": 1, "complete": True}),
        ("HEED_API_KEY", "person-changed", "ann", {"role": "viewer", "surveys": ["default"], "disabled": False}),
        ("HEED_API_KEY", "key-made", f"key {made['info']['id']}", {"name": "shop", "scopes": ["submit"]}),
    ]
    whole = json.dumps(audited(engine))
    assert not any(each in whole for each in (password, made["key"], "my-secret-guess", "secret", "letters"))
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(sa.exc.DBAPIError, match="only added to"), engine.begin() as connection:
            connection.execute(sa.text(statement))

    def lines(**params: Any) -> list[str]:
        part = root.get("/api/v1/audit", params=params).json()
        found = [each["action"] for each in part["items"]]
        return found + (lines(**{**params, "before": part["next"]}) if part["next"] else [])

    assert lines(limit=2) == lines() == [action for _, action, *_ in reversed(audited(engine))]
    assert lines(actor="ann", limit=1) == ["export-ended", "export", "verdict", "login-failed", "login"]
    assert lines(action="login-failed", limit=1) == ["login-failed"] * 2
    assert root.get("/api/v1/audit", params={"action": "nonsense"}).status_code == 422


def test_an_export_that_breaks_off_is_told_as_such(
    site: str, root: httpx.Client, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 1)
    for number in range(30):
        answer(engine, f"{number} " + "x" * 4000)
    slow = threading.Event()
    fetch = export.Export._text

    def slowly(self: Any, batch: Any) -> Any:
        for part in fetch(self, batch):
            slow.wait(0.1)
            yield part

    monkeypatch.setattr(export.Export, "_text", slowly)
    with httpx.stream("GET", f"{site}/api/v1/feedback?format=csv", headers=KEY) as reading:
        next(reading.iter_bytes())
    [(_, _, _, told)] = wait_for(lambda: audited(engine, "export-ended"), what="the export's end")
    assert told["complete"] is False
    assert told["rows"] < 30


def test_an_export_that_cannot_be_audited_does_not_begin(root: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "kept")
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE audit"))
        refused = root.get("/api/v1/feedback?format=csv", timeout=20)
    assert (refused.status_code, "kept" in refused.text) == (503, False)


# The pages


def test_the_pages_by_forms_alone(site: str, engine: sa.Engine, log_in: LogIn) -> None:
    admin = log_in("", ADMIN_PASSWORD)
    made = admin.post("/people", data={"name": "Ann", "role": "viewer", "reach": "some", "survey": ["default"]})
    assert made.status_code == 200
    [password] = re.findall(r"<code>([\w-]{16})</code>", made.text)
    assert password not in admin.get("/people").text
    ann = log_in("ann", password)
    assert ann.get(ME).json() == {"actor": "ann", "level": "viewer", "surveys": ["default"]}
    assert ann.get("/people", headers={"Accept": "text/html"}).status_code == 403
    assert "Not allowed" in ann.get("/people", headers={"Accept": "text/html"}).text
    assert 'href="/people"' not in ann.get("/").text
    for form, said in (
        ({"name": "ann", "role": "viewer", "reach": "all"}, "There is somebody called ann already."),
        ({"name": "a b", "role": "viewer", "reach": "all"}, "A name has letters"),
        ({"name": "bob", "role": "viewer", "reach": "some"}, "Choose at least one survey."),
        ({"name": "bob", "role": "king", "reach": "all"}, "Choose a role."),
        ({"name": "<b>", "role": "viewer", "reach": "all"}, 'value="&lt;b&gt;"'),
    ):
        refused = admin.post("/people", data=form)
        assert (refused.status_code, said in refused.text) == (422, True), form
    saved = admin.post("/people/ann", data={"role": "manager", "reach": "all"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/people")
    assert ann.get(ME).json() == {"actor": "ann", "level": "manager", "surveys": None}
    renewed = admin.post("/people/ann/password")
    [second] = re.findall(r"<code>([\w-]{16})</code>", renewed.text)
    assert ann.get(ME).status_code == 401
    ann = log_in("ann", second)
    assert admin.post("/people/ann/sessions/revoke").status_code == 303
    assert ann.get(ME).status_code == 401
    ann = log_in("ann", second)
    admin.post("/people/ann", data={"role": "manager", "reach": "all", "disabled": "true"})
    assert ann.get(ME).status_code == 401
    assert "built-in admin stays" in admin.post("/people/admin/password").text
    assert admin.get("/people/ghost", headers={"Accept": "text/html"}).status_code == 404
    made = admin.post("/keys", data={"name": "shop", "scope": ["read"]})
    [key] = re.findall(r"<code>(hk_[\w-]{43})</code>", made.text)
    assert httpx.get(f"{site}{ME}", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert key not in admin.get("/keys").text
    assert "Choose what the key may do." in admin.post("/keys", data={"name": "shop"}).text
    [revoke] = re.findall(r'action="(/keys/\d+/revoke)"', admin.get("/keys").text)
    assert admin.post(revoke).status_code == 303
    assert httpx.get(f"{site}{ME}", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    first = admin.get("/audit")
    assert "<td>person-added</td>" in first.text
    assert "<td>person-added</td>" not in admin.get("/audit?action=login").text
    assert "Nothing fits." in admin.get("/audit?actor=ghost").text
    assert admin.get("/audit?action=nonsense").status_code == 422
    with engine.begin() as connection:
        rows = [{"actor": "x", "action": "login", "object": "", "detail": {}} for _ in range(60)]
        connection.execute(sa.insert(audit), rows)
    [older] = re.findall(r'href="(/audit\?[^"]+)">Older', admin.get("/audit?actor=x").text)
    last = admin.get(older.replace("&amp;", "&")).text
    assert (last.count("<tr>"), ">Older" in last) == (11, False)
