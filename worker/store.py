"""Storing a batch: feedback, rollup, outbox and notification on the caller's transaction, a few statements for all.

Guarantees: what is stored again changes nothing; a second vote of a client is told apart from a redelivery; counts
are changed only by what was new.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import to_json

from heed.contracts import NegativeFeedback, StreamEntry, Survey, received_at
from heed.db import erasures, outbox
from heed.db.notify import changed
from worker.sentiment import Sentiment
from worker.triage import Triaged

DRIVERS_MOST, SENTENCES_MOST = 12, 50

# Survey, hour (since 1970), vote, rating, label: the rollup's key, as far as it tells submissions apart.
Counted = tuple[str, int, str, int, str]


@dataclass(slots=True)
class Assessed:
    """A submission with everything that is decided about it; `row` is its row of feedback as JSON.

    That is made here, so that it is done while Postgres is still busy with the batch before.
    """

    entry: StreamEntry
    survey: Survey
    sentiment: Sentiment
    triaged: Triaged
    scorer: str
    row: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.row = to_json(_row(self))


# One JSON parameter for the whole batch: no per-row work in the driver, and the order of ids keeps two workers that
# hold the same entries from deadlocking.
_INSERT = sa.text("""
    WITH inserted AS (
        INSERT INTO feedback (id, survey, client, source, vote, rating, comment, contact_name, contact_email, reply,
            received_at, label, compound, p_negative, scores, scorer, selected, reasons, priority, policy,
            decision, reading, sampled, queued, context, customer, flags, asked)
        SELECT id, survey, client, source, vote, rating, comment, contact_name, contact_email, reply,
            to_timestamp(received_ms / 1000.0), label, compound, p_negative, scores, scorer, selected, reasons,
            priority, policy, decision, reading, sampled, queued, context, customer, flags, asked
        FROM json_to_recordset(CAST(:rows AS json)) AS row (id uuid, survey text, client text, source text, vote text,
            rating smallint, comment text, contact_name text, contact_email text, reply boolean, received_ms bigint,
            label text, compound float8, p_negative float8, scores jsonb, scorer text, selected boolean,
            reasons text[], priority text, policy text, decision text, reading jsonb, sampled boolean, queued boolean,
            context jsonb, customer text, flags text[], asked integer)
        ORDER BY id
        ON CONFLICT DO NOTHING
        RETURNING id, selected
    )
    SELECT coalesce(string_agg(id::text, ' '), ''), coalesce(string_agg(id::text, ' ') FILTER (WHERE selected), '')
    FROM inserted
""")

_ROLLUP = sa.text("""
    INSERT INTO rollup (survey, grain, at, vote, rating, label, answers, selected)
    SELECT survey, grain,
        CASE grain WHEN 'total' THEN '-infinity' ELSE date_trunc(grain, to_timestamp(hour * 3600), 'UTC') END,
        vote, rating, label, sum(answers), sum(selected)
    FROM json_to_recordset(CAST(:rows AS json)) AS row (survey text, hour bigint, vote text, rating smallint,
        label text, answers bigint, selected bigint)
    CROSS JOIN unnest(ARRAY['hour', 'day', 'total']) AS grain
    GROUP BY 1, 2, 3, 4, 5, 6
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (survey, grain, at, vote, rating, label)
    DO UPDATE SET answers = rollup.answers + excluded.answers, selected = rollup.selected + excluded.selected
