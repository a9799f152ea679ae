"""Ends the streams of those who may look no more: logged out, disabled, without that survey, with a revoked key.

Guarantees: within a few seconds, for one query however many look on; while Postgres is away nobody's stream is ended.
"""

import asyncio

from starlette.concurrency import run_in_threadpool

from api.results.access import Access
from api.results.live import Live
from heed.errors import Later
from heed.telemetry import log

CHECK_SECONDS = 2.0


async def keep_out(access: Access, live: Live) -> None:
    """Look again and again, until cancelled."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        viewers = live.viewers()
        if not viewers:
            continue
        try:
            still = await run_in_threadpool(access.still, {viewer.who for _, viewer in viewers})
        except Later:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the looking
            log.error("streams cannot be checked", error=type(error).__name__)
            continue
        for survey, viewer in viewers:
            now = still.get(viewer.who)
            if now is None or not now.sees(survey):
                viewer.over = True
                viewer.news.set()
