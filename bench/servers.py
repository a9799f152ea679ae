"""Real servers for the benchmarks, configured as `heed up` does: Postgres, Valkey (every write on disk), uvicorn."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

from heed.db import engine as db
from heed.db.migrate import migrate
from heed.settings import Settings
from local import postgres, valkey


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something listens on a port of this machine; else an OSError says why not."""
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


class Servers:
    """A context: Postgres and Valkey run inside it, and so does every process started with `python`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Servers":
        port = free_port()
        self._start(valkey.command(self._folder / "valkey", port), {})
        self.settings = Settings(
            secret_key="benchmarks-only-secret-key-of-32-characters",
            redis_url=f"redis://127.0.0.1:{port}/0",
            database_url=postgres.start(self._folder / "pg"),
            rate_limit=0,
            queue_cap=10_000_000,
        )
        self.redis = redis.Redis.from_url(self.settings.need("redis_url"))
        wait_until(self.redis.ping)
        self.engine = db.connect(self.settings, "bench")
        migrate(self.engine)
        return self

    def __exit__(self, *_: Any) -> None:
        self.engine.dispose()
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(20)
        postgres.stop(self._folder / "pg")

    def python(self, *arguments: str, **settings: object) -> subprocess.Popen[bytes]:
        """Run `python ARGUMENTS` with the settings in its environment, until the context ends."""
        names = ("secret_key", "redis_url", "database_url", "rate_limit", "queue_cap")
        given = {name: getattr(self.settings, name) for name in names} | settings
        environment = {
            f"HEED_{name.upper()}": value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
            for name, value in given.items()
        }
        return self._start([sys.executable, *arguments], environment)

    def _start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        log = (self._folder / "log").open("ab")
        process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process


def wait_until(probe: Any, seconds: float = 15) -> None:
    """Return as soon as `probe` answers without an error; TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if probe():
                return
        except (redis.ConnectionError, OSError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("a server did not start")
        time.sleep(0.02)
