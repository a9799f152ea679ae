"""Keeps the made-up answers in Postgres by the worker's own ways, and takes them away again.

Guarantees: the books balance after every transaction; no desk hears of any of it: no event is ever committed, tickets
are written as what they would have become; cut off anywhere, the next run goes on where it was; run twice, or by two at
once, adds nothing twice; a survey that somebody made under the same name is left alone, and so are answers that came to
the demo's survey from elsewhere.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from heed.contracts import MADE_UP, Judge, Option, Survey
from heed.db import audit, ledger, made_up, people, surveys, verdicts
from heed.db import engine as db
from heed.db.audit import Action
from heed.db.made_up import Filled
from heed.db.notify import changed
from heed.db.tables import (
    erasures,
    feedback,
    former_scores,
    outbox,
    rollup,
    settlements,
    survey_versions,
    ticket_counts,
    tickets,
)
from heed.db.tables import surveys as surveys_table
from heed.db.tables import verdicts as verdicts_table
from heed.errors import HeedError
from heed.triage import Policy
from worker.demo.story import Made, Year
from worker.sentiment import Scorer
from worker.store import Assessed, store
from worker.triage import Triage

BATCH = 500
ASKED_DAYS = 3  # what is younger waits for a verdict still
IN_THE_BOOKS = "made-up answers of the survey demo (heed demo)"
_TAKEN = f"There is a survey `{made_up.SLUG}` already that `heed demo` did not make; it is left as it is."

_RECOUNT = (
    sa.text("""
        INSERT INTO rollup (survey, grain, at, vote, rating, label, answers, selected)
        SELECT survey, grain, CASE grain WHEN 'total' THEN '-infinity' ELSE date_trunc(grain, received_at, 'UTC') END,
            coalesce(vote, ''), coalesce(rating, 0), label, count(*), count(*) FILTER (WHERE selected)
        FROM feedback CROSS JOIN unnest(ARRAY['hour', 'day', 'total']) AS grain
        WHERE survey = :survey GROUP BY 1, 2, 3, 4, 5, 6
    """),
    sa.text("""
        INSERT INTO ticket_counts (survey, state, tickets)
        SELECT survey, state, count(*) FROM tickets JOIN feedback ON feedback.id = tickets.feedback_id
        WHERE survey = :survey GROUP BY 1, 2
    """),
)


class Demo:
    """The demo of one database."""

    def __init__(self, engine: sa.Engine, scorer: Scorer) -> None:
        self._engine, self._scorer = engine, scorer
        self._triage = Triage(Policy.shipped(), scorer.lines)

    def begin(self, now: datetime, answers: int) -> Filled:
        """Make the survey, unless it is there; how far it is filled. HeedError when the name is taken."""
        with db.begin(self._engine) as connection:
            # Two at once: the second waits, and finds what the first made.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(made_up.SLUG))))
            filled = made_up.read(connection)
            if filled is not None:
                return filled
            if surveys.one(connection, made_up.SLUG) is not None:
                raise HeedError(_TAKEN)
            surveys.save(connection, audit.COMMAND, _survey(now), new=True)
            line = {"reason": IN_THE_BOOKS, "lost": 0, "earlier": 0}
            added = sa.insert(settlements).values(line).returning(settlements.c.id)
            filled = Filled(until=now, answers=answers, settlement=connection.execute(added).scalar_one())
            made_up.write(connection, filled)
            audit.note(connection, audit.COMMAND, Action.DEMO_MADE, made_up.SLUG, answers=answers)
        return filled

    def fill(self, filled: Filled) -> Iterator[int]:
        """Keep what is missing, in steps; how many each step added. HeedError when somebody removes it meanwhile."""
        year = Year(filled.until, filled.answers, made_up.SLUG)
        while filled.done < filled.answers:
            first, last = filled.done, min(filled.done + BATCH, filled.answers)
            made = [year.answer(number) for number in range(first, last)]
            assessed = self._assess(_survey(filled.until), made)
            with db.begin(self._engine) as connection:
                now = made_up.read(connection, lock=True)
                if now is None:
                    raise HeedError("The made-up answers were removed meanwhile.")
                if now.done != first:  # somebody else was faster
                    filled = now
                    continue
                added = self._keep(connection, filled.until, made, assessed)
                in_the_books = sa.update(settlements).where(settlements.c.id == now.settlement)
                connection.execute(in_the_books.values(earlier=settlements.c.earlier + added))
                filled = now.model_copy(update={"done": last})
                made_up.write(connection, filled)
            yield added

    def remove(self) -> int | None:
        """Take all of it away; how many answers that were, None when there is no demo."""
        with db.begin(self._engine) as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            filled = made_up.read(connection, lock=True)
            if filled is None:
                return None
            slug = made_up.SLUG
            # Nobody stores an answer to it meanwhile, who would count on what is counted anew below.
            connection.execute(sa.select(surveys_table.c.slug).where(surveys_table.c.slug == slug).with_for_update())
            ours = sa.select(feedback.c.id).where(feedback.c.survey == slug, feedback.c.source == MADE_UP)
            for table in (verdicts_table, former_scores, outbox, tickets, erasures):
                connection.execute(sa.delete(table).where(table.c.feedback_id.in_(ours)))
            gone = connection.execute(sa.delete(feedback).where(feedback.c.id.in_(ours))).rowcount
            for counts in (rollup, ticket_counts):
                connection.execute(sa.delete(counts).where(counts.c.survey == slug))
            for recount in _RECOUNT:
                connection.execute(recount, {"survey": slug})
            connection.execute(sa.delete(settlements).where(settlements.c.id == filled.settlement))
            if connection.execute(sa.select(feedback.c.id).where(feedback.c.survey == slug).limit(1)).first() is None:
                people.forget_survey(connection, audit.COMMAND, slug)
                connection.execute(sa.delete(survey_versions).where(survey_versions.c.survey == slug))
                connection.execute(sa.delete(surveys_table).where(surveys_table.c.slug == slug))
            made_up.forget(connection)
            audit.note(connection, audit.COMMAND, Action.DEMO_REMOVED, slug, answers=gone)
            changed(connection, slug)
        return gone

    def _assess(self, survey: Survey, made: list[Made]) -> list[Assessed]:
        sentiments = self._scorer.score([each.entry.comment for each in made])
        return [
            Assessed(each.entry, survey, read, self._triage.decide(survey, each.entry, read), self._scorer.name)
            for each, read in zip(made, sentiments, strict=True)
        ]

    def _keep(self, connection: sa.Connection, until: datetime, made: list[Made], assessed: list[Assessed]) -> int:
        stored = store(connection, assessed)
        fresh = {item.entry.id: item for item in stored.fresh}
        known = {each.entry.id: each for each in made}
        selected = [known[each] for each, item in fresh.items() if item.triaged.selected]
        connection.execute(sa.delete(outbox).where(outbox.c.feedback_id.in_([each.entry.id for each in selected])))
        ledger.pretend(connection, [_ticket(each, until) for each in selected])
        judged = [
            (known[each], item.triaged.selected)
            for each, item in fresh.items()
            if item.triaged.queued and until - known[each].at > timedelta(days=ASKED_DAYS)
        ]
        self._judge(connection, until, judged)
        return len(fresh)

    @staticmethod
    def _judge(connection: sa.Connection, until: datetime, judged: list[tuple[Made, bool]]) -> None:
        """Managers said of these what a person would say, some hours later."""
        opened = []
        for each, selected in judged:
            if each.unhappy and not selected:  # a yes that opens its ticket
                verdicts.say(connection, each.entry.id, True, Judge.MANAGER)
                said = sa.update(verdicts_table).where(verdicts_table.c.feedback_id == each.entry.id)
                connection.execute(said.values(at=_judged_at(each, until)))
                opened.append(_ticket(replace(each, opened_at=_judged_at(each, until)), until))
        ledger.pretend(connection, opened)
        # Of the others nothing follows, so that all of them are said at once: there can be tens of thousands.
        late = {each.feedback_id for each in opened}
        rows = [
            {
                "feedback_id": each.entry.id,
                "needs_person": each.unhappy,
                "judge": Judge.MANAGER,
                "at": _judged_at(each, until),
            }
            for each, _selected in judged
            if each.entry.id not in late
        ]
        if rows:
            connection.execute(sa.insert(verdicts_table), rows)
            ids = [row["feedback_id"] for row in rows]
            connection.execute(sa.update(feedback).where(feedback.c.id.in_(ids)).values(queued=False))


def _judged_at(made: Made, until: datetime) -> datetime:
    return min(made.at + made.solving / 3, until)


def _ticket(made: Made, until: datetime) -> ledger.Pretended:
    solved = made.opened_at + made.solving
    return ledger.Pretended(made.entry.id, made.entry.survey, made.opened_at, solved if solved <= until else None)


def _survey(until: datetime) -> Survey:
    """Closed from the beginning: nobody can answer what nobody asks."""
    return Survey(
        slug=made_up.SLUG,
        question="How was your order from the Example Shop?",
        options=(
            Option(key="good", label="Good", face="🙂"),
            Option(key="bad", label="Bad", face="🙁", unhappy=True),
        ),
        closes_at=until,
    )
