"""`python -m worker` runs one worker; several side by side share the queue."""

import sys

from starlette.applications import Starlette

from heed.db import engine as db
from heed.db import schema
from heed.lifecycle import Heartbeat, Stop, settle
from heed.settings import load
from heed.stream.queue import Queue
from heed.telemetry import QUEUE_AGE, QUEUE_DEPTH, configure, log
from heed.web import health
from heed.web.serve import serve_in_background
from worker.consumer import Consumer
from worker.handler import Handler, TooManyFailures
from worker.sentiment.vader import VaderScorer


def main() -> None:
    """Work until told to stop; exit code 1 when nothing could be processed any more."""
    settings = load()
    configure("worker", settings.log_level)
    stop = Stop().on_signals()
    heartbeat = Heartbeat(limit=60)
    engine = db.connect(settings, "worker", pool_size=2)
    queue, probe = Queue.connect(settings), Queue.connect(settings)

    def measure() -> None:
        snapshot = probe.snapshot()
        QUEUE_DEPTH.set(snapshot.length)
        QUEUE_AGE.set(snapshot.oldest_age)

    checks = {"redis": probe.check, "postgres": lambda: db.check(engine), "schema": lambda: schema.check(engine)}
    serve_in_background(Starlette(routes=health.routes(heartbeat.problem, checks, measure)), settings)
    handler = Handler(engine, VaderScorer(), settings.failure_limit)
    consumer = Consumer(settings, queue, handler, stop, heartbeat)
    log.info("started", consumer=consumer.name)
    settle()
    try:
        consumer.run()
    except TooManyFailures as error:
        log.critical("stopped", reason=str(error))
        sys.exit(1)
    log.info("stopped")


if __name__ == "__main__":
    main()
