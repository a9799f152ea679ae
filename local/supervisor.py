"""Runs the parts of a system: starts each as soon as what it needs is ready, restarts what dies, stops all.

Guarantees: nothing it started outlives it, however it ends (parts follow its pipe, a watcher stops the rest); a
part that dies is back after a pause that grows while it keeps dying; parts stop before what they need does.
A part that is only suspended (SIGSTOP) is alive.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil

from heed.errors import HeedError
from heed.lifecycle import Backoff
from local.home import Home
from local.watcher import kill_tree

START_SECONDS = 60.0  # a slow machine's first start; a part that is not ready by then will not be by itself
START_DEATHS = 3
STOP_SECONDS = 10.0
STEADY_SECONDS = 30.0  # after so much life a death is an accident again, not a habit
LOG_TAIL = 12


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the system. Without `ready` it does one job and ends."""

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]] | None
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    address: str | None = None  # where its health and metrics are


class Report(Protocol):
    """Who is told what happens. Telling never fails: a terminal that is gone must not take the system with it."""

    def starting(self, name: str) -> None:
        """The part's process is there."""

    def ready(self, name: str, seconds: float) -> None:
        """The part took `seconds` to be ready for the first time."""

    def started(self, seconds: float) -> None:
        """Every part is ready, `seconds` after this process was started."""

    def say(self, sentence: str) -> None:
        """Anything else that a person wants to know."""


class _Child:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.begun = time.monotonic()
        self.created = psutil.Process(process.pid).create_time()
        self.exited = asyncio.Event()


