"""The relay: from the outbox to the bus, again and again until the ledger shows the ticket.

Guarantees: what is due is published, whatever died before; an event that got lost on its way is published again
after a growing pause; several relays side by side share the work. Run as `python -m worker.relay`; beside it runs what
has to happen all the time, whatever becomes of the bus: the books are taken, and what customers want erased, or
what was kept long enough, is erased.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import sqlalchemy as sa
from prometheus_client.core import Metric
from starlette.applications import Starlette

from heed import books, tracing
from heed.db import engine as db
from heed.db import outbox, quarantine, schema
from heed.errors import Later
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.settings import Settings, load
from heed.stream.queue import Queue
from heed.telemetry import (
    BOOKS,
    BOOKS_IMBALANCE,
    BOOKS_TAKEN,
    EVENTS,
    OUTBOX_AGE,
    OUTBOX_DEPTH,
    QUARANTINE,
    configure,
    log,
    log_ids,
)
from heed.web import health
from heed.web.serve import serve_in_background
from worker import erasing, retention
from worker.bus import ENTRIES_MOST, Bus

CLAIM_MOST = 50
IDLE_SECONDS = 0.2
BOOKS_SECONDS = 10.0
BOOKS_STALE_SECONDS = 60.0


class Relay:
    """Publishes what is due in the outbox."""

    def __init__(self, settings: Settings, engine: sa.Engine, bus: Bus) -> None:
        self._engine, self._bus = engine, bus
        self._again_after = settings.republish_after

    def run(self, stop: Stop, heartbeat: Heartbeat) -> None:
        """Publish until told to stop."""
        pauses = Backoff()
        while not stop:
            heartbeat.beat()
            try:
                claimed = self.turn()
                pauses.reset()
            except Later as error:
                log.warning("waiting", reason=str(error))
                stop.wait(pauses.next())
            else:
                if claimed < CLAIM_MOST:
                    stop.wait(IDLE_SECONDS)

    def turn(self) -> int:
        """Publish up to CLAIM_MOST due events; how many were due. Raises Later when Postgres or the bus is away.

        Dying between the claim and the report costs nothing: the claim runs out and the event is published again.
        """
        with db.begin(self._engine) as connection:
            claimed = outbox.claim(connection, CLAIM_MOST)
        for start in range(0, len(claimed), ENTRIES_MOST):
            part = claimed[start : start + ENTRIES_MOST]
            began = tracing.now()
            try:
                errors = self._bus.publish([event for _, event, _ in part])
            except Later as error:
                # The rest would fare the same; it is due again when its claim or its pause is over.
                with db.begin(self._engine) as connection:
                    outbox.not_published(connection, [claim[0] for claim in claimed[start:]], str(error))
                _tell(part, began, ["unreachable"] * len(part))
                raise
            taken = [claim[0] for claim, error in zip(part, errors, strict=True) if error is None]
            with db.begin(self._engine) as connection:
                outbox.published(connection, taken, self._again_after)
                for claim, refusal in zip(part, errors, strict=True):
                    if refusal is not None:
                        outbox.not_published(connection, [claim[0]], refusal)
                        log.warning("event-refused", id=str(claim[0]), error=refusal)
            _tell(part, began, ["published" if error is None else "refused" for error in errors])
        return len(claimed)


def _tell(part: Sequence[outbox.Claim], began: int, outcomes: Sequence[str]) -> None:
    """Say in metrics, log and traces what became of one call's events."""
    ended = tracing.now()
    log_ids(
        "published", [str(claim[0]) for claim, outcome in zip(part, outcomes, strict=True) if outcome == "published"]
    )
    for (feedback_id, _, before), outcome in zip(part, outcomes, strict=True):
        EVENTS.labels(outcome).inc()
        if before and outcome == "published":
            log.info("published-again", id=str(feedback_id), before=before)
        tracing.record(feedback_id, "publish", began, ended, attempt=before + 1, outcome=outcome)


class Watch:
    """Takes the books every BOOKS_SECONDS; gauges and an error line say when they do not balance."""

    def __init__(self, engine: sa.Engine, queue: Queue) -> None:
        self._engine, self._queue = engine, queue
        self._last: tuple[float, books.Books] | None = None

    def run(self, stop: Stop) -> None:
        """Until told to stop."""
        while not stop:
            try:
                self._take()
            except Later as error:
                log.warning("books-not-taken", reason=str(error))
            except Exception as error:  # noqa: BLE001 - this thread ends with the process, not before
                log.error("books-not-taken", reason=type(error).__name__)
            stop.wait(BOOKS_SECONDS)

    def _take(self) -> None:
        taken = books.take(self._engine, self._queue)
        self._last = (time.monotonic(), taken)
        if taken.balanced is not None:
            BOOKS_TAKEN.now()
        if taken.balanced is False:
            log.error("books-imbalance", problems=taken.problems)

    def readings(self) -> Iterator[Metric]:
        """The books as last taken; nothing when that is long ago."""
        if self._last is not None and time.monotonic() - self._last[0] < BOOKS_STALE_SECONDS:
            taken = self._last[1]
            entries = {name: value for name, value in taken.model_dump().items() if type(value) is int}
            imbalance = entries.pop("imbalance")
            yield BOOKS.by(entries)
            if taken.balanced is not None:
                yield BOOKS_IMBALANCE.of(imbalance)


def main() -> None:
    """Relay until told to stop."""
    settings = load()
    configure("relay", settings.log_level)
    tracing.configure(settings, "relay")
    stop = Stop().on_signals()
    heartbeat = Heartbeat(limit=60)
    engine = db.connect(settings, "relay", pool_size=4)

    def standing() -> Iterator[Metric]:
        with engine.connect() as connection:
            yield OUTBOX_DEPTH.of(outbox.depth(connection))
            yield OUTBOX_AGE.of(outbox.oldest_age(connection))
            yield QUARANTINE.by(quarantine.counts(connection))

    checks = {"postgres": lambda: db.check(engine), "schema": lambda: schema.check(engine)}
    watch = Watch(engine, Queue.connect(settings))
    serve_in_background(Starlette(routes=health.routes(heartbeat, checks, [standing, watch.readings])), settings)
    log.info("started")
    schema.wait(engine, stop, heartbeat)
    threading.Thread(target=watch.run, args=(stop,), name="books", daemon=True).start()
    threading.Thread(target=erasing.run, args=(engine, stop), name="erasing", daemon=True).start()
    if settings.retention_days:
        kept_for = timedelta(days=settings.retention_days)
        threading.Thread(target=retention.run, args=(engine, kept_for, stop), name="retention", daemon=True).start()
    Relay(settings, engine, Bus(settings)).run(stop, heartbeat)
    log.info("stopped")


if __name__ == "__main__":
    main()
