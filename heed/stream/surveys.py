"""The published copy of the surveys in Redis: the worker writes it, the form reads it and needs no Postgres."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heed.contracts import Survey
from heed.stream.keys import SURVEYS

if TYPE_CHECKING:
    import redis


def publish(client: "redis.Redis", surveys: Sequence[Survey]) -> None:
    """Replace the published copy, at once; raises redis.RedisError."""
    with client.pipeline(transaction=True) as pipeline:
        pipeline.delete(SURVEYS)
        pipeline.hset(SURVEYS, mapping={survey.slug: survey.model_dump_json(exclude_none=True) for survey in surveys})
        pipeline.execute()