class Supervisor:
    """Runs `parts` (in the order of their needs) until SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, parts: Sequence[Part], home: Home, environment: Mapping[str, str], report: Report) -> None:
        self._parts = {part.name: part for part in parts}
        self._home = home
        # With an arena for each thread, glibc's heap would only grow.
        defaults = {"MALLOC_ARENA_MAX": "2"}
        fixed = {"HEED_FOLLOW_PARENT": "1", "PYTHONUNBUFFERED": "1"}
        self._environment = {**defaults, **os.environ, **environment, **fixed}
        self._report = report
        self._children: dict[str, _Child] = {}
        self._ready = {name: asyncio.Event() for name in self._parts}
        self._end = asyncio.Event()
        self._failure: Exception | None = None
        # Nobody ever writes to this pipe; that its other end closes is how the parts learn that we are gone.
        self._follow, self._hold = os.pipe()

    async def run(self, lock: int) -> None:
        """Start all, keep all, stop all; `lock` is held for as long as anything runs. HeedError: a part failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        watcher = self._spawn_watcher(lock)
        work = [self._keep(part) for part in self._parts.values()]
        tasks = [asyncio.create_task(self._guard(each)) for each in (*work, self._announce())]
        try:
            await self._end.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop_all()
            self._home.stopped()
            os.close(self._hold)
            watcher.wait(STOP_SECONDS)
        if self._failure is not None:
            raise self._failure

    def _asked_to_stop(self) -> None:
        if not self._end.is_set():
            self._report.say("Stopping ... (once more kills)")
            self._end.set()
            return
        for child in self._children.values():
            if not child.exited.is_set():
                kill_tree(psutil.Process(child.process.pid))

    async def _guard(self, work: Awaitable[None]) -> None:
        """Do it; whatever goes wrong ends the system instead of getting lost with the task."""
        try:
            await work
        except Exception as error:  # noqa: BLE001
            self._failure = self._failure or error
            self._end.set()

    async def _announce(self) -> None:
        for ready in self._ready.values():
            await ready.wait()
        self._report.started(time.time() - psutil.Process().create_time())

    async def _keep(self, part: Part) -> None:
        """Start a part when it is its turn; start it again whenever it ends."""
        for need in part.needs:
            await self._ready[need].wait()
        if part.ready is None:
            await self._do_once(part)
            return
        begun = time.monotonic()
        pause = Backoff(0.5, 10)
        deaths = 0
        while True:
            born = time.monotonic()
            try:
                how = await self._live(part, part.ready, begun)
            except OSError as error:  # the disk is full, or this machine has no room for another process
                how = f"cannot be started: {error}"
            deaths += 1
            if not self._ready[part.name].is_set() and deaths >= START_DEATHS:
                raise HeedError(f"{part.name} does not start: it {how}.{self._last_words(part)}")
            if time.monotonic() - born > STEADY_SECONDS:
                pause.reset()
            seconds = pause.next()
            log = self._home.log(part.name)
            self._report.say(f"{part.name} {how}; starting it again in {seconds:.1f} s. Its log: {log}")
            await asyncio.sleep(seconds)

    async def _live(self, part: Part, probe: Callable[[], Awaitable[bool]], begun: float) -> str:
        """One life of a part; how it ended."""
        child = self._spawn(part)
        waiting = asyncio.create_task(self._guard(self._await_ready(part, probe, child, begun)))
        try:
            await child.exited.wait()
        finally:
            waiting.cancel()
        return _ended(child.process.returncode)

    async def _do_once(self, part: Part) -> None:
        child = self._spawn(part)
        await child.exited.wait()
        if child.process.returncode != 0:
            raise HeedError(f"{part.name} {_ended(child.process.returncode)}.{self._last_words(part)}")
        self._ready[part.name].set()
        self._report.ready(part.name, time.monotonic() - child.begun)

    async def _await_ready(self, part: Part, probe: Callable[[], Awaitable[bool]], child: _Child, begun: float) -> None:
        known = self._ready[part.name]
        while not await probe():
            if not known.is_set() and time.monotonic() - begun > START_SECONDS:
                late = f"{part.name} is not ready after {START_SECONDS:.0f} s.{self._last_words(part)}"
                if any(part.name in other.needs for other in self._parts.values()):
                    raise HeedError(late)
                # What it waits for may be elsewhere, such as a Zendesk that is away; the rest works without it.
                self._report.say(late)
                known.set()
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - child.begun
        if known.is_set():
            self._report.say(f"{part.name} is ready again ({seconds:.1f} s).")
        else:
            known.set()
            self._report.ready(part.name, seconds)

    def _spawn(self, part: Part) -> _Child:
        log = self._home.open_log(part.name)
        try:
            process = subprocess.Popen(
                list(part.command),
                stdin=self._follow,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._environment, **part.environment},
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor alone
            )
        finally:
            os.close(log)
        child = self._children[part.name] = _Child(process)
        self._report.starting(part.name)
        try:
            self._write_processes()
        except OSError:
            kill_tree(psutil.Process(process.pid))  # nobody could stop it after us
            raise
        return child

    def _write_processes(self) -> None:
        running: dict[str, dict[str, Any]] = {
            name: {
                "pid": child.process.pid,
                "created": child.created,
                "signal": int(self._parts[name].stop_signal),
                "address": self._parts[name].address,
            }
            for name, child in self._children.items()
            if not child.exited.is_set()
        }
        self._home.started(running)

    def _spawn_watcher(self, lock: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "local.watcher", str(self._home.path)],
            stdin=self._follow,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[lock],
            start_new_session=True,
        )

    def _reap(self) -> None:
        for child in self._children.values():
            if not child.exited.is_set() and child.process.poll() is not None:
                child.exited.set()

    async def _stop_all(self) -> None:
        """Stop every part as soon as those that need it have stopped."""
        stopped = {name: asyncio.Event() for name in self._parts}

        async def stop(part: Part) -> None:
            for other in self._parts.values():
                if part.name in other.needs:
                    await stopped[other.name].wait()
            child = self._children.get(part.name)
            if child is not None and not child.exited.is_set():
                await self._stop_child(part, child)
            stopped[part.name].set()

        await asyncio.gather(*(stop(part) for part in self._parts.values()))

    async def _stop_child(self, part: Part, child: _Child) -> None:
        process = psutil.Process(child.process.pid)
        process.send_signal(part.stop_signal)
        process.send_signal(signal.SIGCONT)  # a suspended part would not hear it
        try:
            await asyncio.wait_for(child.exited.wait(), STOP_SECONDS)
        except TimeoutError:
            self._report.say(f"{part.name} does not stop; killing it. Its log: {self._home.log(part.name)}")
            kill_tree(process)
            await child.exited.wait()

    def _last_words(self, part: Part) -> str:
        try:
            lines = self._home.log(part.name).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return f" The end of {self._home.log(part.name)}:\n" + "\n".join(f"  {line}" for line in lines[-LOG_TAIL:])


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
