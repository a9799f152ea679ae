"""People's verdicts as texts to learn from, and which of them are kept apart to measure by.

Guarantees: a verdict teaches only where the words alone could be its reason; a customer's texts are one group, whatever
the survey; a fifth of the customers is never learned from, so that a model that learned from verdicts can be measured
by others.

Left out are answers with an unhappy option or rating or the wish to be contacted: a yes may mean those, and taking just
their noes would make the words of unhappy customers look harmless. So are texts that the scorer could not read (their
words would be another language's), what came in a suspicious way, what was erased, and the made-up answers
of `heed demo`. Managers and agents correct what they come across, which is no fair sample: it teaches what words mean,
and neither the calibration nor the lines (see `worker.learning.suggest` for those).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from heed.contracts import MADE_UP, Reason
from heed.db import engine as db
from heed.db.tables import feedback, verdicts
from heed.errors import HeedError
from worker.learning.data import Rated

# A verdict tells the side, not how far. The best guess by squared error, which is what training minimises, is the mean
# of that side: that of the negative and of the other customers' sentences that the shipped model learns from.
NEEDS_PERSON, NEEDS_NOBODY = -1.3, 1.5
KEPT_APART = 0  # the fold that is not learned from
_PAGE = 2_000

# Of a row of feedback: only its words can be why somebody is needed, they are still there, and a person's.
WORDS_ALONE = sa.and_(
    feedback.c.p_negative.is_not(None),
    feedback.c.erased_at.is_(None),
    feedback.c.flags == [],
    ~feedback.c.reasons.overlap([Reason.OPTION, Reason.RATING, Reason.CONTACT]),
)


def newest(*which: sa.ColumnElement[bool]) -> sa.FromClause:
    """The verdict on a row of feedback that counts, among those."""
    return (
        sa.select(verdicts.c.needs_person)
        .where(verdicts.c.feedback_id == feedback.c.id, *which)
        .order_by(verdicts.c.id.desc())
        .limit(1)
        .lateral()
    )


class Taught(NamedTuple):
    """Texts with a verdict, and `until` which answer (the newest there was, by its id) a model learns from them."""

    rows: list[Rated]
    until: str


def rated(engine: sa.Engine) -> Taught:
    """Every text with a verdict to learn from; the newest verdict of each counts."""
    rows: list[Rated] = []
    after = UUID(int=0)
    while True:
        with db.begin(engine) as connection:
            page = connection.execute(_judged(after)).all()
        if not page:
            return Taught(rows, _short(after))
        for row in page:
            if row.client is not None:
                found = _rated(row.client, row.comment, row.needs_person)
                if found.fold != KEPT_APART:
                    rows.append(found)
        after = page[-1].feedback_id


def learned_until(model: Path) -> str:
    """Until which answer a model's file says that it learned from verdicts; empty when it did not."""
    try:
        return str(json.loads(model.read_bytes()).get("data", {}).get("verdicts", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise HeedError(f"{model} is not a model of `heed triage train`: {type(error).__name__}.") from error


def unseen(feedback_id: UUID, client: str, until: str) -> bool:
    """Whether a model that learned from verdicts until then cannot have learned from this answer's."""
    return _short(feedback_id) > until or _rated(client, "", False).fold == KEPT_APART


def _judged(after: UUID) -> sa.Select[Any]:
    """The answers with a verdict after an id; without a client where it may not be used."""
    judged = (
        sa.select(verdicts.c.feedback_id)
        .distinct()
        .where(verdicts.c.feedback_id > after)
        .order_by(verdicts.c.feedback_id)
        .limit(_PAGE)
        .subquery()
    )
    said = newest()
    of_it = sa.and_(feedback.c.id == judged.c.feedback_id, feedback.c.source != MADE_UP, WORDS_ALONE)
    return (
        sa.select(judged.c.feedback_id, feedback.c.client, feedback.c.comment, said.c.needs_person)
        .select_from(judged.outerjoin(feedback, of_it).outerjoin(said, sa.true()))
        .order_by(judged.c.feedback_id)
    )


def _short(feedback_id: UUID) -> str:
    return feedback_id.hex[:16]  # what a model's file keeps; ids begin with their time


def _rated(client: str, text: str, needs_person: bool) -> Rated:
    return Rated(text, NEEDS_PERSON if needs_person else NEEDS_NOBODY, f"client {client}")
