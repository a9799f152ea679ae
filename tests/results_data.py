"""Answers in Postgres as the worker stores them, for the tests of the results site."""

from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa

from heed.contracts import Contact, Label, StreamEntry, Survey, new_id
from heed.db.tables import surveys
from worker.sentiment import Sentiment
from worker.store import Assessed, store
from worker.triage import decide


def answer(
    engine: sa.Engine,
    comment: str = "",
    *,
    vote: str | None = None,
    rating: int | None = None,
    label: Label = Label.UNKNOWN,
    p_negative: float | None = None,
    contact: Contact | None = None,
    at: datetime | None = None,
) -> UUID:
    """Store one answer and notify, as of `at` (now); its id."""
    answer_id = new_id()
    if at is not None:
        rest = answer_id.int & (2**80 - 1)
        answer_id = UUID(int=(int(at.timestamp() * 1000) << 80) | rest)
    entry = StreamEntry(
        id=answer_id,
        survey="default",
        client=uuid4().hex,
        source="form",
        vote=vote,
        rating=rating,
        comment=comment,
        contact=contact,
    )
    sentiment = Sentiment(label=label, compound=-0.5, p_negative=p_negative, scores={"neg": 0.25})
    with engine.begin() as connection:
        survey = Survey.model_validate(connection.execute(sa.select(surveys.c.definition)).scalars().first())
        store(connection, [Assessed(entry, survey, sentiment, decide(survey, entry, sentiment), "test-scorer")])
    return answer_id
