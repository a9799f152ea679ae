"""The worker's view of the surveys, and their published copy for the form."""

import time
from typing import TYPE_CHECKING

import redis as redis_client
import sqlalchemy as sa

from heed.contracts import Survey
from heed.db import engine as db
from heed.db.tables import surveys
from heed.errors import Later
from heed.stream import surveys as published

if TYPE_CHECKING:
    import redis

FRESH_SECONDS = 3.0


class Surveys:
    """Surveys by slug, read anew every few seconds and whenever an unknown one is asked for."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._known: dict[str, Survey] = {}
        self._until = 0.0

    def get(self, slugs: set[str], connection: sa.Connection) -> dict[str, Survey]:
        """All surveys that exist, certainly those of `slugs` that do."""
        if time.monotonic() >= self._until or not slugs <= self._known.keys():
            rows = connection.execute(sa.select(surveys.c.definition)).scalars()
            self._known = {survey.slug: survey for survey in map(Survey.model_validate, rows)}
            self._until = time.monotonic() + FRESH_SECONDS
        return self._known

    def publish(self, client: "redis.Redis") -> None:
        """Put the surveys where the form reads them; raises Later."""
        with db.begin(self._engine) as connection:
            rows = list(map(Survey.model_validate, connection.execute(sa.select(surveys.c.definition)).scalars()))
        try:
            published.publish(client, rows)
        except (redis_client.RedisError, OSError) as error:
            raise Later(f"Redis: {type(error).__name__}") from error
