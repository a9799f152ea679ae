"""Real servers for the tests: Postgres and Valkey from wheels, moto over HTTP. Each test gets a fresh database
(copied from a migrated template), an empty Valkey and its own bus and queue.

What a test needs and the machine lacks: `need()` skips on a laptop and fails in CI.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
import pytest
import redis
import sqlalchemy as sa
import uvicorn

from heed.db import engine as db
from heed.db.migrate import migrate
from heed.settings import Settings
from local import postgres, valkey

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")

# A shell that runs the tests in its background has SIGINT ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

SECRET = "tests-only-secret-key-of-32-characters-or-more"
API_KEY = "tests-only-api-key"
ADMIN_PASSWORD = "tests-only-password"


def need(condition: bool, what: str) -> None:
    """Skip the test when `what` is missing; in CI that is a failure."""
    if not condition:
        if os.environ.get("CI"):
            pytest.fail(f"missing on this machine: {what}")
        pytest.skip(f"missing on this machine: {what}")


# Below the ports that systems give to connections going out, which could take one before its server does; each process
# of a parallel run has a share of its own.
_SHARE = 2_000
_PORTS = range(10_000, 32_000, _SHARE)


def free_port() -> int:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _PORTS[worker % len(_PORTS)]
    while True:
        port = random.randrange(first, first + _SHARE)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(probe: Callable[[], T], seconds: float = 15, what: str = "it") -> T:
    """What `probe` returns as soon as that is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}; last seen: {value!r}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    # Short, because Unix sockets live in it.
    path = Path(tempfile.mkdtemp(prefix="heed-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(folder: Path) -> Iterator[str]:
    """A cluster whose database `heed` is migrated and never written to: the template of every test's own."""
    url = postgres.start(folder / "pg")
    settings = Settings(database_url=url)
    engine = db.connect(settings, "tests")
    migrate(engine)
    engine.dispose()
    yield url
    postgres.stop(folder / "pg")


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    name = f"t{secrets.token_hex(6)}"
    admin = psycopg2.connect(postgres_url.replace("/heed?", "/postgres?"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE heed STRATEGY FILE_COPY")
    yield postgres_url.replace("/heed?", f"/{name}?")
    with admin.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@pytest.fixture(scope="session")
def valkey_url(folder: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(valkey.command(folder / "valkey", port), stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    client = redis.Redis.from_url(url)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_for(answers, what="Valkey")
    client.close()
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    client.close()
    return valkey_url


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(database_url: str, redis_url: str, aws_endpoint: str) -> Settings:
    """Settings of a system of this test's own: its database, an empty Valkey, its own bus and queue."""
    own = secrets.token_hex(4)
    return Settings(
        secret_key=SECRET,
        api_key=API_KEY,
        admin_password=ADMIN_PASSWORD,
        database_url=database_url,
        redis_url=redis_url,
        aws_endpoint=aws_endpoint,
        event_bus=f"heed-{own}",
        event_queue=f"heed-tickets-{own}",
        rate_limit=0,
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    made = db.connect(settings, "tests")
    yield made
    made.dispose()


@dataclass(frozen=True)
class Served:
    """An app served over HTTP by this test."""

    url: str
    port: int


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve ASGI apps with uvicorn on free ports until the test ends."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any, port: int = 0) -> Served:
        port = port or free_port()
        config = uvicorn.Config(app, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        wait_for(lambda: server.started, what="uvicorn")
        return Served(f"http://127.0.0.1:{port}", port)

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The system's Chromium. For a module, not the session: while it runs, nothing else may run an event loop here."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    need(chromium is not None, "Chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
