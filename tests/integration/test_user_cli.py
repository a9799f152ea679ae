"""`heed user` as a person runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import Served

from api.results.app import create_app
from heed.db.tables import audit, users
from heed.settings import Settings

Heed = Callable[..., subprocess.CompletedProcess[str]]
ME = "/api/v1/me"


@pytest.fixture
def heed(settings: Settings, tmp_path: Path) -> Heed:
    """Run `heed` beside the test's own Postgres."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"HEED_HOME": str(tmp_path), "HEED_DATABASE_URL": settings.need("database_url"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "heed", "user", *arguments],
            env={**os.environ, **known, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_added_and_disabled(heed: Heed, settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]) -> None:
    added = heed("add", "Ann", "--role", "viewer", "--survey", "default")
    assert added.returncode == 0, added.stderr
    password = added.stdout.strip()
    assert len(password) == 16, "nothing else, so that it can be piped"
    assert added.stderr == "ann may log in, as viewer, with this password:\n"
    with httpx.Client(base_url=serve(create_app(settings)).url) as http:
        assert http.post("/login", data={"name": "ann", "password": password}).status_code == 303
        assert http.get(ME).json() == {"actor": "ann", "level": "viewer", "surveys": ["default"]}
        for _ in range(2):
            disabled = heed("disable", "ANN")
            assert disabled.stderr == "ann is logged out and may no longer log in.\n", disabled.stderr
        assert http.get(ME).status_code == 401
    with engine.connect() as connection:
        lines = connection.execute(sa.select(audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    assert [(actor, action) for actor, action, _ in lines] == [
        ("command line", "person-added"),
        ("ann", "login"),
        ("command line", "person-changed"),
    ]
    assert password not in str(lines)


def test_added_for_the_provider_alone(heed: Heed, engine: sa.Engine) -> None:
    added = heed("add", "Ann@example.com", "--role", "viewer", "--no-password")
    assert (added.returncode, added.stdout) == (0, ""), added.stderr
    assert "ann@example.com may log in, as viewer, by the provider" in added.stderr
    with engine.connect() as connection:
        kept = connection.execute(sa.select(users.c.password_hash).where(users.c.name == "ann@example.com"))
        assert kept.scalar_one() is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "ann", "--role", "viewer", "--no-password"), "the name must be one"),
        (("add", "a b", "--role", "viewer"), "A name has letters"),
        (("add", "admin", "--role", "viewer"), "There is somebody called admin already."),
        (("add", "ann", "--role", "viewer", "--survey", "none-such"), "There is no survey none-such."),
        (("add", "ann", "--role", "admin", "--survey", "default"), "An admin sees every survey."),
        (("disable", "admin"), "The built-in admin stays"),
        (("disable", "ghost"), "There is nobody called ghost."),
    ],
)
def test_mistakes_are_one_clear_line(heed: Heed, engine: sa.Engine, arguments: tuple[str, ...], said: str) -> None:
    done = heed(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert said in done.stderr
    with engine.connect() as connection:
        assert connection.execute(sa.select(users.c.name)).scalars().all() == ["admin"]
