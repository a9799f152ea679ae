"""Rehearsing a survey's lines: what others would have made of its answers, by the worker's own rule.

Guarantees: nothing is changed; the cost is bounded, whatever there is (WINDOW, ANSWERS_MOST); what was erased
stays as it was decided, since its words are gone.
"""

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from api.results.surveys_models import Moved, Rehearsal, Right, Tally
from heed.contracts import Decision, Label, Survey, first_id
from heed.db.tables import feedback, verdicts
from heed.triage import Lines, Policy, lines_of
from heed.web.problems import Problem

WINDOW = timedelta(days=30)
ANSWERS_MOST = 200_000
LISTED_MOST = 50
WORDS_MOST = 300
_AT_ONCE = 5_000
_POLICY = Policy.shipped()

# The newest answer that was decided while its survey drew no lines of its own. Workers know of a version within
# seconds; an id begins with the time of arrival, so a range of times is a range of the index.
_MODEL = sa.text("""
    WITH spans AS (
        SELECT survey, definition,
            CASE WHEN saved_by IS NULL THEN to_timestamp(0) ELSE saved_at + interval '5 seconds' END AS since,
            coalesce(lead(saved_at) OVER (PARTITION BY survey ORDER BY version), now()) AS until
        FROM survey_versions
    ), own AS (
        SELECT survey, until,
            to_hex(CAST(extract(epoch FROM since) * 1000 AS bigint)) AS first,
            to_hex(CAST(extract(epoch FROM until) * 1000 AS bigint)) AS last
        FROM spans
        WHERE definition ->> 'threshold' IS NULL AND definition ->> 'review_threshold' IS NULL
        ORDER BY until DESC
        LIMIT 100
    )
    SELECT newest.policy
    FROM own
    CROSS JOIN LATERAL (
        SELECT id, policy
        FROM feedback
        WHERE survey = own.survey AND stored_at <= own.until
            AND id >= CAST(rpad(lpad(own.first, 12, '0'), 32, '0') AS uuid)
            AND id <= CAST(rpad(lpad(own.last, 12, '0'), 32, '0') AS uuid)
        ORDER BY id DESC
        LIMIT 1
    ) AS newest
    ORDER BY newest.id DESC
    LIMIT 1
""")

# Words are asked for where the rule looks at them: where they are few, and where they could not be read.
_words = sa.case(
    (
        sa.or_(feedback.c.label == Label.UNKNOWN, sa.func.length(feedback.c.comment) <= _POLICY.no_answer_most),
        feedback.c.comment,
    ),
    else_="",
)


def model_lines(connection: sa.Connection) -> Lines | None:
    """Where the triage model itself draws the lines, as the newest answer to a survey without own lines tells."""
    policy = connection.execute(_MODEL).scalar_one_or_none()
    return Lines.of(policy) if policy is not None else None


def load(connection: sa.Connection, survey: Survey, ticket: float | None, review: float | None) -> Rehearsal:
    """The rehearsal of these lines (None: the model's own), in a transaction that sees one moment; a 422 problem when
    those are not known and needed."""
    since = datetime.now(UTC) - WINDOW
    model = model_lines(connection)
    survey = survey.model_copy(update={"threshold": ticket, "review_threshold": review})
    said = _said(connection, survey.slug, since)
    count = _Count(survey, model, said)
    for row in _rows(connection, survey.slug, since):
        count.add(row)
    listed = _listed(connection, [*count.selected.ids, *count.dropped.ids])
    return Rehearsal(
        survey=survey.slug,
        version=survey.version,
        lines=count.lines,
        model_lines=model,
        since=since,
        answers=count.answers,
        cut=count.answers == ANSWERS_MOST,
        was=Tally(**count.was),
        would=Tally(**count.would),
        selected=count.selected.count,
        newly_selected=[listed[each] for each in count.selected.ids],
        dropped=count.dropped.count,
        newly_dropped=[listed[each] for each in count.dropped.ids],
        was_right=count.was_right,
        would_be_right=count.would_be_right,
    )


class _Strongest:
    """How many there are, and the ids of those that are most likely negative."""

    def __init__(self) -> None:
        self.count = 0
        self._heap: list[tuple[float, str]] = []

    def add(self, answer: str, chance: float | None) -> None:
        self.count += 1
        item = (-1.0 if chance is None else chance, answer)
        if len(self._heap) < LISTED_MOST:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    @property
    def ids(self) -> list[UUID]:
        return [UUID(each) for _, each in sorted(self._heap, reverse=True)]


