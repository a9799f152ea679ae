"""The version before this one works on with this version's schema, so that an upgrade may migrate first and a rollback
needs no way back: its own processes, from the wheel in tests/data/releases, real servers around them.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, SECRET, Served, free_port, wait_for
from sandbox_process import TOKEN, Sandbox, running_sandbox

from api.feedback.app import create_app
from heed import __version__, books
from heed.contracts import Judge
from heed.db import verdicts
from heed.db.schema import HEAD
from heed.db.tables import feedback
from heed.settings import Settings
from heed.stream.queue import Queue
from local import aws

RELEASES = Path(__file__).parents[1] / "data" / "releases"
LOOPS = {"worker": "worker", "relay": "worker.relay", "ticketing": "ticketing"}
SITES = {"feedback": "api.feedback", "results": "api.results"}


class Before:
    """The services of the version before this one."""

    def __init__(self, code: Path, settings: Settings, desk: str) -> None:
        self.ports = {name: free_port() for name in (*LOOPS, *SITES)}
        self._code, self._processes = code, list[subprocess.Popen[bytes]]()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("HEED_")} | {
            "PYTHONPATH": str(code),
            "HEED_SECRET_KEY": SECRET,
            "HEED_API_KEY": API_KEY,
            "HEED_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "HEED_DATABASE_URL": settings.need("database_url"),
            "HEED_REDIS_URL": settings.need("redis_url"),
            "HEED_AWS_ENDPOINT": str(settings.aws_endpoint),
            "HEED_EVENT_BUS": settings.event_bus,
            "HEED_EVENT_QUEUE": settings.event_queue,
            "HEED_ZENDESK_URL": desk,
            "HEED_ZENDESK_TOKEN": TOKEN,
            "HEED_FEEDBACK_PORT": str(self.ports["feedback"]),
            "HEED_RESULTS_PORT": str(self.ports["results"]),
            "HEED_RATE_LIMIT": "0",
        }

    def run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=self._code, env=self._environment, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def start(self, name: str) -> None:
        environment = self._environment
        if name in LOOPS:
            environment = {**environment, "HEED_OPS_PORT": str(self.ports[name])}
        command = [sys.executable, "-m", {**LOOPS, **SITES}[name]]
        self._processes.append(subprocess.Popen(command, cwd=self._code, env=environment, stderr=subprocess.DEVNULL))

    def ready(self, name: str) -> bool:
        assert all(process.poll() is None for process in self._processes), "one of them ended"
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[name]}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def end(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def before(tmp_path: Path, settings: Settings, sandbox: Sandbox) -> Iterator[Before]:
    [wheel] = RELEASES.glob("heed-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "code")
    made = Before(tmp_path / "code", settings, sandbox.url)
    yield made
    made.end()


def test_the_version_before_works_with_this_schema(
    before: Before, settings: Settings, engine: sa.Engine, sandbox: Sandbox, serve: Callable[[Any], Served]
) -> None:
    where, version, head = before.run(
        "-c", "import heed, heed.db.schema as s; print(heed.__file__, heed.__version__, s.HEAD)"
    ).split()
    assert not Path(where).is_relative_to(Path(__file__).parents[2]), "it must be the wheel's code that runs"
    assert version != __version__
    assert head <= HEAD
    assert (
        before.run("-m", "heed", "migrate") == f"The schema is at {HEAD}."
    )  # a rollback's own migrate changes nothing

    aws.provision(settings)
    for name in (*LOOPS, *SITES):
        before.start(name)
    for name in (*LOOPS, *SITES):
        wait_for(lambda name=name: before.ready(name), 30, f"{name} to be ready")

    # Sites of both versions, as in the middle of a rolling upgrade.
    sites = [f"http://127.0.0.1:{before.ports['feedback']}", serve(create_app(settings)).url]
    ids = []
    for number in range(20):
        sent = httpx.post(
            f"{sites[number % 2]}/api/v1/surveys/default/feedback",
            json={"vote": "bad", "comment": f"It broke, case {number}."}
            if number % 4 < 2
            else {"vote": "good", "comment": f"I love it, case {number}."},
            trust_env=False,
        )
        assert sent.status_code == 202, sent.text
        ids.append(sent.json()["id"])

    def through() -> books.Books | None:
        taken = books.take(engine, Queue.connect(settings))
        done = taken.stored == len(ids) and not taken.queued and not taken.in_flight
        return taken if done else None

    taken = wait_for(through, 60, "everything to be through")
    assert taken is not None
    assert taken.balanced, taken
    assert taken.selected == taken.ticketed == 10
    assert sum(len(sandbox.tickets(each)) for each in ids) == taken.selected

    # A manager's yes, given on this version's results site, is a ticket by the other version too, and it shows it.
    with engine.begin() as connection:
        passed_over = connection.execute(sa.select(feedback.c.id).where(~feedback.c.selected)).scalars().first()
        assert passed_over is not None
        assert verdicts.say(connection, passed_over, True, Judge.MANAGER) == verdicts.Said(new=True, selected=True)
    taken = wait_for(through, 60, "the manager's ticket")
    assert taken is not None
    assert taken.balanced, taken
    assert len(sandbox.tickets(str(passed_over))) == 1

    results = f"http://127.0.0.1:{before.ports['results']}/api/v1"
    headers = {"Authorization": f"Bearer {API_KEY}"}
    told = httpx.get(f"{results}/books", headers=headers, trust_env=False).json()
    assert (told["balanced"], told["stored"]) == (True, 20)
    answers = httpx.get(f"{results}/surveys/default/results", headers=headers, trust_env=False).json()
    assert answers["total"] == 20
    listed = httpx.get(f"{results}/feedback", headers=headers, trust_env=False)
    assert listed.status_code == 200, listed.text
    assert str(passed_over) in {each["id"] for each in listed.json()["items"] if each["selected"]}
