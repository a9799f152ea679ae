"""People change their own password: who knows the old one, slowed down and audited, and is logged out elsewhere."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served

from api.results import account
from api.results.app import create_app
from heed import passwords
from heed.db import logins
from heed.db.tables import audit, login_attempts
from heed.settings import Settings

ME, MINE = "/api/v1/me", "/api/v1/me/password"
KEY = {"Authorization": f"Bearer {API_KEY}"}
NEW = "four words of mine"
LogIn = Callable[[str, str], httpx.Client]


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def old(site: str) -> str:
    made = httpx.post(f"{site}/api/v1/people", json={"name": "ann", "role": "viewer"}, headers=KEY)
    return str(made.json()["password"])


@pytest.fixture
def log_in(site: str) -> Iterator[LogIn]:
    with ExitStack() as opened:

        def enter(name: str, password: str) -> httpx.Client:
            client = opened.enter_context(httpx.Client(base_url=site))
            assert client.post("/login", data={"name": name, "password": password}).status_code == 303
            return client

        yield enter


def audited(engine: sa.Engine) -> list[tuple[str, str, str]]:
    query = sa.select(audit.c.actor, audit.c.action, audit.c.object).order_by(audit.c.id)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_password_of_ones_own(site: str, old: str, log_in: LogIn, engine: sa.Engine) -> None:
    desk, phone = log_in("ann", old), log_in("ann", old)
    other = log_in("", ADMIN_PASSWORD)
    assert desk.post(MINE, json={"old": old, "new": NEW}).status_code == 204
    assert desk.get(ME).status_code == 200, "who changes it goes on"
    assert phone.get(ME).status_code == 401
    assert other.get(ME).status_code == 200, "nobody else is logged out"
    assert httpx.post(f"{site}/login", data={"name": "ann", "password": old}).status_code == 403
    assert log_in("ann", NEW).get(ME).json()["actor"] == "ann"
    assert ("ann", "password-set", "ann") in audited(engine)
    with engine.connect() as connection:
        written = str(connection.execute(sa.text("SELECT password_hash FROM users WHERE name = 'ann'")).scalar_one())
    assert written.startswith("$argon2id$")
    assert NEW not in str(audited(engine))


def test_what_is_no_change(old: str, log_in: LogIn, engine: sa.Engine) -> None:
    ann = log_in("ann", old)
    for given, status in (
        ({"old": "wrong", "new": NEW}, 403),
        ({"old": old, "new": "short"}, 422),
        ({"old": old, "new": old}, 422),
        ({"old": old, "new": "x" * 201}, 422),
        ({"old": old}, 422),
        ({"old": old, "new": NEW, "name": "bob"}, 422),
        ({"old": old, "new": None}, 422),
        ([], 422),
    ):
        said = ann.post(MINE, json=given)
        assert (said.status_code, said.headers["content-type"]) == (status, "application/problem+json"), given
        assert not {old, NEW} & set(said.text.split('"')), "no password is sent back"
    assert audited(engine)[-1] == ("ann", "password-refused", "ann")
    foreign = ann.post(MINE, json={"old": old, "new": NEW}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert log_in("ann", old).get(ME).status_code == 200
    lone = ann.post(MINE, content=f'{{"old": "{old}", "new": "\\ud800 is no character"}}')
    assert lone.status_code == 422


def test_who_has_no_password_of_their_own(site: str, log_in: LogIn) -> None:
    admin = log_in("", ADMIN_PASSWORD)
    said = admin.post(MINE, json={"old": ADMIN_PASSWORD, "new": NEW})
    assert (said.status_code, "HEED_ADMIN_PASSWORD" in said.text) == (422, True)
    assert "HEED_ADMIN_PASSWORD" in admin.get("/sessions").text
    assert 'name="old"' not in admin.get("/sessions").text
    program = httpx.post(f"{site}{MINE}", json={"old": API_KEY, "new": NEW}, headers=KEY)
    assert (program.status_code, "a program has its key" in program.text) == (422, True)
    assert httpx.get(f"{site}/sessions", headers=KEY).status_code == 200
    assert httpx.post(f"{site}{MINE}", json={"old": "x", "new": NEW}).status_code == 401


def test_guessing_the_old_one_is_slowed_down_as_logging_in_is(old: str, log_in: LogIn, engine: sa.Engine) -> None:
    ann = log_in("ann", old)
    codes = [ann.post(MINE, json={"old": "guess", "new": NEW}).status_code for _ in range(logins.MOST_OF_ADDRESS)]
    assert codes == [403] * logins.MOST_OF_ADDRESS
    late = ann.post(MINE, json={"old": old, "new": NEW})
    assert (late.status_code, 0 < int(late.headers["retry-after"]) <= 300) == (429, True)
    shown = ann.post("/sessions/password", data={"old": old, "new": NEW, "again": NEW})
    assert (shown.status_code, "Too many attempts" in shown.text) == (429, True)
    assert ann.post("/login", data={"name": "ann", "password": old}).status_code == 429, "the same count"
    with engine.begin() as connection:
        connection.execute(sa.delete(login_attempts))
    assert ann.post(MINE, json={"old": old, "new": NEW}).status_code == 204
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(login_attempts)).scalar_one() == 0


def test_an_admin_who_is_quicker_wins(
    site: str, old: str, log_in: LogIn, monkeypatch: pytest.MonkeyPatch, engine: sa.Engine
) -> None:
    ann = log_in("ann", old)
    looked, go_on = threading.Event(), threading.Event()
    hash_of = passwords.hash_of

    def slowly(password: str) -> str:
        if password == NEW:
            looked.set()
            assert go_on.wait(20)
        return hash_of(password)

    monkeypatch.setattr(account.passwords, "hash_of", slowly)
    answered: list[int] = []
    changing = threading.Thread(
        target=lambda: answered.append(ann.post(MINE, json={"old": old, "new": NEW}).status_code)
    )
    changing.start()
    assert looked.wait(20)
    assert httpx.patch(f"{site}/api/v1/people/ann", json={"disabled": True}, headers=KEY).is_success
    go_on.set()
    changing.join(20)
    assert answered == [409]
    assert ("ann", "password-set", "ann") not in audited(engine)


def test_by_the_page(old: str, log_in: LogIn) -> None:
    ann = log_in("ann", old)
    log_in("ann", old)
    page = ann.get("/sessions").text
    assert "Your account" in page
    assert page.count("Log out<span") == 2
    for form, status, said in (
        ({"old": old, "new": NEW, "again": "other"}, 422, "the same way twice"),
        ({"old": old, "new": "short", "again": "short"}, 422, "at least 12 characters"),
        ({"old": "wrong", "new": NEW, "again": NEW}, 403, "not the password that you have now"),
        ({}, 422, "at least 12 characters"),
    ):
        shown = ann.post("/sessions/password", data=form)
        assert (shown.status_code, said in shown.text) == (status, True), shown.text
        assert not [word for word in form.values() if f'"{word}"' in shown.text], "no password is sent back"
    done = ann.post("/sessions/password", data={"old": old, "new": NEW, "again": NEW})
    assert (done.status_code, done.headers["location"]) == (303, "/sessions?changed")
    page = ann.get("/sessions?changed").text
    assert "Your password is changed." in page
    assert page.count("Log out<span") == 1
    assert log_in("ann", NEW).get(ME).status_code == 200
