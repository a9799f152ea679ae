"""The worker's side of the queue: read, acknowledge, take over what a dead worker left.

Guarantees: an entry leaves the stream only by `done`; entries of workers that died come back by `reclaim`; a
stream or group that is missing (a new or emptied Redis) is made again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from heed.errors import Later
from heed.settings import Settings
from heed.stream import keys

GROUP = "workers"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stream entry as delivered; `deliveries` counts how often it was, this time included."""

    partition: int
    entry_id: bytes
    fields: dict[bytes, bytes]
    deliveries: int = 1

    @property
    def source(self) -> str:
        """A name that is unique over all partitions."""
        return f"{self.partition}/{self.entry_id.decode()}"

    @classmethod
    def replayed(cls, source: str, fields: dict[bytes, bytes]) -> "Delivery":
        """A delivery that was quarantined under the name `source`, to be handled once more."""
        partition, _, entry_id = source.partition("/")
        return cls(int(partition), entry_id.encode(), fields)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The queue at one moment: entries ever added, entries in it, those of them delivered but not done, and the age
    of the oldest in seconds (0 when empty)."""

    added: int
    length: int
    pending: int
    oldest_age: float


@contextmanager
def _redis_errors() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Later(f"Redis: {type(error).__name__}: {error}") from error


class Queue:
    """The consumer group over all partitions. Every method raises `Later` when Redis is away."""

    def __init__(self, client: "redis.Redis", partitions: int) -> None:
        self.redis = client
        self._partitions = range(partitions)
        self._next = 0
        self._ready = False

    @classmethod
    def connect(cls, settings: Settings) -> "Queue":
        """A queue on the settings' Redis; connects when first used."""
        client = redis.Redis.from_url(
            settings.need("redis_url"),
            socket_timeout=5,
            socket_connect_timeout=3,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(client, settings.partitions)

    def read(self, consumer: str, count: int, wait_seconds: float) -> list[Delivery]:
        """Up to `count` new entries of one partition; waits when all are empty. Partitions take turns."""
        with _redis_errors():
            self._prepare()
            block: int | None = None
            for turn in range(len(self._partitions) + 1):
                if turn == len(self._partitions):
                    # All empty: wait on one for its share of the time, well below the socket's time-out.
                    block = max(1, int(min(wait_seconds, 2.0) * 1000 / len(self._partitions)))
                partition = self._next
                self._next = (partition + 1) % len(self._partitions)
                stream = keys.queue(partition)
                try:
                    answer = cast(Any, self.redis.xreadgroup(GROUP, consumer, {stream: ">"}, count=count, block=block))
                except redis.ResponseError as error:
                    self._lost_group(error)
                    return []
                entries = _entries(answer)
                if entries:
                    return [Delivery(partition, entry_id, fields) for entry_id, fields in entries]
        return []

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """They are stored (or quarantined): acknowledge and delete them."""
        with _redis_errors():
            ordered = sorted(deliveries, key=lambda delivery: delivery.partition)
            for partition, group in groupby(ordered, key=lambda delivery: delivery.partition):
                ids = [delivery.entry_id for delivery in group]
                with self.redis.pipeline(transaction=True) as pipeline:
                    pipeline.xack(keys.queue(partition), GROUP, *ids)
                    pipeline.xdel(keys.queue(partition), *ids)
                    pipeline.execute()

    def reclaim(self, consumer: str, idle_seconds: float, count: int) -> list[Delivery]:
        """Take over up to `count` entries that were delivered and not done for `idle_seconds`."""
        taken: list[Delivery] = []
        with _redis_errors():
            self._prepare()
            for partition in self._partitions:
                stream, start = keys.queue(partition), b"0-0"
                while len(taken) < count:
                    answer = cast(
                        Any,
                        self.redis.xautoclaim(
                            stream, GROUP, consumer, int(idle_seconds * 1000), start, count=count - len(taken)
                        ),
                    )
                    start, claimed = answer[0], answer[1]
                    found = [(entry_id, fields) for entry_id, fields in claimed if entry_id is not None and fields]
                    if found:
                        times = self._deliveries(stream, consumer, [entry_id for entry_id, _ in found])
                        taken += [
                            Delivery(partition, entry_id, fields, times.get(entry_id, 1)) for entry_id, fields in found
                        ]
                    if start == b"0-0":
                        break
        return taken

    def leave(self, consumer: str) -> None:
        """Forget a consumer that stops, if it holds nothing; deleting one that does would lose what it holds."""
        script = (
            "local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) "
            "if #held == 0 then return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end"
        )
        with _redis_errors():
            for partition in self._partitions:
                self.redis.eval(script, 1, keys.queue(partition), GROUP, consumer)

    def snapshot(self) -> Snapshot:
        """The queue now, each partition read at one moment."""
        added = length = pending = 0
        oldest = 0.0
        with _redis_errors():
            self._prepare()
            for partition in self._partitions:
                stream = keys.queue(partition)
                with self.redis.pipeline(transaction=True) as pipeline:
                    pipeline.xinfo_stream(stream)
                    pipeline.xpending(stream, GROUP)
                    pipeline.time()
                    info, waiting, (seconds, micros) = pipeline.execute()
                added += info["entries-added"]
                length += info["length"]
                pending += waiting["pending"]
                if info["first-entry"]:
                    born = int(info["first-entry"][0].partition(b"-")[0]) / 1000
                    oldest = max(oldest, seconds + micros / 1e6 - born)
        return Snapshot(added, length, pending, oldest)

    def memory(self) -> float:
        """How much of the memory that it may use Redis uses, from 0 to 1; 0 where nothing limits it."""
        with _redis_errors():
            info = self.redis.info("memory")
        return info["used_memory"] / info["maxmemory"] if info["maxmemory"] else 0.0

    def check(self) -> str | None:
        """Readiness: None when Redis answers, else a sentence."""
        try:
            with _redis_errors():
                self.redis.ping()
        except Later as error:
            return str(error)
        return None

    def _deliveries(self, stream: str, consumer: str, ids: Sequence[bytes]) -> dict[bytes, int]:
        rows = cast(
            Any,
            self.redis.xpending_range(stream, GROUP, min=ids[0], max=ids[-1], count=10_000, consumername=consumer),
        )
        return {row["message_id"]: row["times_delivered"] for row in rows}

    def _prepare(self) -> None:
        if self._ready:
            return
        for partition in self._partitions:
            try:
                self.redis.xgroup_create(keys.queue(partition), GROUP, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        self._ready = True

    def _lost_group(self, error: "redis.ResponseError") -> None:
        if "NOGROUP" not in str(error):
            raise error
        self._ready = False
        self._prepare()


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of an XREADGROUP answer, which is a list of pairs in RESP2 and a dictionary in RESP3."""
    if not answer:
        return []
    if isinstance(answer, dict):
        [streams] = answer.values()
        return [pair for part in streams for pair in part]
    return list(answer[0][1])
