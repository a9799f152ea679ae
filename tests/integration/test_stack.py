"""The one-machine system as `heed up` runs it: it starts, mends itself, and leaves nothing behind but its data."""

import asyncio
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from conftest import free_port, wait_for
from system import System, assert_all_gone

from heed.errors import HeedError
from heed.settings import Settings
from local import ports, postgres, supervisor
from local.home import SECRETS, Home
from local.stack import build
from local.supervisor import Part, Supervisor


@pytest.fixture(scope="module")
def systems() -> Iterator[list[System]]:
    """Two systems side by side, one where a proxy leads to the world."""
    # Not in pytest's own folder: each new session closes that to others, such as Postgres' user when root tests.
    folder = Path(tempfile.mkdtemp(prefix="heed-stack-"))
    nobody = f"http://127.0.0.1:{free_port()}"
    pair = [System(folder / "one"), System(folder / "two", HEED_ADMIN_PASSWORD="chosen-by-hand", http_proxy=nobody)]
    for system in pair:
        system.begin()
    try:
        for system in pair:
            system.wait()
        yield pair
    finally:
        for system in pair:
            if system.process is not None and system.process.poll() is None:
                system.end()
        shutil.rmtree(folder)


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_two_systems_side_by_side(systems: list[System]) -> None:
    one, two = systems
    taken = one.answer(vote="bad", comment="The kettle leaks and nobody answers.")
    assert taken.status_code == 202
    wait_for(lambda: one.books()["ticketed"] == 1, 30, "its ticket")
    assert one.books()["balanced"]
    assert two.books()["accepted"] == 0


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_secrets_are_kept_from_others(systems: list[System]) -> None:
    one, two = systems
    for system in systems:
        for name in ("secrets.env", "run.env", "run.json"):
            assert (system.home / name).stat().st_mode & 0o777 == 0o600
    assert all(name in (one.home / "secrets.env").read_text() for name in SECRETS)
    assert not any("chosen-by-hand" in (two.home / name).read_text() for name in ("secrets.env", "run.env"))
    assert "chosen-by-hand" not in two.said()


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_what_is_in_the_way_is_said_before_anything_starts(systems: list[System], tmp_path: Path) -> None:
    one, two = systems
    second = one.heed("up")
    assert second.returncode == 1
    assert f"(process {one.process.pid if one.process else 0})" in second.stderr
    port = two.environment["HEED_RESULTS_PORT"]
    taken = System(tmp_path / "three", HEED_RESULTS_PORT=port).heed("up")
    assert taken.returncode == 1
    assert f"Port {port} is taken" in taken.stderr
    assert "HEED_RESULTS_PORT" in taken.stderr
    assert str(two.pids()["results"]) in taken.stderr
    assert not (tmp_path / "three" / "run.json").exists()


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_what_dies_comes_back_and_what_sleeps_is_left_alone(systems: list[System]) -> None:
    one = systems[0]
    before = one.pids()
    os.kill(before["relay"], signal.SIGSTOP)
    for name in ("valkey", "postgres", "worker"):
        os.kill(before[name], signal.SIGKILL)
    for name in ("valkey", "postgres", "worker"):
        one.wait(f"{name} is ready again")
    os.kill(before["relay"], signal.SIGCONT)
    assert (
        f"worker was killed by SIGKILL; starting it again in 0.5 s. Its log: {one.home}/logs/worker.log" in one.said()
    )
    after = one.pids()
    assert {name for name in before if before[name] != after[name]} == {"valkey", "postgres", "worker"}
    accepted = one.books()["accepted"]
    assert one.answer(vote="good").status_code == 202
    wait_for(lambda: one.books()["stored"] == accepted + 1, 30, "the answer to be stored")
    assert one.books()["balanced"]


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_ctrl_c_and_kill_leave_nothing_but_the_data(systems: list[System]) -> None:
    one, two = systems
    family = two.family()
    assert two.end(signal.SIGTERM) == 0
    assert_all_gone(family)

    assert one.answer(vote="good", comment="Lovely.").status_code == 202
    books = wait_for(lambda: (found := one.books())["queued"] == 0 and found, 30, "everything to be stored")
    family = one.family()
    os.kill(one.pids()["sandbox"], signal.SIGSTOP)  # it must be woken to hear that it should stop
    assert one.end() == 0
    assert_all_gone(family)
    assert not (one.home / "run.env").exists()

    one.begin()
    one.wait("postgres is ready")
    family = one.family()
    one.end(signal.SIGKILL)
    # The next one waits until what the killed one left is stopped, then starts on the same folder and ports.
    one.begin()
    assert_all_gone(family)
    one.wait()
    assert one.books()["stored"] == books["stored"]


