"""What must a person do now? One answer for a survey, in order of urgency.

Guarantees: it costs little however much there is, since everything is counted and listed up to a bound; of the books
and the quarantine, which are not kept by survey, only who sees every survey is told; of other surveys only of theirs.
"""

from typing import Any

import sqlalchemy as sa

from api.results import summary
from api.results.access import Who
from api.results.again import held
from api.results.answers import Answers
from api.results.attention_models import (
    CARDS,
    COUNTED,
    SHOWN,
    Attention,
    Elsewhere,
    FailedTicket,
    FailedTickets,
    QuarantineGroup,
    ToJudge,
    Unbalanced,
)
from api.results.models import Filter
from api.results.recent import Recent
from api.results.rights import RIGHTS
from heed.books import Astray, Books
from heed.contracts import TicketState, reasons_of
from heed.db import engine as db
from heed.db import made_up
from heed.db.quarantine import standing
from heed.db.tables import feedback, quarantine, ticket_counts, tickets

_BOOKS, _QUARANTINE = RIGHTS["GET", "/api/v1/books"], RIGHTS["GET", "/api/v1/quarantine"]
_SHOWN_OF_FAILED = ("id", "survey", "vote", "rating", "comment", "erased_at", "received_at", "priority")

# By survey, each with what waits there: the partial index of the queue is read no further than COUNTED.
_OTHERS = sa.text("""
    SELECT surveys.slug, surveys.definition ->> 'question' AS question, coalesce(failed.tickets, 0) AS failed, waits.n
      FROM surveys
      LEFT JOIN ticket_counts AS failed ON failed.survey = surveys.slug AND failed.state = 'failed'
      CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM (
          SELECT FROM feedback WHERE feedback.survey = surveys.slug AND feedback.queued LIMIT :most
        ) AS counted
      ) AS waits
     WHERE surveys.slug <> :survey AND (waits.n > 0 OR failed.tickets > 0)
     ORDER BY failed.tickets DESC NULLS LAST, surveys.slug
""")


class Needs:
    """Reads what needs a person. `astray` is heed.books.astray of this database."""

    def __init__(self, engine: sa.Engine, answers: Answers, books: Recent[Books], astray: Recent[list[Astray]]) -> None:
        self._engine, self._answers, self._books, self._astray = engine, answers, books, astray

    def load(self, survey: str, who: Who) -> Attention:
        """All that needs a person; a 404 problem when there is no such survey among theirs."""
        who.check_sees(survey)
        books = self._books.read() if who.may(_BOOKS) else None
        unbalanced = self._unbalanced(books) if books else None
        flagged = self._answers.newest(Filter(survey=survey, queued=True, flagged=True), CARDS)
        review = self._answers.newest(Filter(survey=survey, queued=True, flagged=False), CARDS)
        with db.begin(self._engine) as connection:
            asked = summary.find(connection, survey)
            failed = FailedTickets(count=_failed_count(connection, survey), items=_failed(connection, survey))
            aside = _aside(connection) if who.may(_QUARANTINE) else None
            suspicious = ToJudge(count=_waiting(connection, survey, feedback.c.flags != []), items=flagged)
            others = ToJudge(count=_waiting(connection, survey, feedback.c.flags == []), items=review)
            demo = made_up.SLUG if made_up.read(connection) is not None else None  # nobody needs a person there
            elsewhere = [
                Elsewhere(survey=row.slug, question=row.question, failed=row.failed, waiting=row.n)
                for row in connection.execute(_OTHERS, {"survey": survey, "most": COUNTED})
                if who.sees(row.slug) and row.slug != demo
            ]
        counted = failed.count + (aside.count if aside else 0) + suspicious.count + others.count
        return Attention(
            survey=survey,
            question=asked.question,
            options=asked.options,
            nothing=unbalanced is None and not counted and not elsewhere,
            balanced=books.balanced if books else None,
            books=unbalanced,
            failed=failed,
            quarantine=aside,
            flagged=suspicious,
            review=others,
            elsewhere=elsewhere,
        )

    def astray(self) -> list[Astray]:
        """By which submissions the tickets' side of the books differs."""
        return self._astray.read()

    def _unbalanced(self, books: Books) -> Unbalanced | None:
        if books.balanced is not False and not books.tickets_off:
            return None
        return Unbalanced(books=books, astray=self._astray.read() if books.tickets_off else [])


def _failed_count(connection: sa.Connection, survey: str) -> int:
    query = sa.select(ticket_counts.c.tickets).where(
        ticket_counts.c.survey == survey, ticket_counts.c.state == TicketState.FAILED
    )
    return connection.execute(query).scalar() or 0


def _failed(connection: sa.Connection, survey: str) -> list[FailedTicket]:
    query = (
        sa.select(
            *(feedback.c[name] for name in (*_SHOWN_OF_FAILED, "selected", "reasons")),
            tickets.c.attempts,
            tickets.c.last_error.label("error"),
            tickets.c.updated_at.label("failed_at"),
        )
        .join(tickets, tickets.c.feedback_id == feedback.c.id)
        .where(tickets.c.state == TicketState.FAILED, feedback.c.survey == survey)
        .order_by(tickets.c.updated_at.desc(), feedback.c.id.desc())
        .limit(SHOWN)
    )
    rows: list[dict[str, Any]] = [dict(row) for row in connection.execute(query).mappings()]
    return [FailedTicket(**{**row, "reasons": reasons_of(row.pop("selected"), row["reasons"])}) for row in rows]


def _aside(connection: sa.Connection) -> QuarantineGroup:
    some = sa.select(quarantine.c.id).where(standing()).limit(COUNTED)
    newest = sa.select(quarantine).where(standing()).order_by(quarantine.c.id.desc()).limit(SHOWN)
    lately = quarantine.c.resolved_at > sa.func.now() - sa.text("interval '24 hours'")
    stored = sa.select(quarantine).where(lately).order_by(quarantine.c.id.desc()).limit(CARDS)
    return QuarantineGroup(
        count=connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one(),
        items=held(connection, newest),
        stored=held(connection, stored),
    )


def _waiting(connection: sa.Connection, survey: str, kind: sa.ColumnElement[bool]) -> int:
    some = sa.select(feedback.c.id).where(feedback.c.survey == survey, feedback.c.queued, kind).limit(COUNTED)
    return connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one()
