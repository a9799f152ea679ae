"""Admissions a second, durable in the queue: the feedback site against a bare route, in turns, same server settings."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import uvloop

from bench.figures import Figure
from bench.servers import Servers, free_port, listens, wait_until

CONNECTIONS = 64
SECONDS = 2.5
ROUNDS = 4


def run(servers: Servers, texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """Rate and p99, each the median of ROUNDS."""
    ports = {"bare": free_port(), "heed": free_port()}
    servers.python("-m", "bench.bare", feedback_port=ports["bare"])
    servers.python("-m", "api.feedback", feedback_port=ports["heed"])
    for port in ports.values():
        wait_until(partial(listens, port))
    requests = [_request(text) for text in texts]
    rates: dict[str, list[float]] = {name: [] for name in ports}
    tails: dict[str, list[float]] = {name: [] for name in ports}
    for port in ports.values():
        uvloop.run(_load(port, requests, 0.5))  # warm up
    for turn in range(ROUNDS):
        for name, port in ports.items():
            say(f"admissions: round {turn + 1} of {ROUNDS}, {name}")
            times = uvloop.run(_load(port, requests, SECONDS))
            rates[name].append(len(times) / SECONDS)
            tails[name].append(statistics.quantiles(times, n=100)[98] * 1000)
    rate = {name: statistics.median(values) for name, values in rates.items()}
    tail = {name: statistics.median(values) for name, values in tails.items()}
    baseline = "bare route, one XADD"
    return [
        Figure("admissions, durable", rate["heed"], rate["bare"], baseline, "/s", 0.6),
        Figure("admissions, p99", tail["heed"], tail["bare"], baseline, "ms", 1.5, at_most=True),
    ]


def _request(text: str) -> bytes:
    body = json.dumps({"vote": "bad", "rating": 2, "comment": text[:5000]}).encode()
    return (
        b"POST /api/v1/surveys/default/feedback HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


async def _load(port: int, requests: Sequence[bytes], seconds: float) -> list[float]:
    """Keep CONNECTIONS busy for `seconds`; the time of each answer, in seconds."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    clients = [
        await loop.create_connection(partial(_Client, requests, start, until, times), "127.0.0.1", port)
        for start in range(CONNECTIONS)
    ]
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(protocol.done for _, protocol in clients))
    for transport, _ in clients:
        transport.close()
    return times


class _Client(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next. As little work as can be, since it shares
    the machine with what it measures."""

    def __init__(self, requests: Sequence[bytes], start: int, until: float, times: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests, self._next, self._until, self._times = requests, start, until, times
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(RuntimeError(self._received.decode()))
            return
        now = time.perf_counter()
        self._times.append(now - self._sent)
        self._received = b""
        if now < self._until:
            self._send()
        else:
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent = time.perf_counter()
        self._transport.write(request)
