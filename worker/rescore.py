"""Scores stored feedback anew with another scorer; what was decided then stays decided, unless tickets are asked for.

Guarantees: a row's new score, its former one (kept for good) and the counts move in one transaction, so that a run may
be killed anywhere, run again or run beside workers and managers, and each row moves once; memory stays the same however
much there is. A row whose ticket is on its way keeps its score: each try at the desk must make the same request. So
does, for good, one whose words were erased.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import to_json

from heed.contracts import Contact, Decision, Reason, StreamEntry, first_id
from heed.db import engine as db
from heed.db import verdicts
from heed.db.notify import changed
from heed.db.tables import feedback, rollup
from heed.db.tables import verdicts as verdicts_table
from heed.errors import HeedError, Later
from heed.triage import Policy, lines_of
from worker.sentiment import Scorer, Sentiment
from worker.store import Counted, count, counted, reading
from worker.surveys import Surveys
from worker.triage import Triage, Triaged

_LOCK = 0x53636F72  # "Scor"
LOOKED_AT = 5_000  # rows that need nothing are passed in steps of so many
UNSCORED_SHOWN = 20

# Not against rows that refer to them: ticketing goes on meanwhile.
_HOLD = sa.text("SELECT id FROM feedback WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")

# After _HOLD, so that it sees what was done to these rows before.
_MOVE = sa.text("""
    WITH new AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS row (id uuid, label text, compound float8,
            p_negative float8, scores jsonb, reading jsonb)
    ), old AS (
        SELECT feedback.* FROM feedback JOIN new USING (id)
        WHERE scorer <> :scorer AND erased_at IS NULL
            AND NOT EXISTS (SELECT FROM outbox WHERE feedback_id = feedback.id)
    ), kept AS (
        INSERT INTO former_scores (feedback_id, scorer, label, compound, p_negative, scores, reading)
        SELECT id, scorer, label, compound, p_negative, scores, reading FROM old
        ON CONFLICT DO NOTHING
    ), moved AS (
        UPDATE feedback SET label = new.label, compound = new.compound, p_negative = new.p_negative,
            scores = new.scores, reading = new.reading, scorer = :scorer
        FROM new JOIN old USING (id) WHERE feedback.id = new.id
        RETURNING feedback.id, feedback.label
    )
    SELECT id, survey, vote, rating, old.label AS before, moved.label AS now, selected, decision
    FROM moved JOIN old USING (id)
