"""`python -m worker` runs one worker; several side by side share the queue."""

import sys
from collections.abc import Iterator

from prometheus_client.core import Metric
from starlette.applications import Starlette

from heed import tracing
from heed.db import engine as db
from heed.db import schema
from heed.errors import HeedError
from heed.lifecycle import Heartbeat, Stop, settle
from heed.settings import load
from heed.stream.queue import Queue
from heed.telemetry import QUEUE_AGE, QUEUE_DEPTH, QUEUE_MEMORY, QUEUE_PENDING, configure, log
from heed.web import health
from heed.web.serve import serve_in_background
from worker.consumer import Consumer
from worker.handler import Handler, TooManyFailures
from worker.sentiment.choose import scorer


def main() -> None:
    """Work until told to stop; exit code 1 when nothing could be processed any more."""
    settings = load()
    try:
        chosen = scorer(settings)
    except HeedError as error:
        sys.exit(f"The worker cannot start: {error}")
    configure("worker", settings.log_level)
    tracing.configure(settings, "worker")
    stop = Stop().on_signals()
    heartbeat = Heartbeat(limit=60)
    engine = db.connect(settings, "worker", pool_size=2)
    queue, probe = Queue.connect(settings), Queue.connect(settings)

    def waiting() -> Iterator[Metric]:
        snapshot = probe.snapshot()
        yield QUEUE_DEPTH.of(snapshot.length)
        yield QUEUE_PENDING.of(snapshot.pending)
        yield QUEUE_AGE.of(snapshot.oldest_age)
        yield QUEUE_MEMORY.of(probe.memory())

    checks = {"redis": probe.check, "postgres": lambda: db.check(engine), "schema": lambda: schema.check(engine)}
    serve_in_background(Starlette(routes=health.routes(heartbeat, checks, [waiting])), settings)
    handler = Handler(engine, chosen, settings.failure_limit)
    consumer = Consumer(settings, queue, handler, stop, heartbeat)
    log.info("started", consumer=consumer.name)
    schema.wait(engine, stop, heartbeat)
    settle()
    try:
        consumer.run()
    except TooManyFailures as error:
        log.critical("stopped", reason=str(error))
        sys.exit(1)
    log.info("stopped")


if __name__ == "__main__":
    main()
