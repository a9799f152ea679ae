"""Services that run in a thread of the tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings
from heed.stream.queue import Queue
from worker.consumer import Consumer
from worker.handler import Handler
from worker.sentiment.vader import VaderScorer


@contextmanager
def working(settings: Settings, engine: sa.Engine) -> Iterator[None]:
    """A worker."""
    stop = Stop()
    handler = Handler(engine, VaderScorer(), settings.failure_limit)
    consumer = Consumer(settings, Queue.connect(settings), handler, stop, Heartbeat(60))
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join(20)
    assert not thread.is_alive()
