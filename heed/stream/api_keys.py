"""The published copy of the API keys that may send answers, in Redis: the worker writes it, the feedback site reads it
and needs no Postgres.

Guarantees: it holds digests, no keys; it tells a key that is not there from a copy that is not there (yet), so that no
good key is refused because Redis was emptied.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heed.errors import Later
from heed.stream.keys import API_KEYS

if TYPE_CHECKING:
    import redis
    from redis.asyncio import Redis

_PUBLISHED = "published"  # a member that is always there, since Redis has no empty sets


def publish(client: "redis.Redis", digests: Sequence[str]) -> None:
    """Replace the published copy, at once; raises redis.RedisError."""
    with client.pipeline(transaction=True) as pipeline:
        pipeline.delete(API_KEYS)
        pipeline.sadd(API_KEYS, _PUBLISHED, *digests)
        pipeline.execute()


async def is_published(client: "Redis", digest: str) -> bool:
    """Whether a key of this digest may send answers; raises redis.RedisError, and Later when nobody has told yet."""
    published, there = await client.smismember(API_KEYS, [_PUBLISHED, digest])
    if not published:
        raise Later("The API keys are not published yet.")
    return bool(there)
