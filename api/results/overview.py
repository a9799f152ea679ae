"""A survey's overview: a period in numbers, beside the one before, and why its customers were unhappy.

Guarantees: the cost has a bound, however many answers there are: counts come from the hours of the rollup, all else
from so many of the newest answers; all numbers are of one moment; many who ask the same cost one query a second.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from api.results.overview_models import (
    NEGATIVES_MOST,
    SELECTED_MOST,
    Asked,
    Figures,
    Overview,
    TicketFigures,
    TimeBucket,
)
from api.results.period import Period, Stretch, of_days, of_preset
from api.results.recent import RecentBy
from api.results.summary import find, options_of, sentiment_of, votes_of
from api.results.telling import Spoken, most_telling
from heed.contracts import Label, Reason, TicketState, first_id, received_at
from heed.db import engine as db

SECONDS = 1.0
TIMES = 5.0  # a year of a busy survey is read for a fifth of the time at most
REMEMBERED = 100
WAITING_MOST = 10_000

# Place 0 is the period before, the others count the buckets from 1.
_COUNTS = sa.text("""
    SELECT width_bucket(at, CAST(:starts AS timestamptz[])) AS place, vote AS key, label,
        sum(answers)::bigint AS answers, sum(selected)::bigint AS selected,
        coalesce(sum(answers) FILTER (WHERE rating > 0), 0)::bigint AS rated, sum(answers * rating)::bigint AS stars
    FROM rollup WHERE survey = :survey AND grain = 'hour' AND at >= :since AND at < :until
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT 0, vote, label, sum(answers)::bigint, sum(selected)::bigint,
        coalesce(sum(answers) FILTER (WHERE rating > 0), 0)::bigint, sum(answers * rating)::bigint
    FROM rollup WHERE survey = :survey AND grain = 'hour' AND at >= :before_since AND at < :before_until
    GROUP BY 1, 2, 3
""")

# Where no reason is kept, a verdict was the reason (heed.contracts.reasons_of). OFFSET 0 keeps the look-ups of tickets
# what they are: a join would be planned as a scan of all tickets. Versions before 0.2.0 kept no time of opening, and
# made-up tickets have no number at a desk.
_FATE = """
    SELECT count(*) AS looked_at, count(*) FILTER (WHERE desk_id IS NOT NULL OR opened_at IS NOT NULL) AS opened,
        count(solved_at) AS solved,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM opened_at - received_at)::float8)
            AS seconds_to_ticket,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM solved_at - received_at)::float8)
            AS seconds_to_solution,
        count(*) FILTER (WHERE 'text' = ANY(reasons)) AS text,
        count(*) FILTER (WHERE 'option' = ANY(reasons)) AS option,
        count(*) FILTER (WHERE 'rating' = ANY(reasons)) AS rating,
        count(*) FILTER (WHERE 'contact' = ANY(reasons)) AS contact,
        count(*) FILTER (WHERE reasons = '{{}}') AS review
    FROM (
        SELECT id, survey, selected, reasons, received_at FROM feedback
        WHERE {kind} AND id >= :first AND id < :last ORDER BY id DESC LIMIT :most
    ) AS newest
    LEFT JOIN LATERAL (
        SELECT desk_id, opened_at, solved_at FROM tickets WHERE feedback_id = newest.id OFFSET 0
    ) AS ticket ON true
    WHERE survey = :survey AND selected
"""
_SELECTED = sa.text(_FATE.format(kind="selected"))
_OF_SURVEY = sa.text(_FATE.format(kind="survey = :survey"))

# A driver is an array: term, start, end, points; without a place it is no word.
_SPOKEN = sa.text("""
    SELECT (
        SELECT coalesce(jsonb_agg(jsonb_build_array(driver -> 0, driver -> 3)), '[]')
        FROM jsonb_array_elements(reading -> 'drivers') AS driver
        WHERE driver -> 1 <> 'null' AND CAST(driver ->> 3 AS float8) < 0
    )
    FROM (
        SELECT reading FROM feedback
        WHERE survey = :survey AND label = :label AND id >= :first AND id < :last ORDER BY id DESC LIMIT :most
    ) AS newest
    WHERE reading ->> 'v' = '1'
""")

_OPEN = sa.text("""
    SELECT coalesce(sum(tickets), 0)::bigint FROM ticket_counts WHERE survey = :survey AND state = ANY(:states)
""")

_WAITING = sa.text("""
    SELECT feedback_id FROM (
        SELECT feedback_id, event ->> 'survey' AS survey FROM outbox ORDER BY feedback_id LIMIT :most
    ) AS oldest
    WHERE survey = :survey ORDER BY feedback_id LIMIT 1
