"""One event in, one ticket out; knows the ledger and the desk, and no queue.

Guarantees: whatever is retried, delivered twice, cut off anywhere or forgotten by a Postgres that was put back to an
older state, a submission gets one ticket with one note: the attempt is committed before the desk is called, the key and
the request are the same each time, and a consumer that lost its lease records nothing. An event that cannot be
processed goes to quarantine, whole.
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from heed import tracing
from heed.contracts import (
    Label,
    NegativeFeedback,
    Priority,
    QuarantineKind,
    QuarantineReason,
    Reading,
    Survey,
    reasons_of,
)
from heed.db import ledger, quarantine
from heed.db.engine import begin
from heed.db.tables import feedback, survey_versions, surveys
from heed.errors import HeedError, Invalid, Later, Refused, word_for
from heed.telemetry import TICKET_DELAY, log
from ticketing import text
from ticketing.desk import Desk

# Longer than the desk's time limits between two entries (ticketing.zendesk.MOST_SECONDS), with room for Postgres. A
# consumer that dies keeps its tickets waiting no longer than this.
LEASE_SECONDS = 60.0
# Zendesk keeps idempotency keys for two hours (developer.zendesk.com, Ticketing API, "Idempotency").
KEY_LIFE = timedelta(hours=2)
# A ticket is younger than its submission, so up to this age the key still finds it; the other half is for clocks that
# differ.
KEY_CERTAIN = KEY_LIFE / 2


class Outcome(StrEnum):
    """What became of a delivery."""

    OPENED = "opened"  # the ticket is complete now
    KNOWN = "known"  # it was terminal before
    REFUSED = "refused"  # the desk will not have it: failed and visible
    QUARANTINED = "quarantined"
    BUSY = "busy"  # another consumer is on it


@dataclass(frozen=True, slots=True)
class Handled:
    """The outcome; `again_in` seconds the message is to come back, None when it is done with."""

    outcome: Outcome
    again_in: float | None = None


class Handler:
    """Handles one delivery at a time in any number of threads."""

    def __init__(self, engine: sa.Engine, desk: Desk, anonymous: text.Anonymous, results_url: str | None) -> None:
        self._engine, self._desk, self._anonymous, self._results_url = engine, desk, anonymous, results_url

    def check(self) -> None:
        """Ask whether Postgres and the desk work; `Later` or `Paused` when not."""
        with begin(self._engine) as connection:
            connection.execute(sa.text("SELECT 1"))
        self._desk.check()

    def handle(self, source: str, body: str) -> Handled:
        """Bring the event in `body` (an EventBridge envelope) to its ticket. `source` names the delivery.

        `Later` and `Paused`: nothing is lost, deliver it again.
        """
        try:
            event = parse(body)
        except Invalid as error:
            return self._quarantine(source, body, str(error))
        with tracing.span(event.id, "ticket", survey=event.survey, priority=event.priority):
            handled = self._handle(source, body, event)
            tracing.note(outcome=handled.outcome)
            return handled

    def _handle(self, source: str, body: str, event: NegativeFeedback) -> Handled:
        with begin(self._engine) as connection:
            answer = _answer(connection, event.id)
            if answer is not None:
                held = ledger.take(connection, event.id, answer.survey.slug, LEASE_SECONDS)
        if answer is None:
            return self._quarantine(source, body, "no such submission was selected for a ticket", event.id)
        match held:
            case ledger.Done():
                return Handled(Outcome.KNOWN)
            case ledger.Busy(seconds):
                return Handled(Outcome.BUSY, seconds)
        tracing.note(attempt=held.attempt)
        try:
            return self._work(held, answer)
        except Exception as error:
            # An unexpected error's text may hold what the customer wrote; those of ours do not.
            why = str(error) if isinstance(error, HeedError) else type(error).__name__
            with contextlib.suppress(Later), begin(self._engine) as connection:  # or the lease runs out by itself
                ledger.release(connection, held, why)
            log.warning("attempt failed", id=str(answer.id), attempt=held.attempt, error=word_for(error))
            raise

    def _work(self, held: ledger.Taken, answer: text.Answer) -> Handled:
        lost = Handled(Outcome.BUSY, LEASE_SECONDS)
        desk_id, made = held.desk_id, False
        if desk_id is None:
            try:
                opened = self._desk.open(
                    text.request(answer, self._anonymous),
                    idempotency_key=f"heed-{answer.id}",
                    # How long ago an earlier attempt was, and so whether its key still holds, no clock tells for sure.
                    # Nor is the first attempt that we know of the first: Postgres may have been put back since.
                    look_first=held.attempt > 1 or abs(datetime.now(UTC) - answer.received_at) > KEY_CERTAIN,
                )
            except Refused as error:
                log.warning("ticket refused", id=str(answer.id))
                with begin(self._engine) as connection:
                    return Handled(Outcome.REFUSED) if ledger.failed(connection, held, str(error)) else lost
            desk_id, made = opened.desk_id, opened.made
            with begin(self._engine) as connection:
                if not ledger.created(connection, held, desk_id):
                    return lost
                if not made:  # what was told of it before may be forgotten
                    ledger.seen(connection, [(answer.id, desk_id, opened.status)])
        try:
            # Only a ticket that was there can have the note already.
            self._desk.annotate(
                desk_id,
                marker=text.marker(answer.id),
                note=text.note(answer, self._results_url),
                look_first=not made,
            )
        except Refused:
            log.warning("note refused; the ticket stands without it", id=str(answer.id), desk_id=desk_id)
        with begin(self._engine) as connection:
            if not ledger.opened(connection, held):
                return lost
        TICKET_DELAY.observe(time.time() - answer.received_at.timestamp())
        log.info("ticket opened", id=str(answer.id), desk_id=desk_id, attempt=held.attempt)
        return Handled(Outcome.OPENED)

    def _quarantine(self, source: str, body: str, why: str, feedback_id: UUID | None = None) -> Handled:
        payload = body.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
        item = quarantine.Item(
            QuarantineKind.EVENT, source, QuarantineReason.INVALID, why, payload, feedback_id=feedback_id
        )
        with begin(self._engine) as connection:
            quarantine.add(connection, [item])
        known = {"id": str(feedback_id)} if feedback_id else {}
        log.warning("event quarantined", **known, message=source, reason=item.reason)
        return Handled(Outcome.QUARANTINED)


class _Envelope(BaseModel):
    detail: NegativeFeedback


def parse(body: str) -> NegativeFeedback:
    """The event in an EventBridge envelope; `Invalid` says why there is none."""
    try:
        return _Envelope.model_validate_json(body).detail
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        sentences = (f"{'.'.join(map(str, found['loc'])) or 'message'}: {found['msg']}" for found in problems)
        raise Invalid("; ".join(sentences)) from None


def _answer(connection: sa.Connection, feedback_id: UUID) -> text.Answer | None:
    """The submission, if it is stored and selected, with the survey as it was asked, as far as that is known: what is
    changed meanwhile changes neither what the customer said nor the request."""
    seen = sa.and_(survey_versions.c.survey == feedback.c.survey, survey_versions.c.version == feedback.c.asked)
    row = connection.execute(
        sa.select(feedback, sa.func.coalesce(survey_versions.c.definition, surveys.c.definition).label("definition"))
        .join(surveys, surveys.c.slug == feedback.c.survey)
        .outerjoin(survey_versions, seen)
        .where(feedback.c.id == feedback_id, feedback.c.selected)
    ).one_or_none()
    if row is None:
        return None
    return text.Answer(
        id=row.id,
        survey=Survey.model_validate(row.definition),
        vote=row.vote,
        rating=row.rating,
        comment=row.comment,
        contact_name=row.contact_name,
        contact_email=row.contact_email,
        reply=row.reply,
        received_at=row.received_at,
        label=Label(row.label),
        compound=row.compound,
        p_negative=row.p_negative,
        reasons=reasons_of(row.selected, row.reasons),
        priority=Priority(row.priority),
        scorer=row.scorer,
        policy=row.policy,
        reading=Reading.of(row.reading),
        erased=row.erased_at is not None,
    )
