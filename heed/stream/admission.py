"""Admission: a submission is on the stream with its vote lock, or it is not; there is nothing in between.

Guarantees: an `Admitted` is as durable as Redis is configured; a client's first submission wins and a repeat of
it is recognised; what is tried again, once, after a broken connection enters once, since its lock tells its own.
Submissions that arrive together share a round trip (and its fsync): one script call is in flight for each partition
while the next batch gathers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import cast
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError, RedisError

from heed.contracts import StreamEntry
from heed.contracts.entry import VERSION
from heed.errors import Later
from heed.settings import Settings
from heed.stream import keys
from heed.telemetry import ADMISSION_BATCH, ADMISSION_SECONDS, log, log_ids, timed

SCRIPT = files("heed.stream").joinpath("admission.lua").read_text(encoding="utf-8")
BATCH_MOST = 128
WAITING_MOST = 4096  # more than this is overload: answered at once, while memory and patience last
TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """It is on the stream."""


@dataclass(frozen=True, slots=True)
class Held:
    """The client's vote was there before, as submission `id`; `same` when this is a repeat of that request."""

    id: UUID
    same: bool


@dataclass(frozen=True, slots=True)
class Limited:
    """Too many from this address; `retry_after` in seconds."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Full:
    """The queue is at its cap."""


Outcome = Admitted | Held | Limited | Full


@dataclass(frozen=True, slots=True)
class _Item:
    """One line of the script's call: (vote lock, the address's counter, the survey's counter) and (entry, the lock's
    value, admissions to the survey that raise no suspicion). No id: nothing enters."""

    keys: tuple[str, str, str]
    arguments: tuple[str, str, int]
    id: str = ""


def connect(settings: Settings) -> Redis:
    """An asyncio client that never repeats a command by itself; connects when first used."""
    return Redis.from_url(
        settings.need("redis_url"),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=2,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class Admission:
    """The way in. `Later` means that Redis is away or refuses writes; whether a submission got in is then unknown."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._partitions = settings.partitions
        self._limit = settings.rate_limit
        common = (settings.queue_cap, settings.vote_lock_days * 86_400, settings.rate_limit, VERSION)
        self._lanes = [_Lane(redis, keys.queue(partition), common) for partition in range(settings.partitions)]

    async def admit(self, entry: StreamEntry, digest: str, address: str | None, burst: int | None = None) -> Outcome:
        """Put `entry` on the stream unless its client already voted.

        `digest` identifies the request ('' when it cannot be repeated); `address` is counted against the rate
        limit (None: not limited); more than `burst` a minute to the entry's survey are flagged (None: never).
        """
        partition = keys.partition_of(entry.client, self._partitions)
        lane = self._lanes[partition]
        counter = lane.stream
        if address is not None and self._limit:
            home = keys.partition_of(address, self._partitions)
            if home == partition:
                counter = keys.rate(home, address)
            else:
                # The counter lives in another partition, perhaps on another node: count there first.
                other = self._lanes[home]
                outcome = await other.send(_Item((other.stream, keys.rate(home, address), other.stream), ("", "", 0)))
                if outcome != b"+":  # a repeat is answered all the same, as it is where one script sees both
                    return await self.held(entry.survey, entry.client, digest) or _outcome(outcome, digest)
        lock = keys.vote(partition, entry.survey, entry.client)
        name = str(entry.id)
        # Clients are spread evenly over the partitions, and so are a survey's answers.
        survey, most = (lane.stream, 0) if burst is None else (keys.burst(partition, entry.survey), burst)
        arguments = (entry.model_dump_json(), f"{name} {digest}", -(-most // self._partitions))
        item = _Item((lock, counter, survey), arguments, name)
        return _outcome(await lane.send(item), digest)

    async def held(self, survey: str, client: str, digest: str) -> Held | None:
        """The client's vote, if it is there; raises Later."""
        key = keys.vote(keys.partition_of(client, self._partitions), survey, client)
        try:
            value = await self._redis.get(key)
        except (RedisError, OSError) as error:
            raise Later("the queue does not answer now", retry_after=2) from error
        found = None if value is None else _outcome(cast(bytes, value), digest)
        return found if isinstance(found, Held) else None


def _outcome(answer: bytes, digest: str) -> Outcome:
    if answer == b"+":
        return Admitted()
    if answer == b"full":
        return Full()
    first, _, rest = answer.decode().partition(" ")
    if first == "rate":
        return Limited(max(int(rest), 1))
    return Held(UUID(first), bool(digest) and rest == digest)


class _Lane:
    """One partition's round trips: one in flight, the next gathering."""

    def __init__(self, redis: Redis, stream: str, common: tuple[int, int, int, int]) -> None:
        self.stream = stream
        self._redis = redis
        self._common = common
        self._waiting: list[tuple[_Item, asyncio.Future[bytes]]] = []
        self._flight: asyncio.Task[None] | None = None
        self._sha: str | None = None

    async def send(self, item: _Item) -> bytes:
        """What the script answers for `item`."""
        if len(self._waiting) >= WAITING_MOST:
            raise Later("too many submissions at once", retry_after=1)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        return await future

    async def _fly(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MOST], self._waiting[BATCH_MOST:]
                ADMISSION_BATCH.observe(len(batch))
                try:
                    with timed(ADMISSION_SECONDS):
                        answers = await self._call([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting for an answer
                    unknown = [item.id for item, _ in batch if item.id]  # they may be on the stream all the same
                    # Those still waiting would meet the same: tell all of them now rather than one time-out each.
                    batch, self._waiting = batch + self._waiting, []
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(Later("the queue does not take submissions now", retry_after=2))
                    log.warning("admission-failed", error=f"{type(error).__name__}: {error}", waiting=len(batch))
                    log_ids("admission-unknown", unknown)
                else:
                    admitted = []
                    for (item, future), answer in zip(batch, answers, strict=True):
                        # A lock that holds exactly what this item would write: its first try came through.
                        ours = item.id and answer == item.arguments[1].encode()
                        if item.id and (ours or answer == b"+"):
                            admitted.append(item.id)
                        if not future.done():
                            future.set_result(b"+" if ours else answer)
                    log_ids("admitted", admitted)
        finally:
            self._flight = None

    async def _call(self, items: Sequence[_Item]) -> list[bytes]:
        try:
            return await self._run(items)
        except Disconnected:
            # Redis closed the connection, perhaps long ago: only its use tells. If the script ran, its locks tell.
            return await self._run(items)

    async def _run(self, items: Sequence[_Item]) -> list[bytes]:
        names = [self.stream, *(key for item in items for key in item.keys)]
        values: list[str | int] = [*self._common, *(argument for item in items for argument in item.arguments)]
        if self._sha is None:
            self._sha = await self._redis.script_load(SCRIPT)
        try:
            answers = await self._redis.evalsha(self._sha, len(names), *names, *values)
        except NoScriptError:  # Redis was restarted; nothing was run
            self._sha = await self._redis.script_load(SCRIPT)
            answers = await self._redis.evalsha(self._sha, len(names), *names, *values)
        return cast(list[bytes], answers)