""")


class Overviews:
    """Overviews as Postgres has them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._recent = RecentBy(self._load, SECONDS, REMEMBERED, TIMES)

    def read(self, slug: str, asked: Asked) -> Overview:
        """The overview, at most a second old; a 404 problem when there is no such survey, a 422 for such a period."""
        return self._recent.read((slug, asked))

    def _load(self, question: tuple[str, Asked]) -> Overview:
        slug, asked = question
        at = datetime.now(UTC)
        period = _period(asked, at)
        with db.begin(self._engine) as connection:
            db.one_moment(connection)
            return load(connection, slug, period, at)


def load(connection: sa.Connection, slug: str, period: Period, at: datetime) -> Overview:
    """The overview of that period, as of `at`; a 404 problem when there is no such survey."""
    survey = find(connection, slug)
    about = {"survey": slug, "starts": list(period.starts), "since": period.now.since, "until": period.now.until}
    before = {"before_since": period.before.since, "before_until": period.before.until}
    rows = connection.execute(_COUNTS, {**about, **before}).all()
    options = options_of(survey, rows)
    now, earlier = [row for row in rows if row.place], [row for row in rows if not row.place]
    reasons, tickets = _selected(connection, slug, period.now, sum(row.selected for row in now))
    _, tickets_before = _selected(connection, slug, period.before, sum(row.selected for row in earlier))
    spoken, spoken_before = (_spoken(connection, slug, each) for each in (period.now, period.before))
    states = [TicketState.OPENED, TicketState.CREATED]
    waiting = connection.execute(_WAITING, {"survey": slug, "most": WAITING_MOST}).scalar_one_or_none()
    return Overview(
        survey=slug,
        question=survey.question,
        options=survey.options,
        tz=period.zone,
        group=period.group,
        first_day=period.first,
        last_day=period.last,
        now=_figures(period, period.now, options, now, tickets),
        before=_figures(period, period.before, options, earlier, tickets_before),
        buckets=list(_buckets(period, options, rows)),
        reasons=reasons,
        words=most_telling(spoken, spoken_before),
        negatives_looked_at=spoken.answers,
        open_tickets=connection.execute(_OPEN, {"survey": slug, "states": states}).scalar_one(),
        oldest_waiting_seconds=None if waiting is None else max((at - received_at(waiting)).total_seconds(), 0.0),
        as_of=at,
    )


def _period(asked: Asked, at: datetime) -> Period:
    if asked.since is not None and asked.until is not None:
        return of_days(asked.since, asked.until, asked.group, asked.tz, at)
    return of_preset(asked.period or "30d", asked.group, asked.tz, at)


def _figures(
    period: Period, stretch: Stretch, options: list[str], rows: Sequence[sa.Row[Any]], tickets: TicketFigures
) -> Figures:
    sentiment = sentiment_of(rows)
    read = sentiment.negative + sentiment.neutral + sentiment.positive
    rated = sum(row.rated for row in rows)
    return Figures(
        since=period.local(stretch.since),
        until=period.local(stretch.until),
        answers=sum(row.answers for row in rows),
        sentiment=sentiment,
        negative_share=sentiment.negative / read if read else None,
        votes=votes_of(options, rows),
        rated=rated,
        average_rating=sum(row.stars for row in rows) / rated if rated else None,
        selected=sum(row.selected for row in rows),
        tickets=tickets,
    )


def _buckets(period: Period, options: list[str], rows: Iterable[sa.Row[Any]]) -> Iterable[TimeBucket]:
    by_place: dict[int, list[sa.Row[Any]]] = {}
    for row in rows:
        by_place.setdefault(row.place, []).append(row)
    for place, start in enumerate(period.starts, 1):
        found = by_place.get(place, [])
        yield TimeBucket(
            at=period.local(start),
            answers=sum(row.answers for row in found),
            votes=votes_of(options, found),
            **sentiment_of(found).model_dump(),
        )


def _selected(
    connection: sa.Connection, slug: str, stretch: Stretch, selected: int
) -> tuple[dict[Reason, int], TicketFigures]:
    """Of the newest selected answers of all surveys, or, where those of others crowd this one's `selected` out, of the
    newest answers of this one: whichever finds more."""
    about = {**_ids(slug, stretch), "most": SELECTED_MOST}
    row = dict(connection.execute(_SELECTED, about).mappings().one())
    if row["looked_at"] < min(selected, SELECTED_MOST):
        row = max(row, dict(connection.execute(_OF_SURVEY, about).mappings().one()), key=lambda each: each["looked_at"])
    reasons = {reason: row.pop(reason) for reason in Reason}
    return reasons, TicketFigures(**row)


def _spoken(connection: sa.Connection, slug: str, stretch: Stretch) -> Spoken:
    about = {**_ids(slug, stretch), "label": Label.NEGATIVE, "most": NEGATIVES_MOST}
    return Spoken(connection.execute(_SPOKEN, about).scalars())


def _ids(slug: str, stretch: Stretch) -> dict[str, Any]:
    """An id begins with the time of arrival, so a stretch of time is a range of the index."""
    return {"survey": slug, "first": first_id(stretch.since), "last": first_id(stretch.until)}
