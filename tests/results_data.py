"""Answers in Postgres as the worker stores them, and events as it sends them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from heed.contracts import (
    Contact,
    Context,
    Label,
    NegativeFeedback,
    Priority,
    Reason,
    StreamEntry,
    Survey,
    new_id,
    received_at,
)
from heed.db.erasures import carry_out
from heed.db.receipts import wish_erased
from heed.db.tables import surveys
from heed.triage import Lines, Policy
from worker.sentiment import Sentiment
from worker.store import Assessed, store
from worker.triage import Triage

POLICY = Policy.shipped()
TRIAGE = Triage(POLICY, Lines(ticket=0.65, review=0.4))


def answer(
    engine: sa.Engine,
    comment: str = "",
    *,
    vote: str | None = None,
    rating: int | None = None,
    label: Label = Label.UNKNOWN,
    p_negative: float | None = None,
    contact: Contact | None = None,
    context: Context | None = None,
    user: str | None = None,
    flags: tuple[str, ...] = (),
    at: datetime | None = None,
    sampled: bool = False,
    score: float | None = None,
    **read: Any,
) -> UUID:
    """Store one answer and notify, as of `at` (now); its id. `score` is its words' rating, `read` more of them."""
    answer_id = next(each for each in iter(lambda: _id(at), None) if POLICY.samples(each) is sampled)
    entry = StreamEntry(
        id=answer_id,
        survey="default",
        client=uuid4().hex,
        source="form",
        vote=vote,
        rating=rating,
        comment=comment,
        contact=contact,
        context=context,
        user=user,
        flags=flags,
    )
    drivers = tuple(read.pop("drivers", ()))
    sentiment = Sentiment(
        label=label,
        compound=-0.5,
        p_negative=p_negative,
        scores={"neg": 0.25},
        rating=score,
        why=lambda _most: drivers,
        **read,
    )
    with engine.begin() as connection:
        survey = Survey.model_validate(connection.execute(sa.select(surveys.c.definition)).scalars().first())
        triaged = TRIAGE.decide(survey, entry, sentiment)
        store(connection, [Assessed(entry, survey, sentiment, triaged, "test-scorer")])
    return answer_id


def erase(engine: sa.Engine, answer_id: UUID) -> None:
    """The customer asks for it on the receipt, and the relay does it."""
    with engine.begin() as connection:
        wish_erased(connection, answer_id)
    with engine.begin() as connection:
        assert carry_out(connection, 10) == [answer_id]


def _id(at: datetime | None) -> UUID:
    fresh = new_id()
    if at is None:
        return fresh
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (fresh.int & (2**80 - 1)))


def event() -> NegativeFeedback:
    """The event of a submission that is stored nowhere."""
    identifier = new_id()
    return NegativeFeedback(
        id=identifier,
        survey="default",
        received_at=received_at(identifier),
        vote="bad",
        label=Label.NEGATIVE,
        compound=-0.5,
        p_negative=0.9,
        reasons=(Reason.OPTION,),
        priority=Priority.NORMAL,
        scorer="test",
        policy="test",
    )
