"""The whole system as `make run` starts it: how soon it is ready again, what it takes when idle, how soon an answer is
on the results page and its ticket at the desk, and how many viewers one process serves.

Everything goes through the public addresses. What is promised here is a limit, not a ratio: it stands as what is
compared with.
"""

import asyncio
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import sqlalchemy as sa

from bench.figures import Figure
from bench.servers import free_port
from heed.db import engine as db
from heed.settings import Settings
from local.home import Home

KEY = "benchmarks-only-key"
PAGE_RATE, PAGE_SECONDS = 500, 10
TICKET_RATE, TICKET_SECONDS = 50, 10
CONNECTIONS = 20
VIEWERS = 5_000
SERVICES = ("feedback", "results", "worker", "relay", "ticketing")
SURVEY = "/api/v1/surveys/default"
CONTENT = "All is well, thank you."  # of which no ticket comes
PROMISED = "promised"
Page = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Pushes = list[tuple[float, int]]
_TOTAL = re.compile(rb'"total":(\d+),')


def run(folder: Path, texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """Each figure, of one run."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each viewer is a file
    system = System(folder)
    say("system: started for the first time")
    system.start()
    system.stop()
    say("system: started again")
    figures = [Figure("ready again", system.start(), 10, PROMISED, "s", 1, at_most=True)]
    try:
        say("system: idle")
        time.sleep(5)
        figures.append(Figure("memory of a service, idle", system.memory(), 120, PROMISED, "MB", 1, at_most=True))
        say(f"system: {PAGE_RATE} answers a second, seen on the results page")
        seen = asyncio.run(_to_the_page(system))
        what = f"to the page at {PAGE_RATE}/s, p95"
        figures.append(Figure(what, _p95(seen), 0.5, PROMISED, "s", 1, at_most=True))
        say(f"system: {TICKET_RATE} unhappy answers a second, until their tickets are there")
        opened = asyncio.run(_to_the_desk(system, texts))
        what = f"to the ticket at {TICKET_RATE}/s, p95"
        figures.append(Figure(what, _p95(opened), 3, PROMISED, "s", 1, at_most=True))
        say(f"system: {VIEWERS} viewers")
        last = asyncio.run(_to_all_viewers(system))
        figures.append(Figure(f"to the last of {VIEWERS:,} viewers", last, 1, PROMISED, "s", 1, at_most=True))
    finally:
        system.stop()
    return figures


class System:
    """A `heed up` with ports of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._home = folder, folder / "home"
        self.feedback, self.results, sandbox = free_port(), free_port(), free_port()
        ours = {"HOME": self._home, "FEEDBACK_PORT": self.feedback, "RESULTS_PORT": self.results}
        ours |= {"SANDBOX_PORT": sandbox, "API_KEY": KEY, "ADMIN_PASSWORD": KEY, "LOG_LEVEL": "warning"}
        others = {name: value for name, value in os.environ.items() if not name.startswith("HEED_")}
        self._environment = others | {f"HEED_{name}": str(value) for name, value in ours.items()}

    def start(self) -> float:
        """Seconds until it is ready."""
        began = time.perf_counter()
        said = self._folder / "up"
        with said.open("w") as file:
            command = [sys.executable, "-m", "heed", "up"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=file, stderr=subprocess.STDOUT)
        while "Heed is ready in" not in said.read_text(encoding="utf-8"):
            if self._process.poll() is not None or time.perf_counter() - began > 120:
                raise TimeoutError(f"the system did not start: {said.read_text(encoding='utf-8')[-500:]}")
            time.sleep(0.02)
        return time.perf_counter() - began

    def stop(self) -> None:
        """End it and everything that it started."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def memory(self) -> float:
        """Megabytes that the largest service holds."""
        pids = Home(self._home).processes()
        held: list[int] = [psutil.Process(pids[name]["pid"]).memory_info().rss for name in SERVICES]
        return max(held) / 1e6

    def engine(self) -> sa.Engine:
        """Its database."""
        lines = (self._home / "run.env").read_text(encoding="utf-8").splitlines()
        written = dict(line.partition("=")[::2] for line in lines)
        return db.connect(Settings(database_url=written["HEED_DATABASE_URL"]), "bench")


async def _to_the_page(system: System) -> list[float]:
    """Seconds from sending each answer until a push to an open results page counts it."""
    page = await _watch(system.results)
    pushes: Pushes = []
    following = asyncio.create_task(_follow(page, pushes))
    while not pushes:
        await asyncio.sleep(0.05)
    before = pushes[-1][1]
    sent = await _send(system.feedback, [CONTENT], "good", PAGE_RATE, PAGE_SECONDS)
    async with asyncio.timeout(60):
        while pushes[-1][1] < before + len(sent):
            await asyncio.sleep(0.05)
    await _leave([page], [following])
    counted = iter(pushes)
    at, total = next(counted)
    times = []
    for number, began in enumerate(sorted(sent), start=before + 1):  # stored in the order in which they came
        while total < number:
            at, total = next(counted)
        times.append(at - began)
    return times


async def _to_the_desk(system: System, texts: Sequence[str]) -> list[float]:
    """Seconds from admission until the ticket is there, by the times that the ledger keeps."""
    engine = system.engine()
    times = sa.text("""
        SELECT extract(epoch FROM opened_at - received_at) FROM tickets JOIN feedback ON id = feedback_id
        WHERE opened_at IS NOT NULL
    """)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sent = await _send(system.feedback, texts, "bad", TICKET_RATE, TICKET_SECONDS)
        async with asyncio.timeout(120):
            while len(found := connection.execute(times).scalars().all()) < len(sent):
                await asyncio.sleep(0.2)
    engine.dispose()
    return [float(each) for each in found]


async def _to_all_viewers(system: System) -> float:
    """Seconds from one answer's arrival until the last of VIEWERS open pages was told."""
    pages: list[Page] = []
    while len(pages) < VIEWERS:
        pages += await asyncio.gather(*(_watch(system.results) for _ in range(min(100, VIEWERS - len(pages)))))
    pushes: list[Pushes] = [[] for _ in pages]
    following = [asyncio.create_task(_follow(*each)) for each in zip(pages, pushes, strict=True)]
    async with asyncio.timeout(60):
        while not all(pushes):
            await asyncio.sleep(0.05)
    before = max(each[-1][1] for each in pushes)
    [began] = await _send(system.feedback, ["Seen by all?"], "good", 1, 1)
    async with asyncio.timeout(60):
        while any(each[-1][1] <= before for each in pushes):
            await asyncio.sleep(0.01)
    await _leave(pages, following)
    return max(next(at for at, total in each if total > before) for each in pushes) - began


async def _watch(port: int) -> Page:
    """An open results page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    head = f"GET {SURVEY}/live HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionError(answer.decode())
    return reader, writer


async def _leave(pages: Sequence[Page], following: Sequence[asyncio.Task[None]]) -> None:
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    for _, writer in pages:
        writer.close()


async def _follow(page: Page, pushes: Pushes) -> None:
    """Note when how many answers were told."""
    while line := await page[0].readline():
        if line.startswith(b"data: ") and (found := _TOTAL.search(line)):
            pushes.append((time.perf_counter(), int(found[1])))


async def _send(port: int, texts: Sequence[str], vote: str, rate: int, seconds: int) -> list[float]:
    """Send answers at that rate for so long; when each was sent."""
    sent: list[float] = []
    began = time.perf_counter()
    turns = iter(range(rate * seconds))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in turns:
            await asyncio.sleep(began + turn / rate - time.perf_counter())
            body = json.dumps({"vote": vote, "comment": texts[turn % len(texts)][:5000]}).encode()
            head = (
                f"POST {SURVEY}/feedback HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            sent.append(time.perf_counter())
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if b" 202 " not in answer.partition(b"\r\n")[0]:
                raise ConnectionError(answer.decode())
            await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", answer)[0]))
        writer.close()

    await asyncio.gather(*(client() for _ in range(min(CONNECTIONS, rate))))
    return sent


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[18]