""")


@dataclass(slots=True)
class Summary:
    """What a run did. `before` and `now` are labels of the rows that moved; `decisions` (then, now) would be others by
    today's lines; `waiting` have a ticket on its way; `unscored` the scorer failed on, the first of them by id.
    """

    scored: int = 0
    waiting: int = 0
    unscored: int = 0
    unscored_ids: list[str] = field(default_factory=list)
    before: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    decisions: Counter[tuple[Decision, Decision]] = field(default_factory=Counter)


@contextmanager
def alone(engine: sa.Engine) -> Iterator[None]:
    """One run at a time; a second one would only be in the way."""
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # never back to the pool: closing it gives the lock back
        free = connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar_one()
    except db.RETRYABLE as error:
        raise Later(f"Postgres: {db.first_line(error)}") from error
    try:
        if not free:
            raise HeedError("Feedback is being scored anew by another `heed rescore`; wait until that is done.")
        yield
    finally:
        connection.close()


class Rescore:
    """One run over all feedback, in steps, so that whoever looks on can be told how far it is."""

    def __init__(self, engine: sa.Engine, scorer: Scorer, batch_size: int) -> None:
        self._engine, self._scorer, self._batch_size = engine, scorer, batch_size
        self._triage = Triage(Policy.shipped(), scorer.lines)
        self._surveys = Surveys(engine)
        self.summary = Summary()

    def total(self) -> int:
        """How many answers there are."""
        answers = sa.select(sa.func.coalesce(sa.func.sum(rollup.c.answers), 0)).where(rollup.c.grain == "total")
        with db.begin(self._engine) as connection:
            return int(connection.execute(answers).scalar_one())

    def score(self) -> Iterator[int]:
        """Score everything that has another scorer's score, batch by batch; yields how many rows each step passed."""
        columns = ("id", "survey", "client", "vote", "rating", "comment", "reply", "reading", "flags")
        for page in self._pages(UUID(int=0), feedback.c.scorer, feedback.c.erased_at):
            old = [row.id for row in page if row.scorer != self._scorer.name and row.erased_at is None]
            yield len(page) - len(old)
            for start in range(0, len(old), self._batch_size):
                ids = old[start : start + self._batch_size]
                query = sa.select(*(feedback.c[name] for name in columns)).where(feedback.c.id.in_(ids))
                with db.begin(self._engine) as connection:
                    rows = connection.execute(query).all()
                self._move(self._scored(rows))
                yield len(ids)

    def overlooked(self, since: datetime | None) -> Iterator[UUID]:
        """What the words now make a ticket and nobody has judged or selected, received since then. Not what came in a
        suspicious way: of that a manager alone says so."""
        began = UUID(int=max(first_id(since).int - 1, 0)) if since else UUID(int=0)
        judged = sa.exists().where(verdicts_table.c.feedback_id == feedback.c.id)
        plain = sa.and_(feedback.c.erased_at.is_(None), feedback.c.flags == [])
        open_to_it = sa.and_(feedback.c.scorer == self._scorer.name, ~feedback.c.selected, ~judged, plain)
        columns = (feedback.c.survey, feedback.c.p_negative, open_to_it.label("open_to_it"))
        for page in self._pages(began, *columns):
            surveys = self._surveys.get({row.survey for row in page})
            for row in page:
                line = lines_of(surveys[row.survey], self._scorer.lines).ticket
                if row.open_to_it and row.p_negative is not None and row.p_negative >= line:
                    yield row.id

    def select(self, feedback_id: UUID) -> bool:
        """Select one of those for a ticket; False when that was decided otherwise meanwhile."""
        with db.begin(self._engine) as connection:
            found = sa.select(feedback).where(feedback.c.id == feedback_id).with_for_update(key_share=True)
            row = connection.execute(found).one()
            judged = sa.select(verdicts_table.c.id).where(verdicts_table.c.feedback_id == feedback_id)
            if row.selected or connection.execute(judged).first() is not None:
                return False
            triaged = self._decide(row, *self._scorer.score([row.comment]))
            if Reason.TEXT not in triaged.reasons or triaged.priority is None:
                return False
            verdicts.select_now(connection, row, Reason.TEXT, triaged.priority)
            # A manager need not be asked any more, except for the live figures.
            queued = row.queued and row.sampled
            connection.execute(sa.update(feedback).where(feedback.c.id == feedback_id).values(queued=queued))
            changed(connection, row.survey)
            return True

    def _pages(self, after: UUID, *columns: sa.ColumnElement[Any]) -> Iterator[Sequence[Any]]:
        """All rows after an id, in order; each statement reads the same little."""
        while True:
            query = sa.select(feedback.c.id, *columns).where(feedback.c.id > after)
            with db.begin(self._engine) as connection:
                page = connection.execute(query.order_by(feedback.c.id).limit(LOOKED_AT)).all()
            if not page:
                return
            yield page
            after = page[-1].id

    def _scored(self, rows: Sequence[Any]) -> list[tuple[Any, Sentiment]]:
        try:
            return list(zip(rows, self._scorer.score([row.comment for row in rows]), strict=True))
        except Exception:  # noqa: BLE001 - whatever a text can cause must not stop the others
            scored = []
            for row in rows:
                try:
                    scored.append((row, *self._scorer.score([row.comment])))
                except Exception:  # noqa: BLE001
                    self.summary.unscored += 1
                    if len(self.summary.unscored_ids) < UNSCORED_SHOWN:
                        self.summary.unscored_ids.append(str(row.id))
            return scored

    def _move(self, scored: Sequence[tuple[Any, Sentiment]]) -> None:
        decided = {row.id: self._decide(row, sentiment) for row, sentiment in scored}
        rows = [_row(row, sentiment, decided[row.id]) for row, sentiment in scored]
        answers: Counter[Counted] = Counter()
        selected: Counter[Counted] = Counter()
        with db.begin(self._engine) as connection:
            connection.execute(_HOLD, {"ids": [str(row["id"]) for row in rows]})
            given = {"rows": to_json(rows).decode(), "scorer": self._scorer.name}
            moved = connection.execute(_MOVE, given).all()
            for row in moved:
                for label, step in ((row.before, -1), (row.now, 1)):
                    key = counted(row.id, row.survey, row.vote, row.rating, label)
                    answers[key] += step
                    selected[key] += step * row.selected
            count(connection, answers, selected)
            for survey in {row.survey for row in moved}:
                changed(connection, survey)
        self._sum_up(moved, decided, len(rows))

    def _sum_up(self, moved: Sequence[Any], decided: dict[UUID, Triaged], tried: int) -> None:
        summary = self.summary
        summary.scored += len(moved)
        summary.waiting += tried - len(moved)
        for row in moved:
            summary.before[row.before] += 1
            summary.now[row.now] += 1
            # Version 0.1.0 knew two decisions.
            then = Decision(row.decision or (Decision.TICKET if row.selected else Decision.NOTHING))
            now = decided[row.id].decision
            if then != now:
                summary.decisions[then, now] += 1

    def _decide(self, row: Any, sentiment: Sentiment) -> Triaged:
        survey = self._surveys.get({row.survey})[row.survey]
        # Not validated again: it was when it came, by the rules of that time.
        entry = StreamEntry.model_construct(
            id=row.id,
            survey=row.survey,
            client=row.client,
            vote=row.vote,
            rating=row.rating,
            comment=row.comment,
            contact=Contact.model_construct(reply=row.reply),
            flags=tuple(row.flags),
        )
        return self._triage.decide(survey, entry, sentiment)


def _row(row: Any, sentiment: Sentiment, triaged: Triaged) -> dict[str, Any]:
    # Topics belong to the decision, which stays; version 0.1.0 kept none.
    topics = (row.reading or {}).get("topics") or triaged.topics
    return {
        "id": row.id,
        "label": sentiment.label,
        "compound": sentiment.compound,
        "p_negative": sentiment.p_negative,
        "scores": sentiment.scores,
        "reading": reading(sentiment, topics),
    }
