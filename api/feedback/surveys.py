"""The surveys as published in Redis, remembered for a few seconds; the form works on when Redis is away."""

import asyncio
import time

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from heed.contracts import DEFAULT_SURVEY, Survey
from heed.contracts.text import Slug
from heed.errors import Later
from heed.stream.keys import SURVEYS

FRESH_SECONDS = 3.0
FIRST_SECONDS = 1.0  # how long the first look at a survey may take before what is built in has to do
KNOWN_MOST = 10_000  # unknown slugs are remembered too; this bounds what probing can make us hold
_SLUG = TypeAdapter(Slug)


class Surveys:
    """Looks surveys up by slug. What is known is answered at once and looked up again beside it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: dict[str, Survey | None] = {}
        self._fresh_until: dict[str, float] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def get(self, slug: str) -> Survey | None:
        """The survey, or None when there is none of that name. While Redis is away, what was last known; raises Later
        for a survey that was never known: to say that there is none could cost an answer."""
        if time.monotonic() >= self._fresh_until.get(slug, 0.0):
            if slug not in self._known and not _is_slug(slug):
                return None
            look = self._looks.get(slug)
            if look is None:
                look = self._looks[slug] = asyncio.create_task(self._look(slug))
                look.add_done_callback(lambda _: self._looks.pop(slug, None))
            if slug not in self._known:
                await asyncio.wait([look], timeout=FIRST_SECONDS)
        if slug in self._known:
            return self._known[slug]
        if (standing := _built_in(slug)) is not None:
            return standing
        raise Later("the survey cannot be looked up now", retry_after=2)

    async def _look(self, slug: str) -> None:
        try:
            published = await self._redis.hget(SURVEYS, slug)
        except (RedisError, OSError):
            return
        if len(self._known) >= KNOWN_MOST:
            self._known.clear()
            self._fresh_until.clear()
        self._known[slug] = Survey.model_validate_json(published) if published else _built_in(slug)
        self._fresh_until[slug] = time.monotonic() + FRESH_SECONDS


def _is_slug(text: str) -> bool:
    try:
        _SLUG.validate_python(text)
    except ValidationError:
        return False
    return True


def _built_in(slug: str) -> Survey | None:
    # Before the worker has published anything (or after Redis was emptied) the default survey still stands.
    return DEFAULT_SURVEY if slug == DEFAULT_SURVEY.slug else None
