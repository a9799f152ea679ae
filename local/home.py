"""HEED_HOME, the data folder of the one-machine system: its lock, its secrets, what is known of a running system.

Guarantees: one system at a time runs from a folder; secrets are made once, and only their owner can read them;
files are replaced whole, so that nobody reads half of one.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from heed.errors import HeedError
from heed.secrets import SECRETS

LOG_MOST = 5 * 1024 * 1024
CLEANING_SECONDS = 20.0


class Home:
    """One data folder, made when it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        # Postgres, when root starts it, runs as another user, who has to pass through here.
        self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        self._environment = self.path / "run.env"
        self._processes = self.path / "run.json"

    def lock(self) -> int:
        """Take the folder for this process; the lock's file descriptor. HeedError names who has it already."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + CLEANING_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode() or "0"
                # A supervisor that was killed has left the lock to its watcher, which is stopping the parts.
                if _lives(int(holder)) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise HeedError(
                        f"Heed already runs from {self.path} (process {holder}). Stop it there, or set HEED_HOME to "
                        "another folder (and HEED_FEEDBACK_PORT, HEED_RESULTS_PORT and HEED_SANDBOX_PORT to other "
                        "ports) to run a second one beside it."
                    ) from None
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def secrets(self, given: Mapping[str, str]) -> dict[str, str]:
        """The system's secrets: those `given`, else those kept here, made when there are none yet."""
        file = self.path / "secrets.env"
        kept = _read_environment(file)
        missing = [name for name in SECRETS if not given.get(name) and not kept.get(name)]
        if missing:
            kept |= {name: SECRETS[name]() for name in missing}
            _write(file, _as_environment(kept))
        return {name: given.get(name) or kept[name] for name in SECRETS}

    def running(self, environment: Mapping[str, str]) -> None:
        """Write what commands in another terminal need to know of this system (heed.settings.load_running)."""
        _write(self._environment, _as_environment(environment))

    def processes(self) -> dict[str, dict[str, Any]]:
        """The parts' processes by name: pid, created (seconds since 1970), signal (that stops it)."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._processes.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def started(self, processes: Mapping[str, Mapping[str, Any]]) -> None:
        """Write which processes there are now."""
        _write(self._processes, json.dumps(processes, indent=2) + "\n")

    def stopped(self) -> None:
        """Forget what ran: nothing does any more."""
        for file in (self._environment, self._processes):
            file.unlink(missing_ok=True)

    def log(self, part: str) -> Path:
        """The part's log file."""
        return self.path / "logs" / f"{part}.log"

    def open_log(self, part: str) -> int:
        """Open the part's log to append to; one that has grown too large becomes `.log.1`."""
        file = self.log(part)
        file.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_size > LOG_MOST:
                file.replace(file.with_suffix(".log.1"))
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _read_environment(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in lines if name.startswith("HEED_")}


def _as_environment(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(f"{file.suffix}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
