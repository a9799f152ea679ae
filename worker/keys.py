"""The published copy of the API keys, for the feedback site: what is revoked vanishes from it within seconds."""

import redis
import sqlalchemy as sa

from heed.db import api_keys
from heed.db import engine as db
from heed.errors import Later
from heed.stream import api_keys as published


def publish(engine: sa.Engine, client: redis.Redis) -> None:
    """Put the keys that may send answers where the feedback site reads them; raises Later."""
    with db.begin(engine) as connection:
        digests = api_keys.submitting(connection)
    try:
        published.publish(client, digests)
    except (redis.RedisError, OSError) as error:
        raise Later(f"Redis: {type(error).__name__}") from error
