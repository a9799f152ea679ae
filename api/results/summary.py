"""A survey's results, read from the rollups alone.

Guarantees: the cost does not depend on the number of answers; all numbers are of one moment (one statement).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from api.results.models import Bucket, Results, Sentiment
from heed.contracts import Survey, TicketState
from heed.db import surveys as kept
from heed.db.tables import surveys
from heed.web.problems import Problem

HOURS, DAYS = 48, 30

# A rollup row is an hour's answers with the same vote, rating and label; '' is no vote, 0 no rating.
_NUMBERS = sa.text("""
    SELECT 'total' AS kind, NULL::timestamptz AS at, vote AS key, rating, label, answers, selected
      FROM rollup WHERE survey = :survey AND grain = 'total'
    UNION ALL
    SELECT 'hour', at, vote, 0, label, sum(answers)::bigint, 0
      FROM rollup WHERE survey = :survey AND grain = 'hour' AND at >= :first_hour GROUP BY at, vote, label
    UNION ALL
    SELECT 'day', at, vote, 0, label, sum(answers)::bigint, 0
      FROM rollup WHERE survey = :survey AND grain = 'day' AND at >= :first_day GROUP BY at, vote, label
    UNION ALL
    SELECT 'ticket', NULL, state, 0, '', tickets, 0
      FROM ticket_counts WHERE survey = :survey
""")


def questions(connection: sa.Connection) -> dict[str, str]:
    """Every survey's question, by slug."""
    rows = connection.execute(sa.select(surveys.c.slug, surveys.c.definition["question"].astext).order_by("slug"))
    return {row[0]: row[1] for row in rows}


def find(connection: sa.Connection, slug: str) -> Survey:
    """The survey; a 404 problem when there is none."""
    survey = kept.one(connection, slug)
    if survey is None:
        raise Problem(404, "There is no such survey.", kind="unknown-survey")
    return survey


def load(connection: sa.Connection, slug: str) -> Results:
    """The results now; a 404 problem when there is no such survey."""
    survey = find(connection, slug)
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    hours = [hour - timedelta(hours=back) for back in reversed(range(HOURS))]
    days = [day - timedelta(days=back) for back in reversed(range(DAYS))]

    rows = connection.execute(_NUMBERS, {"survey": slug, "first_hour": hours[0], "first_day": days[0]}).all()
    totals = [row for row in rows if row.kind == "total"]
    options = options_of(survey, totals)
    ratings = {str(rating): sum(row.answers for row in totals if row.rating == rating) for rating in range(1, 6)}
    given = sum(ratings.values())
    total = sum(row.answers for row in totals)
    selected = sum(row.selected for row in totals)
    tickets: dict[str, int] = dict.fromkeys(TicketState, 0)
    tickets |= {row.key: row.answers for row in rows if row.kind == "ticket"}
    return Results(
        survey=slug,
        question=survey.question,
        options=survey.options,
        total=total,
        votes=votes_of(options, totals),
        ratings={**ratings, "none": total - given},
        average_rating=sum(int(key) * count for key, count in ratings.items()) / given if given else None,
        sentiment=sentiment_of(totals),
        selected=selected,
        tickets={**tickets, "waiting": max(selected - sum(tickets.values()), 0)},
        hours=_buckets(hours, options, [row for row in rows if row.kind == "hour"]),
        days=_buckets(days, options, [row for row in rows if row.kind == "day"]),
        as_of=now,
    )


def options_of(survey: Survey, rows: Iterable[sa.Row[Any]]) -> list[str]:
    """The survey's options, those that it no longer has and that have votes, and `none`."""
    voted = [row.key for row in rows if row.key]
    return [*dict.fromkeys([*(option.key for option in survey.options), *voted]), "none"]


def votes_of(options: list[str], rows: Iterable[sa.Row[Any]]) -> dict[str, int]:
    """Answers by option, from rows of a key and a number of answers."""
    votes = dict.fromkeys(options, 0)
    for row in rows:
        votes[row.key or "none"] += row.answers
    return votes


def sentiment_of(rows: Iterable[sa.Row[Any]]) -> Sentiment:
    """Answers by what their words read like, from rows of a label and a number of answers."""
    found = dict.fromkeys(Sentiment.model_fields, 0)
    for row in rows:
        found[row.label] += row.answers
    return Sentiment(**found)


def _buckets(times: list[datetime], options: list[str], rows: list[sa.Row[Any]]) -> list[Bucket]:
    by_time: dict[datetime, list[sa.Row[Any]]] = {at: [] for at in times}
    for row in rows:
        if row.at in by_time:  # not when a clock runs ahead
            by_time[row.at].append(row)
    return [
        Bucket(
            at=at,
            answers=sum(row.answers for row in found),
            votes=votes_of(options, found),
            **sentiment_of(found).model_dump(),
        )
        for at, found in by_time.items()
    ]
