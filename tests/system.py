"""A whole system as `heed up` runs it, for the tests that start one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from conftest import free_port, wait_for

from local.home import Home

START_SECONDS = 90  # for a machine that is busy with other tests


class System:
    """A `heed up` with a folder and ports of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        sites = ("HEED_FEEDBACK_PORT", "HEED_RESULTS_PORT", "HEED_SANDBOX_PORT")
        strange = {name for name in os.environ if name.startswith("HEED_")}
        self.environment = {name: value for name, value in os.environ.items() if name not in strange}
        self.environment |= {name: str(free_port()) for name in sites} | {"HEED_HOME": str(home)} | environment
        self.process: subprocess.Popen[str] | None = None

    def heed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "heed", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )

    def begin(self, *arguments: str) -> None:
        self.output = self.home.parent / f"{self.home.name}.out"
        with self.output.open("w") as file:
            command = [sys.executable, "-m", "heed", "up", *arguments]
            self.process = subprocess.Popen(command, env=self.environment, stdout=file, stderr=subprocess.STDOUT)

    def wait(self, sentence: str = "Heed is ready in") -> None:
        """Until it has said so; a failure shows what it said instead."""
        deadline = time.monotonic() + START_SECONDS
        while sentence not in self.said():
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def pids(self) -> dict[str, int]:
        return {name: entry["pid"] for name, entry in Home(self.home).processes().items()}

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def books(self) -> Any:
        return json.loads(self.heed("books", "--json").stdout)

    def answer(self, **body: object) -> httpx.Response:
        site = f"http://127.0.0.1:{self.environment['HEED_FEEDBACK_PORT']}"
        return httpx.post(f"{site}/api/v1/surveys/default/feedback", json=body, trust_env=False)

    def end(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


def gone(process: psutil.Process) -> bool:
    """Whether it has ended (nobody may have collected it yet)."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_all_gone(family: list[psutil.Process]) -> None:
    wait_for(lambda: all(gone(process) for process in family), 30, "every process to end")


@contextmanager
def running(**environment: str) -> Iterator[System]:
    """A system that is ready, in a new folder that goes with it."""
    # Not in pytest's own folder: each new session closes that to others, such as Postgres' user when root tests.
    folder = Path(tempfile.mkdtemp(prefix="heed-system-"))
    system = System(folder / "home", **environment)
    system.begin()
    try:
        system.wait()
        yield system
    finally:
        if system.process is not None and system.process.poll() is None:
            system.end()
        shutil.rmtree(folder)