class Silent:
    """A report that is kept; a Ctrl-C once all is ready."""

    def starting(self, name: str) -> None: ...

    def ready(self, name: str, seconds: float) -> None: ...

    def started(self, seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def __init__(self) -> None:
        self.said: list[str] = []


def run(home: Home, *parts: Part) -> list[str]:
    """Until all is ready; what was said."""
    report = Silent()
    asyncio.run(Supervisor(parts, home, {}, report).run(home.lock()))
    return report.said


async def never() -> bool:
    return False


def test_a_part_that_does_not_start_ends_the_system_with_its_last_words(tmp_path: Path) -> None:
    steady = Part(name="steady", command=["sleep", "60"], ready=never)
    broken = Part(name="broken", command=[sys.executable, "-c", "raise SystemExit('no such valve')"], ready=never)
    before = psutil.Process().children(recursive=True)
    with pytest.raises(HeedError) as failure:
        run(Home(tmp_path), steady, broken)
    assert "broken does not start: it ended with exit code 1" in str(failure.value)
    assert "no such valve" in str(failure.value)
    assert not set(psutil.Process().children(recursive=True)) - set(before)


def test_a_part_that_is_late_holds_up_only_what_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Zendesk that is away must not keep the form from its customers."""
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.2)
    late = Part(name="late", command=["sleep", "60"], ready=never)
    assert any("late is not ready after" in sentence for sentence in run(Home(tmp_path / "one"), late))
    with pytest.raises(HeedError, match="late is not ready after"):
        run(Home(tmp_path / "two"), late, Part(name="other", command=["sleep", "60"], ready=never, needs=("late",)))


def test_a_disk_that_is_full_for_a_moment_stops_nothing(tmp_path: Path) -> None:
    class Full(Home):
        times = 2

        def started(self, processes: Mapping[str, Mapping[str, Any]]) -> None:
            if self.times:
                self.times -= 1
                raise OSError(errno.ENOSPC, "No space left on device")
            super().started(processes)

    home = Full(tmp_path)

    async def recorded() -> bool:
        return bool(home.processes())

    mine = psutil.Process()
    alive: list[psutil.Process] = []

    async def ready() -> bool:
        alive[:] = [child for child in mine.children() if child.name() == "sleep"]
        return await recorded()

    said = run(home, Part(name="part", command=["sleep", "60"], ready=ready))
    assert sum("cannot be started" in sentence for sentence in said) == 2
    assert len(alive) == 1


def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = System(tmp_path / "file" / "home").heed("up")
    assert ended.returncode == 1
    assert ended.stderr.startswith("heed: Heed cannot run from")
    assert "Traceback" not in ended.stderr


def test_a_reader_who_goes_does_not_end_what_is_told() -> None:
    code = (
        "from local.display import Display, Facts, Terminal\n"
        "display = Display(Terminal(), [], lambda: Facts([], ''))\n"
        "display.say('one'); display.started(1.0); display.say('two')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_parts_are_asked_where_they_listen(tmp_path: Path) -> None:
    wanted = {f"{name}_port": free_port() for name in ("feedback", "results", "sandbox")}
    stack = build(Settings(bind="127.0.0.2", **wanted), Home(tmp_path), {"NO_PROXY": "intranet"})
    sites = {part.name: part.address for part in stack.parts if part.address and part.name != "aws"}
    assert len(sites) == 6
    assert all(address.startswith("http://127.0.0.2:") for address in sites.values())
    for name, part in (("FEEDBACK", "feedback"), ("RESULTS", "results"), ("ZENDESK", "sandbox")):
        assert stack.environment[f"HEED_{name}_URL"] == sites[part]
    assert stack.environment["NO_PROXY"] == stack.environment["no_proxy"] == "intranet,127.0.0.1,127.0.0.2"
    assert ports.reached_at("0.0.0.0") == "127.0.0.1"


def test_postgres_that_goes_while_it_is_asked_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Going:
        autocommit = False

        def cursor(self) -> None:
            raise psycopg2.OperationalError("terminating connection")

        def close(self) -> None: ...

    monkeypatch.setattr(psycopg2, "connect", lambda *_, **__: Going())
    assert not postgres.ready(tmp_path)


def test_parts_start_after_and_stop_before_what_they_need(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = (
        "import signal, sys, pathlib\n"
        "def write(word):\n"
        "    with pathlib.Path(sys.argv[1]).open('a') as file: file.write(word + sys.argv[2] + ' ')\n"
        "def stop(*_):\n"
        "    write('-'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); write('+'); signal.pause()\n"
    )

    def part(name: str, *needs: str) -> Part:
        async def ready() -> bool:
            return trace.exists() and f"+{name}" in trace.read_text()

        return Part(name=name, command=[sys.executable, "-c", code, str(trace), name], ready=ready, needs=needs)

    run(Home(tmp_path), part("last", "middle"), part("middle", "first"), part("first"))
    assert trace.read_text().split() == ["+first", "+middle", "+last", "-last", "-middle", "-first"]


def test_secrets_are_made_once_and_the_environment_wins(tmp_path: Path) -> None:
    first = Home(tmp_path).secrets({"HEED_API_KEY": "mine"})
    second = Home(tmp_path).secrets({})
    assert first["HEED_API_KEY"] == "mine" != second["HEED_API_KEY"]
    assert first["HEED_SECRET_KEY"] == second["HEED_SECRET_KEY"]
    assert len(first["HEED_SECRET_KEY"]) >= 32


def test_ports_that_cannot_be_used() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(HeedError, match=rf"Port {port} is taken by .* \(process {os.getpid()}\).*HEED_ONE"):
            ports.check({"HEED_ONE": port}, "127.0.0.1")
    ports.check({"HEED_ONE": port}, "127.0.0.1")
    with pytest.raises(HeedError, match="HEED_ONE and HEED_TWO are both"):
        ports.check({"HEED_ONE": port, "HEED_TWO": port}, "127.0.0.1")
    assert len(set(ports.choose(50))) == 50


def test_a_log_that_grew_too_large_is_put_aside(tmp_path: Path) -> None:
    home = Home(tmp_path)
    os.close(home.open_log("part"))
    home.log("part").write_bytes(b"x" * (6 * 1024 * 1024))
    os.close(home.open_log("part"))
    assert home.log("part").stat().st_size == 0
    assert (tmp_path / "logs" / "part.log.1").stat().st_size == 6 * 1024 * 1024
