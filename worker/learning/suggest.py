"""What a survey's verdicts suggest: other lines, or another model; and what would have changed by it.

Guarantees: decisions already made are never touched; nothing is written but by `accept`, in one transaction, and only
over the survey that the suggestion was made from; memory stays the same however many answers there are; no model is
measured by verdicts that it may have learned from.

The answers looked at are those where the words alone decide (worker.learning.verdicts): of the survey, of the last
days, with the present scorer's score. How lines and figures are estimated: worker.learning.lines.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import Decision, Judge, Survey, first_id
from heed.db import engine as db
from heed.db.tables import feedback, surveys, verdicts
from heed.errors import HeedError
from heed.triage import Lines, lines_of
from worker.learning.lines import Estimate, Evidence, Figure, Judged
from worker.learning.verdicts import WORDS_ALONE, learned_until, newest, unseen
from worker.sentiment import Scorer
from worker.sentiment.light import LightScorer, Model

EXAMPLES, SHOWN = 5, 60  # of each kind of change, and characters of each
_PAGE = 2_000


@dataclass(frozen=True)
class Present:
    """The scorer that is in use: the name that its scores are kept with, its own lines, and until which answer it has
    learned from verdicts (worker.learning.verdicts)."""

    name: str
    lines: Lines
    until: str = ""

    @classmethod
    def of(cls, scorer: Scorer, chosen: str) -> "Present":
        """A scorer, as HEED_SCORER chose it."""
        return cls(scorer.name, scorer.lines, learned_until(Path(chosen)) if chosen.endswith(".json") else "")


@dataclass(frozen=True)
class Side:
    """A scorer's lines and how good they are: precision, recall and f1 from the ticket line on, and from the review
    line on."""

    scorer: str
    lines: Lines
    ticket: dict[str, Figure]
    review: dict[str, Figure]


@dataclass
class Changes:
    """What the proposed side would have decided otherwise than the present one, with the first of each kind."""

    counts: Counter[tuple[str, Decision]] = field(default_factory=Counter)
    examples: dict[tuple[str, Decision], list[tuple[UUID, str]]] = field(default_factory=dict)

    def add(self, feedback_id: UUID, comment: str, before: Decision, after: Decision) -> None:
        """Take in one answer; kinds are ("more" or "fewer", tickets or reviews)."""
        if before is after:
            return
        for kind in (("fewer", before), ("more", after)):
            if kind[1] is not Decision.NOTHING:
                self.counts[kind] += 1
                kept = self.examples.setdefault(kind, [])
                if len(kept) < EXAMPLES:
                    shown = "".join(each if each.isprintable() else " " for each in comment[:SHOWN])
                    kept.append((feedback_id, shown))


@dataclass(frozen=True)
class Suggestion:
    """What is proposed for a survey. `ticket_line` and `review_line` are intervals of proposed lines; None for a model,
    which brings its own. `left_out` answers have a score of another scorer than the present one."""

    definition: dict[str, Any]
    present: Side
    proposed: Side
    difference: tuple[dict[str, Figure], dict[str, Figure]]
    changes: Changes
    answers: int
    verdicts: int
    left_out: int
    ticket_line: Figure | None = None
    review_line: Figure | None = None

    @property
    def survey(self) -> Survey:
        """The survey as it was when the suggestion was made."""
        return Survey.model_validate(self.definition)


class _Answer(NamedTuple):
    """An answer, and what is new about it: its chance by the model compared (by the present scorer when there is
    none)."""

    row: Any
    chance: float


def suggest_lines(engine: sa.Engine, slug: str, days: int, present: Present) -> Suggestion:
    """Other lines for the present scorer; HeedError when the verdicts are too few or show none."""
    look = _Look(engine, slug, days, present)
    for each in look.answers():
        look.count(each)
    estimate = Estimate(look.evidence)
    proposed, ticket_line, review_line = estimate.lines()
    changes = Changes()
    for each in look.answers():
        before, after = decided(each.chance, look.lines), decided(each.chance, proposed)
        changes.add(each.row.id, each.row.comment, before, after)
    return look.suggestion(estimate, present.name, proposed, 0, changes, ticket_line, review_line)


def suggest_model(engine: sa.Engine, slug: str, days: int, present: Present, path: Path) -> Suggestion:
    """Another model at the lines that it would have; HeedError when the verdicts are too few."""
    model = Model.load(path)
    look = _Look(engine, slug, days, present, model, max(present.until, learned_until(path)))
    lines, changes = lines_of(look.survey, model.lines), Changes()
    for each in look.answers():
        look.count(each)
        before, after = decided(each.row.p_negative, look.lines), decided(each.chance, lines)
        changes.add(each.row.id, each.row.comment, before, after)
    return look.suggestion(Estimate(look.evidence), model.name, lines, 1, changes)


def accept(engine: sa.Engine, suggestion: Suggestion) -> None:
    """Write the proposed lines into the survey; HeedError when it was changed since the suggestion was made."""
    lines, slug = suggestion.proposed.lines, suggestion.survey.slug
    changed = {**suggestion.survey.written(), "threshold": lines.ticket, "review_threshold": lines.review}
    with db.begin(engine) as connection:
        if _definition(connection, slug, hold=True) != suggestion.definition:
            raise HeedError(
                f"The survey {slug} was changed meanwhile; nothing was written. Ask for a suggestion again."
            )
        definition = Survey.model_validate(changed).written()
        connection.execute(sa.update(surveys).where(surveys.c.slug == slug).values(definition=definition))


def decided(chance: float, lines: Lines) -> Decision:
    """What the words alone make of it."""
    if chance >= lines.ticket:
        return Decision.TICKET
    return Decision.REVIEW if chance >= lines.review else Decision.NOTHING


class _Look:
    """One look at a survey's answers up to now, the same however often they are gone through."""

    def __init__(
        self,
        engine: sa.Engine,
        slug: str,
        days: int,
        present: Present,
        model: Model | None = None,
        learned: str | None = None,
    ) -> None:
        self._engine, self._present = engine, present
        self._learned = present.until if learned is None else learned
        with db.begin(engine) as connection:
            self._definition = _definition(connection, slug)
        self.survey = Survey.model_validate(self._definition)
        self.lines = lines_of(self.survey, present.lines)
        self.evidence = Evidence()
        self._left_out = 0
        now = datetime.now(UTC)
        self._from, self._to = first_id(now - timedelta(days=days)), first_id(now)
        if model is None:
            self._score: Callable[[list[Any]], list[float]] = lambda rows: [row.p_negative for row in rows]
            self._characters = SHOWN
        else:
            scorer, review = LightScorer(model), lines_of(self.survey, model.lines).review
            # What it cannot read is for a manager to look at.
            self._score = lambda rows: [
                review if each.p_negative is None else each.p_negative
                for each in scorer.score([row.comment for row in rows])
            ]
            self._characters = 2**31 - 1

    def answers(self) -> Iterator[_Answer]:
        """The answers in the order of their arrival."""
        after, self._left_out = self._from, 0
        while True:
            with db.begin(self._engine) as connection:
                page = connection.execute(self._page(after)).all()
            if not page:
                return
            after = page[-1].id
            rows = [row for row in page if row.scorer == self._present.name]
            self._left_out += len(page) - len(rows)
            yield from map(_Answer, rows, self._score(rows))

    def _page(self, after: UUID) -> sa.Select[Any]:
        said = newest(verdicts.c.judge != Judge.AGENT)
        names = ("id", "client", "decision", "sampled", "scorer", "p_negative")
        words = sa.func.left(feedback.c.comment, self._characters).label("comment")
        return (
            sa.select(*(feedback.c[name] for name in names), words, said.c.needs_person)
            .select_from(feedback.outerjoin(said, sa.true()))
            .where(feedback.c.survey == self.survey.slug, feedback.c.id > after, feedback.c.id < self._to, WORDS_ALONE)
            # Version 0.1.0 kept no decision, and nothing of it was drawn by lot.
            .where(feedback.c.decision.is_not(None))
            .order_by(feedback.c.id)
            .limit(_PAGE)
        )

    def count(self, answer: _Answer) -> None:
        """Take an answer in, and its verdict where that may be used."""
        row = answer.row
        decision = Decision(row.decision)
        self.evidence.add(decision, row.p_negative)
        asked = row.sampled or decision is Decision.REVIEW
        if asked and row.needs_person is not None and unseen(row.id, row.client, self._learned):
            self.evidence.judged.append(Judged(decision, row.needs_person, (row.p_negative, answer.chance)))

    def suggestion(
        self, estimate: Estimate, scorer: str, lines: Lines, column: int, changes: Changes, *intervals: Figure
    ) -> Suggestion:
        """The suggestion of a scorer (the column of its chances) at these lines."""
        ticket, other_ticket, ticket_more = estimate.figures([(0, self.lines.ticket), (column, lines.ticket)])
        review, other_review, review_more = estimate.figures([(0, self.lines.review), (column, lines.review)])
        return Suggestion(
            self._definition,
            Side(self._present.name, self.lines, ticket, review),
            Side(scorer, lines, other_ticket, other_review),
            (ticket_more, review_more),
            changes,
            self.evidence.sizes.total(),
            len(self.evidence.judged),
            self._left_out,
            *intervals,
        )


def _definition(connection: sa.Connection, slug: str, *, hold: bool = False) -> dict[str, Any]:
    query = sa.select(surveys.c.definition).where(surveys.c.slug == slug)
    found = connection.execute(query.with_for_update(key_share=True) if hold else query).scalar_one_or_none()
    if found is None:
        raise HeedError(f"There is no survey {slug}.")
    return dict(found)
