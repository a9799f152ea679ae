"""What becomes of queue entries: assessed (parse, score, decide), then kept in one transaction. Knows no broker.

Guarantees: after `keep` every entry is in Postgres, as feedback or in the quarantine with its reason, or an error says
that all of them are to be delivered again; doing it twice changes nothing; one entry's fault is never another's.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import redis
import sqlalchemy as sa

from heed import tracing
from heed.contracts import QuarantineKind, QuarantineReason, StreamEntry, Survey, parse_entry, received_at
from heed.db import engine as db
from heed.db import payload, quarantine
from heed.errors import Invalid, Later
from heed.stream.queue import Delivery
from heed.telemetry import PROCESSED, STORED_DELAY, log, log_ids
from heed.triage import Policy
from worker import keys
from worker.sentiment import Scorer, Sentiment
from worker.store import Assessed, Stored, store
from worker.surveys import Surveys
from worker.triage import Triage

DELIVERIES_MOST = 5  # an entry that was with so many workers when they died is not given to another


class TooManyFailures(Exception):
    """Nothing succeeds any more: a fault of ours, not of the submissions."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a readable entry came from."""

    source: str
    fields: dict[bytes, bytes]
    entry: StreamEntry


@dataclass(slots=True)
class Batch:
    """Entries on their way into Postgres; `began` and `ready` are when they were assessed."""

    began: int = field(default_factory=tracing.now)
    ready: int = 0
    origins: dict[UUID, _Origin] = field(default_factory=dict)
    assessed: list[Assessed] = field(default_factory=list)
    unfit: list[quarantine.Item] = field(default_factory=list)
    failed: list[tuple[_Origin, Exception]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a transaction did; nothing of it is said before it is committed."""

    began: int = field(default_factory=tracing.now)
    stored: Stored = field(default_factory=Stored)
    quarantined: Sequence[quarantine.Item] = ()
    seen: int = 0


class Handler:
    """`assess` and `keep` may run in different threads, each in one at a time."""

    def __init__(self, engine: sa.Engine, scorer: Scorer, failure_limit: int) -> None:
        self._engine, self._scorer, self._failure_limit = engine, scorer, failure_limit
        self._triage = Triage(Policy.shipped(), scorer.lines)
        self.surveys = Surveys(engine)
        self._failures = 0  # unexpected ones in a row

    def publish(self, client: redis.Redis) -> None:
        """Put surveys and API keys where the feedback site reads them; raises Later."""
        self.surveys.publish(client)
        keys.publish(self._engine, client)

    def check(self) -> None:
        """Whether anything could be kept now; raises Later while Postgres is away."""
        with db.begin(self._engine) as connection:
            connection.execute(sa.select(1))

    def assess(self, deliveries: Sequence[Delivery]) -> Batch:
        """Everything that can be decided before Postgres is asked; raises Later when the surveys cannot be read."""
        batch = Batch()
        for delivery in deliveries:
            try:
                origin = _Origin(delivery.source, delivery.fields, parse_entry(delivery.fields))
            except Invalid as error:
                batch.unfit.append(_item(delivery.source, delivery.fields, QuarantineReason.INVALID, str(error)))
                continue
            if delivery.deliveries > DELIVERIES_MOST:
                detail = f"{delivery.deliveries - 1} workers ended while they held it"
                batch.unfit.append(_item_of(origin, QuarantineReason.CRASHED, detail))
            else:
                batch.origins[origin.entry.id] = origin
        surveys = self.surveys.get({origin.entry.survey for origin in batch.origins.values()})
        known = []
        for origin in batch.origins.values():
            if origin.entry.survey in surveys:
                known.append(origin)
            else:
                detail = f"no survey {origin.entry.survey!r}"
                batch.unfit.append(_item_of(origin, QuarantineReason.UNKNOWN_SURVEY, detail))
        try:
            sentiments = self._scorer.score([origin.entry.comment for origin in known])
            pairs = zip(known, sentiments, strict=True)
            batch.assessed = [self._decided(origin, surveys, sentiment) for origin, sentiment in pairs]
        except Exception:  # noqa: BLE001 - whatever a text can cause must not stop the others
            for origin in known:  # one of them is at fault: find it
                try:
                    [sentiment] = self._scorer.score([origin.entry.comment])
                    batch.assessed.append(self._decided(origin, surveys, sentiment))
                except Exception as error:  # noqa: BLE001
                    batch.failed.append((origin, error))
        batch.ready = tracing.now()
        return batch

    def keep(self, batch: Batch) -> None:
        """Bring a batch into Postgres. Raises Later when Postgres is away and TooManyFailures; both leave everything
        to be delivered again."""
        failed = batch.failed + self._store(batch, batch.assessed, batch.unfit)
        if not failed:
            if batch.assessed:
                self._failures = 0
            return
        everything = len(failed) == len(batch.origins)
        failures = self._failures + len(failed) if everything else 0
        if failures >= self._failure_limit:
            raise TooManyFailures(f"{failures} entries failed in a row, the last with: {_say(failed[-1][1])}")
        items = [_failure(*failure) for failure in failed]
        with db.begin(self._engine) as connection:
            quarantine.add(connection, items)
        self._failures = failures  # only now: until it is committed the same batch may come again
        _tell(batch, _Written(quarantined=items))
        for origin, error in failed:
            log.error("entry-failed", id=str(origin.entry.id), error=_say(error))
        PROCESSED.labels("quarantined").inc(len(failed))

    def replay(self) -> None:
        """Try again what a person asked for. A row counts as quarantined until it is stored, in one transaction."""
        tried = []
        with db.begin(self._engine) as connection:
            for row in quarantine.claim_replays(connection, limit=100):
                again = self.assess([Delivery.replayed(row.source, payload.as_fields(row.payload))])
                items = [
                    *again.unfit,
                    *(_item_of(origin, QuarantineReason.FAILED, _say(e)) for origin, e in again.failed),
                ]
                try:
                    with connection.begin_nested():
                        written = self._write(connection, again, again.assessed, items)
                except db.RETRYABLE:
                    raise
                except Exception as error:  # noqa: BLE001 - it goes back where it was, with its reason
                    [origin] = again.origins.values()
                    written = _Written(quarantined=[_failure(origin, error)])
                    quarantine.add(connection, written.quarantined)
                feedback_id = next(iter(again.origins), None)
                quarantine.resolve_if_stored(connection, row.id, feedback_id)
                tried.append((row.id, feedback_id, again, written))
        for number, feedback_id, again, written in tried:
            log.info("replayed", id=str(feedback_id), number=number, stored=not written.quarantined)
            _tell(again, written)

    def _store(
        self, batch: Batch, assessed: Sequence[Assessed], unfit: Sequence[quarantine.Item]
    ) -> list[tuple[_Origin, Exception]]:
        """Write in one transaction; when that fails for another reason than Postgres' absence, in halves, until what
        fails stands alone. Returns it."""
        if not assessed and not unfit:
            return []
        try:
            with db.begin(self._engine) as connection:
                written = self._write(connection, batch, assessed, unfit)
        except Later:
            raise
        except Exception as error:
            if len(assessed) > 1:
                middle = len(assessed) // 2
                return self._store(batch, assessed[:middle], unfit) + self._store(batch, assessed[middle:], [])
            if not assessed:
                raise
            if unfit:
                return self._store(batch, [], unfit) + self._store(batch, assessed, [])
            return [(batch.origins[assessed[0].entry.id], error)]
        ids, quarantined = written.stored.ids, written.quarantined
        for outcome, count in {
            "stored": len(ids),
            "quarantined": len(quarantined),
            "seen-before": written.seen,
        }.items():
            PROCESSED.labels(outcome).inc(count)
        if ids:  # of the oldest alone: here nothing is done for each submission that can be done for all
            STORED_DELAY.observe(time.time() - received_at(UUID(min(ids))).timestamp())
        _tell(batch, written)
        return []

    def _write(
        self, connection: sa.Connection, batch: Batch, assessed: Sequence[Assessed], unfit: Sequence[quarantine.Item]
    ) -> _Written:
        """Everything about these on the caller's transaction."""
        began = tracing.now()
        stored = store(connection, assessed)
        detail = "this client already answered this survey"
        twice = [_item_of(batch.origins[item.entry.id], QuarantineReason.DUPLICATE, detail) for item in stored.seconds]
        items = [*unfit, *twice]
        quarantine.add(connection, items)
        return _Written(began, stored, items, len(assessed) - len(stored.fresh) - len(stored.seconds))

    def _decided(self, origin: _Origin, surveys: dict[str, Survey], sentiment: Sentiment) -> Assessed:
        survey = surveys[origin.entry.survey]
        triaged = self._triage.decide(survey, origin.entry, sentiment)
        return Assessed(origin.entry, survey, sentiment, triaged, self._scorer.name)


def _tell(batch: Batch, written: _Written) -> None:
    """Say in the log and in the traces what was committed."""
    log_ids("stored", written.stored.ids)
    log_ids("selected", written.stored.selected)
    for item in written.quarantined:
        known = {"id": str(item.feedback_id)} if item.feedback_id else {}
        log.warning("quarantined", **known, source=item.source, reason=item.reason)
    if not tracing.on():
        return
    ended = tracing.now()
    for stored in written.stored.fresh:
        submission, label, decision = stored.entry.id, stored.sentiment.label, stored.triaged.decision
        tracing.record(submission, "assess", batch.began, batch.ready, label=label, decision=decision)
        tracing.record(submission, "store", written.began, ended, survey=stored.entry.survey)
    for item in written.quarantined:
        if item.feedback_id:
            tracing.record(item.feedback_id, "quarantine", written.began, ended, reason=item.reason)


def _item(source: str, fields: dict[bytes, bytes], reason: QuarantineReason, detail: str) -> quarantine.Item:
    text = payload.as_text(fields)
    return quarantine.Item(QuarantineKind.SUBMISSION, source, reason, detail, text, payload.submission_of(text))


def _item_of(origin: _Origin, reason: QuarantineReason, detail: str) -> quarantine.Item:
    text = payload.as_text(origin.fields)
    return quarantine.Item(QuarantineKind.SUBMISSION, origin.source, reason, detail, text, origin.entry.id)


def _failure(origin: _Origin, error: Exception) -> quarantine.Item:
    return _item_of(origin, QuarantineReason.FAILED, _say(error))


def _say(error: Exception) -> str:
    """The error without the values it carries, which may be a customer's words."""
    if isinstance(error, sa.exc.SQLAlchemyError):
        return f"{type(error).__name__}: {db.first_line(error)}"
    return type(error).__name__
