"""The worker's view of the surveys, and their published copy for the form."""

import time

import redis
import sqlalchemy as sa

from heed.contracts import Survey
from heed.db import engine as db
from heed.db import surveys
from heed.errors import Later
from heed.stream import surveys as published

FRESH_SECONDS = 3.0


class Surveys:
    """Surveys by slug, read anew every few seconds and whenever an unknown one is asked for."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._known: dict[str, Survey] = {}
        self._until = 0.0

    def get(self, slugs: set[str]) -> dict[str, Survey]:
        """All surveys that exist, certainly those of `slugs` that do; raises Later when they cannot be read."""
        if time.monotonic() >= self._until or not slugs <= self._known.keys():
            self._known = {survey.slug: survey for survey in self._read()}
            self._until = time.monotonic() + FRESH_SECONDS
        return self._known

    def publish(self, client: redis.Redis) -> None:
        """Put the surveys where the form reads them; raises Later."""
        found = self._read()
        try:
            published.publish(client, found)
        except (redis.RedisError, OSError) as error:
            raise Later(f"Redis: {type(error).__name__}") from error

    def _read(self) -> list[Survey]:
        with db.begin(self._engine) as connection:
            return surveys.every(connection)
