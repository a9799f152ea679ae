"""The worker's loop: read a batch, assess it, store it in one transaction, acknowledge it.

Guarantees: an entry is acknowledged only after the transaction that stored or quarantined it; what cannot be
processed ends in the quarantine with its reason and never holds up the rest; while Postgres or Redis is away nothing
is given up, the same batch is tried again; when everything fails, the worker stops instead of quarantining it all.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from heed.contracts import QuarantineKind, QuarantineReason, StreamEntry, Survey, parse_entry
from heed.db import engine as db
from heed.db import quarantine
from heed.errors import Invalid, Later
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.settings import Settings
from heed.stream.queue import Delivery, Queue
from heed.telemetry import BATCH_SECONDS, PROCESSED, log
from worker.sentiment import Scorer
from worker.store import Assessed, store
from worker.surveys import Surveys
from worker.triage import decide

T = TypeVar("T")

DELIVERIES_MOST = 5  # an entry that was with so many workers when they died is not given to another
REPLAY_SECONDS = 1.0
PUBLISH_SECONDS = 5.0


class TooManyFailures(Exception):
    """Nothing succeeds any more: a fault of ours, not of the submissions."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One readable entry and where it came from."""

    source: str
    fields: dict[bytes, bytes]
    entry: StreamEntry


class Consumer:
    """One worker. `scorer` judges texts; `stop` ends the loop after the batch in hand."""

    def __init__(
        self, settings: Settings, engine: sa.Engine, queue: Queue, scorer: Scorer, stop: Stop, heartbeat: Heartbeat
    ) -> None:
        self._settings, self._engine, self._queue, self._scorer = settings, engine, queue, scorer
        self._stop, self._heartbeat = stop, heartbeat
        self._surveys = Surveys(engine)
        self._failures = 0  # unexpected ones in a row
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"

    def run(self) -> None:
        """Work until told to stop; raises TooManyFailures."""
        reclaim_at = replay_at = publish_at = 0.0
        while not self._stop:
            self._heartbeat.beat()
            now = time.monotonic()
            if now >= publish_at:
                publish_at = now + PUBLISH_SECONDS
                self._try(lambda: self._surveys.publish(self._queue.redis))
            if now >= reclaim_at:
                reclaim_at = now + self._settings.reclaim_after / 2
                for delivery in self._insist(self._reclaim) or []:
                    self._handle([delivery])  # one by one: among them may be what their worker died of
            if now >= replay_at:
                replay_at = now + REPLAY_SECONDS
                self._try(self._replay)
            self._handle(self._insist(self._read) or [])
        self._try(lambda: self._queue.leave(self.name))

    def _read(self) -> list[Delivery]:
        return self._queue.read(self.name, self._settings.batch_size, wait_seconds=1.0)

    def _reclaim(self) -> list[Delivery]:
        return self._queue.reclaim(self.name, self._settings.reclaim_after, self._settings.batch_size)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        """Store or quarantine deliveries, then acknowledge them; gives up only when told to stop."""
        if not deliveries:
            return
        started = time.monotonic()
        if self._insist(lambda: self.process(deliveries)) is not None:
            self._insist(lambda: self._queue.done(deliveries))
            BATCH_SECONDS.observe(time.monotonic() - started)

    def process(self, deliveries: Sequence[Delivery]) -> int:
        """Bring every delivery into Postgres, as feedback or into the quarantine; how many it were.

        Raises Later when Postgres is away and TooManyFailures; both leave the deliveries to be processed again.
        """
        work: list[_Work] = []
        unfit: list[quarantine.Item] = []
        for delivery in deliveries:
            if delivery.deliveries > DELIVERIES_MOST:
                detail = f"{delivery.deliveries - 1} workers ended while they held it"
                unfit.append(_item(delivery.source, delivery.fields, QuarantineReason.CRASHED, detail))
                continue
            try:
                work.append(_Work(delivery.source, delivery.fields, parse_entry(delivery.fields)))
            except Invalid as error:
                unfit.append(_item(delivery.source, delivery.fields, QuarantineReason.INVALID, str(error)))
        failed = self._store(work, unfit)
        if failed:
            self._fail(failed, everything=len(failed) == len(work))
        elif work:
            self._failures = 0
        return len(deliveries)

    def _store(self, work: Sequence[_Work], unfit: Sequence[quarantine.Item]) -> list[tuple[_Work, Exception]]:
        """Store in one transaction; when that fails for another reason than Postgres' absence, in halves, until what
        fails stands alone. Returns it."""
        if not work and not unfit:
            return []
        try:
            with db.begin(self._engine) as connection:
                counts = self._write(connection, work, unfit)
        except Later:
            raise
        except Exception as error:
            if len(work) > 1:
                middle = len(work) // 2
                return self._store(work[:middle], unfit) + self._store(work[middle:], [])
            if unfit:
                return self._store([], unfit) + self._store(work, [])
            if not work:
                raise
            log.error("entry-failed", id=str(work[0].entry.id), error=_say(error))
            return [(work[0], error)]
        for outcome, count in counts.items():
            PROCESSED.labels(outcome).inc(count)
        return []

    def _write(
        self, connection: sa.Connection, work: Sequence[_Work], unfit: Sequence[quarantine.Item]
    ) -> dict[str, int]:
        """Everything about these on the caller's transaction; how many had which outcome."""
        surveys = self._surveys.get({item.entry.survey for item in work}, connection)
        known = [item for item in work if item.entry.survey in surveys]
        fresh, seconds = store(connection, self._assess([item.entry for item in known], surveys))
        sources = {item.entry.id: item for item in work}
        twice = [sources[item.entry.id] for item in seconds]
        lost = [item for item in work if item.entry.survey not in surveys]
        items = [
            *unfit,
            *(_item_of(item, QuarantineReason.DUPLICATE, "this client already answered this survey") for item in twice),
            *(_item_of(item, QuarantineReason.UNKNOWN_SURVEY, f"no survey {item.entry.survey!r}") for item in lost),
        ]
        quarantine.add(connection, items)
        seen = len(known) - len(fresh) - len(seconds)
        return {"stored": len(fresh), "quarantined": len(items), "seen-before": seen}

    def _assess(self, entries: Sequence[StreamEntry], surveys: dict[str, Survey]) -> list[Assessed]:
        sentiments = self._scorer.score([entry.comment for entry in entries])
        return [
            Assessed(entry, survey, sentiment, decide(survey, entry, sentiment), self._scorer.name)
            for entry, sentiment in zip(entries, sentiments, strict=True)
            for survey in (surveys[entry.survey],)
        ]

    def _fail(self, failed: list[tuple[_Work, Exception]], *, everything: bool) -> None:
        """Quarantine what failed alone, unless everything fails: then stop with nothing quarantined or acknowledged."""
        self._failures = self._failures + len(failed) if everything else 0
        if self._failures >= self._settings.failure_limit:
            raise TooManyFailures(f"{self._failures} entries failed in a row, the last with: {_say(failed[-1][1])}")
        with db.begin(self._engine) as connection:
            quarantine.add(connection, [_item_of(work, QuarantineReason.FAILED, _say(error)) for work, error in failed])
        PROCESSED.labels("quarantined").inc(len(failed))

    def _replay(self) -> None:
        """Try again what a person asked for. The row counts as quarantined until it is stored, in one transaction."""
        with db.begin(self._engine) as connection:
            for row in quarantine.claim_replays(connection, limit=100):
                fields = quarantine.as_fields(row.payload)
                submission = None
                try:
                    work = _Work(row.source, fields, parse_entry(fields))
                    submission = work.entry.id
                    with connection.begin_nested():
                        self._write(connection, [work], [])
                except Invalid as error:
                    quarantine.add(connection, [_item(row.source, fields, QuarantineReason.INVALID, str(error))])
                except db.RETRYABLE:
                    raise
                except Exception as error:  # noqa: BLE001 - it goes back where it was, with its reason
                    quarantine.add(connection, [_item_of(work, QuarantineReason.FAILED, _say(error))])
                quarantine.resolve_if_stored(connection, row.id, submission)

    def _insist(self, action: Callable[[], T]) -> T | None:
        """Try until it works or a stop is asked for (None)."""
        pauses = Backoff()
        while True:
            self._heartbeat.beat()
            try:
                return action()
            except Later as error:
                log.warning("waiting", reason=str(error))
                if self._stop.wait(pauses.next()):
                    return None

    def _try(self, action: Callable[[], object]) -> None:
        """Do what can wait for the next time round."""
        try:
            action()
        except Later as error:
            log.warning("put-off", reason=str(error))


def _item(source: str, fields: dict[bytes, bytes], reason: QuarantineReason, detail: str) -> quarantine.Item:
    return quarantine.Item(QuarantineKind.SUBMISSION, source, reason, detail, quarantine.as_text(fields))


def _item_of(work: _Work, reason: QuarantineReason, detail: str) -> quarantine.Item:
    payload = quarantine.as_text(work.fields)
    return quarantine.Item(QuarantineKind.SUBMISSION, work.source, reason, detail, payload, work.entry.id)


def _say(error: Exception) -> str:
    """The error without the values it carries, which may be a customer's words."""
    if isinstance(error, sa.exc.SQLAlchemyError):
        return f"{type(error).__name__}: {db.first_line(error)}"
    return type(error).__name__
