"""The relay: from the outbox to the bus, again and again until the ledger shows the ticket.

Guarantees: what is due is published, whatever died before; an event that got lost on its way is published again
after a growing pause; several relays side by side share the work. Run as `python -m worker.relay`; it also takes the
books all the time.
"""

import threading

import sqlalchemy as sa
from starlette.applications import Starlette

from heed import books
from heed.db import engine as db
from heed.db import outbox, schema
from heed.errors import Later
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.settings import Settings, load
from heed.stream.queue import Queue
from heed.telemetry import BOOKS_IMBALANCE, EVENTS, OUTBOX_DEPTH, configure, log
from heed.web import health
from heed.web.serve import serve_in_background
from worker.bus import ENTRIES_MOST, Bus

CLAIM_MOST = 50
IDLE_SECONDS = 0.2
BOOKS_SECONDS = 10.0


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
            try:
                errors = self._bus.publish([event for _, event, _ in part])
            except Later as error:
                # The rest would fare the same; it is due again when its claim or its pause is over.
                with db.begin(self._engine) as connection:
                    outbox.not_published(connection, [claim[0] for claim in claimed[start:]], str(error))
                EVENTS.labels("unreachable").inc(len(part))
                raise
            taken = [claim[0] for claim, error in zip(part, errors, strict=True) if error is None]
            with db.begin(self._engine) as connection:
                outbox.published(connection, taken, self._again_after)
                for claim, refusal in zip(part, errors, strict=True):
                    if refusal is not None:
                        outbox.not_published(connection, [claim[0]], refusal)
                        log.warning("event-refused", id=str(claim[0]), error=refusal)
            EVENTS.labels("published").inc(len(taken))
            EVENTS.labels("refused").inc(len(part) - len(taken))
            for claim in part:
                if claim[2]:
                    log.info("published-again", id=str(claim[0]), before=claim[2])
        return len(claimed)


def watch_books(engine: sa.Engine, queue: Queue, stop: Stop) -> None:
    """Take the books every BOOKS_SECONDS; the gauge and an error line say when they do not balance."""
    while not stop.wait(BOOKS_SECONDS):
        try:
            taken = books.take(engine, queue)
        except Later as error:
            log.warning("books-not-taken", reason=str(error))
            continue
        except Exception as error:  # noqa: BLE001 - this thread ends with the process, not before
            log.error("books-not-taken", reason=type(error).__name__)
            continue
        BOOKS_IMBALANCE.set(taken.imbalance)
        if taken.balanced is False:
            log.error("books-imbalance", problems=taken.problems)


def main() -> None:
    """Relay until told to stop."""
    settings = load()
    configure("relay", settings.log_level)
    stop = Stop().on_signals()
    heartbeat = Heartbeat(limit=60)
    engine = db.connect(settings, "relay", pool_size=3)

    def measure() -> None:
        with engine.connect() as connection:
            OUTBOX_DEPTH.set(outbox.depth(connection))

    checks = {"postgres": lambda: db.check(engine), "schema": lambda: schema.check(engine)}
    serve_in_background(Starlette(routes=health.routes(heartbeat.problem, checks, measure)), settings)
    threading.Thread(
        target=watch_books, args=(engine, Queue.connect(settings), stop), name="books", daemon=True
    ).start()
    log.info("started")
    Relay(settings, engine, Bus(settings)).run(stop, heartbeat)
    log.info("stopped")


if __name__ == "__main__":
    main()
