"""The surveys as published in Redis, remembered for a few seconds; the form works on when Redis is away."""

import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from heed.contracts import DEFAULT_SURVEY, Survey
from heed.stream.keys import SURVEYS

FRESH_SECONDS = 3.0
KNOWN_MOST = 10_000  # unknown slugs are remembered too; this bounds what probing can make us hold


class Surveys:
    """Looks surveys up by slug."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: dict[str, tuple[float, Survey | None]] = {}

    async def get(self, slug: str) -> Survey | None:
        """The survey, or None when there is none of that name. While Redis is away, what was last known."""
        now = time.monotonic()
        until, survey = self._known.get(slug, (0.0, None))
        if now < until:
            return survey
        try:
            published = await self._redis.hget(SURVEYS, slug)
        except (RedisError, OSError):
            survey = survey or _built_in(slug)
        else:
            survey = Survey.model_validate_json(published) if published else _built_in(slug)
        if len(self._known) >= KNOWN_MOST:
            self._known.clear()
        self._known[slug] = (now + FRESH_SECONDS, survey)
        return survey


def _built_in(slug: str) -> Survey | None:
    # Before the worker has published anything (or after Redis was emptied) the default survey still stands.
    return DEFAULT_SURVEY if slug == DEFAULT_SURVEY.slug else None