class _Count:
    """What was decided and what would have been."""

    def __init__(self, survey: Survey, model: Lines | None, said: dict[str, bool]) -> None:
        self._survey, self._model, self._said = survey, model, said
        self._decided: dict[tuple[Any, ...], Decision] = {}
        self.lines: Lines | None = None
        self.answers = 0
        self.was = dict.fromkeys(Decision, 0)
        self.would = dict.fromkeys(Decision, 0)
        self.selected, self.dropped = _Strongest(), _Strongest()
        self.was_right, self.would_be_right = Right(), Right()

    def add(self, row: sa.Row[Any]) -> None:
        answer, decision, selected, erased, chance, *said = tuple(row)
        if self.lines is None:
            self.lines = self._drawn()
        self.answers += 1
        # Version 0.1.0 knew tickets alone.
        was = Decision(decision) if decision else Decision.TICKET if selected else Decision.NOTHING
        would = was if erased else self._decide(self.lines, chance, said)
        self.was[was] += 1
        self.would[would] += 1
        if would is not was:
            if would is Decision.TICKET:
                self.selected.add(answer, chance)
            elif was is Decision.TICKET:
                self.dropped.add(answer, chance)
        if (needed := self._said.get(answer)) is not None:
            _judge(self.was_right, was, needed)
            _judge(self.would_be_right, would, needed)

    def _drawn(self) -> Lines:
        ticket, review = self._survey.threshold, self._survey.review_threshold
        if self._model is not None:
            return lines_of(self._survey, self._model)
        if ticket is None or review is None:
            detail = "Where the model draws its own lines is not known before its first answer. Give both lines."
            raise Problem(422, detail, kind="lines-unknown")
        return lines_of(self._survey, Lines(ticket, review))

    def _decide(self, lines: Lines, chance: float | None, said: list[Any]) -> Decision:
        """By the rule; once for all answers that it cannot tell apart."""
        side = -1 if chance is None else (chance >= lines.review) + (chance >= lines.ticket)
        alike = (side, *said)
        decision = self._decided.get(alike)
        if decision is None:
            vote, rating, reply, label, flagged, words = said
            decision = self._decided[alike] = _POLICY.decide(
                self._survey,
                lines,
                vote=vote,
                rating=rating,
                comment=words,
                reply=reply,
                flagged=flagged,
                label=label,
                chance=chance,
            )[0]
        return decision


def _judge(count: Right, decision: Decision, needed: bool) -> None:
    missed = needed and decision is Decision.NOTHING
    false_alarm = not needed and decision is Decision.TICKET
    count.judged += 1
    count.missed += missed
    count.false_alarms += false_alarm
    count.right += not (missed or false_alarm)


def _rows(connection: sa.Connection, slug: str, since: datetime) -> Iterable[sa.Row[Any]]:
    query = (
        sa.select(
            sa.cast(feedback.c.id, sa.Text),
            feedback.c.decision,
            feedback.c.selected,
            feedback.c.erased_at.is_not(None),
            feedback.c.p_negative,
            *(feedback.c[name] for name in ("vote", "rating", "reply", "label")),
            feedback.c.flags != [],
            _words,
        )
        .where(feedback.c.survey == slug, feedback.c.id >= first_id(since))
        .order_by(feedback.c.id.desc())
        .limit(ANSWERS_MOST)
    )
    return connection.execute(query, execution_options={"yield_per": _AT_ONCE})


def _said(connection: sa.Connection, slug: str, since: datetime) -> dict[str, bool]:
    """What people said last of these answers."""
    query = (
        sa.select(sa.cast(verdicts.c.feedback_id, sa.Text), verdicts.c.needs_person)
        .join(feedback, feedback.c.id == verdicts.c.feedback_id)
        .where(feedback.c.survey == slug, feedback.c.id >= first_id(since))
        .ext(distinct_on(verdicts.c.feedback_id))
        .order_by(verdicts.c.feedback_id.desc(), verdicts.c.id.desc())
        .limit(ANSWERS_MOST)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _listed(connection: sa.Connection, ids: list[UUID]) -> dict[UUID, Moved]:
    names = [name for name in Moved.model_fields if name != "comment"]
    query = sa.select(
        *(feedback.c[name] for name in names), sa.func.left(feedback.c.comment, WORDS_MOST).label("comment")
    ).where(feedback.c.id.in_(ids))
    return {row.id: Moved(**row._mapping) for row in connection.execute(query)}