""")

_PRESENT = sa.text("SELECT id FROM feedback WHERE id = ANY(CAST(:ids AS uuid[]))")


@dataclass(frozen=True, slots=True)
class Stored:
    """What was new, its ids and those of them that were selected (in another order); what was not new because its
    client had already answered. The rest was there before.
    """

    fresh: Sequence[Assessed] = ()
    ids: Sequence[str] = ()
    selected: Sequence[str] = ()
    seconds: Sequence[Assessed] = ()


def store(connection: sa.Connection, batch: Sequence[Assessed]) -> Stored:
    """Store a batch."""
    if not batch:
        return Stored()
    rows = f"[{b','.join([item.row for item in batch]).decode()}]"
    ids, selected = (text.split() for text in connection.execute(_INSERT, {"rows": rows}).one())
    fresh, others = _split(batch, ids)
    seconds: list[Assessed] = []
    if others:
        present = set(connection.execute(_PRESENT, {"ids": [str(item.entry.id) for item in others]}).scalars())
        seconds = [item for item in others if item.entry.id not in present]
    if fresh:
        erasures.again(connection, ids)
        outbox.add(connection, [_event(item) for item in fresh if item.triaged.selected])
        count(connection, *_counts(fresh))
        for survey in {item.survey.slug for item in fresh}:
            changed(connection, survey)
    return Stored(fresh, ids, selected, seconds)


def _split(batch: Sequence[Assessed], inserted: Sequence[str]) -> tuple[list[Assessed], list[Assessed]]:
    """Those that were inserted, and the others."""
    if len(inserted) == len(batch):  # nearly always: no need to look at each
        return list(batch), []
    left = set(inserted)
    fresh: list[Assessed] = []
    others: list[Assessed] = []
    for item in batch:
        name = str(item.entry.id)
        if name in left:
            left.discard(name)  # the same id twice in one batch was inserted once
            fresh.append(item)
        else:
            others.append(item)
    return fresh, others


def _row(item: Assessed) -> dict[str, Any]:
    """Of plain types alone, which `to_json` writes three times as fast as enumerations and named tuples."""
    entry, sentiment, triaged = item.entry, item.sentiment, item.triaged
    contact = entry.contact
    return {
        "id": entry.id,
        "survey": entry.survey,
        "client": entry.client,
        "source": entry.source,
        "vote": entry.vote,
        "rating": entry.rating,
        "comment": entry.comment,
        "contact_name": contact and contact.name,
        "contact_email": contact and contact.email,
        "reply": contact is not None and contact.reply,
        "received_ms": entry.id.int >> 80,
        "label": sentiment.label.value,
        "compound": sentiment.compound,
        "p_negative": sentiment.p_negative,
        "scores": sentiment.scores,
        "scorer": item.scorer,
        "selected": triaged.selected,
        "reasons": [reason.value for reason in triaged.reasons],
        "priority": triaged.priority and triaged.priority.value,
        "policy": triaged.policy,
        "decision": triaged.decision.value,
        "reading": reading(item.sentiment, triaged.topics),
        "sampled": triaged.sampled,
        "queued": triaged.queued,
        "context": entry.context and entry.context.model_dump(exclude_none=True),
        "customer": entry.user,
        "flags": entry.flags,
        "asked": entry.asked,
    }


def reading(sentiment: Sentiment, topics: Sequence[str]) -> dict[str, Any] | None:
    """The score as a `heed.contracts.Reading` that stays small: the strongest drivers and the sum of the others."""
    if sentiment.rating is None and not sentiment.language and not topics and not sentiment.truncated:
        return None
    return {
        "v": 1,
        "rating": sentiment.rating,
        "coverage": round(sentiment.coverage, 3),
        "truncated": sentiment.truncated,
        "language": sentiment.language,
        "topics": topics,
        "sentences": list(map(tuple, sentiment.sentences[:SENTENCES_MOST])),
        "drivers": list(map(tuple, sentiment.strongest(DRIVERS_MOST))),
    }


def _event(item: Assessed) -> NegativeFeedback:
    assert item.triaged.priority is not None
    return NegativeFeedback(
        id=item.entry.id,
        survey=item.entry.survey,
        received_at=received_at(item.entry.id),
        vote=item.entry.vote,
        rating=item.entry.rating,
        label=item.sentiment.label,
        compound=item.sentiment.compound,
        p_negative=item.sentiment.p_negative,
        reasons=item.triaged.reasons,
        priority=item.triaged.priority,
        scorer=item.scorer,
        policy=item.triaged.policy,
    )


def counted(feedback_id: UUID, survey: str, vote: str | None, rating: int | None, label: str) -> Counted:
    """What a submission counts as in the rollup."""
    return survey, (feedback_id.int >> 80) // 3_600_000, vote or "", rating or 0, label


def count(connection: sa.Connection, answers: Counter[Counted], selected: Counter[Counted]) -> None:
    """Change the rollup by these. Last in a transaction, because every worker changes the same few rows: they stay
    locked for one statement and the commit.
    """
    names = ("survey", "hour", "vote", "rating", "label")
    rows = [
        dict(zip(names, key, strict=True), answers=answers[key], selected=selected[key])
        for key in answers
        if answers[key] or selected[key]
    ]
    if rows:
        connection.execute(_ROLLUP, {"rows": to_json(rows).decode()})


def _counts(fresh: Sequence[Assessed]) -> tuple[Counter[Counted], Counter[Counted]]:
    answers: Counter[Counted] = Counter()
    selected: Counter[Counted] = Counter()
    for item in fresh:
        entry = item.entry
        key = counted(entry.id, entry.survey, entry.vote, entry.rating, item.sentiment.label)
        answers[key] += 1
        selected[key] += item.triaged.selected
    return answers, selected
