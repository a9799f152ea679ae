"""How well triage works for a survey, from people's verdicts on its answers of the last 90 days.

Guarantees: the cost has a bound, however many answers there are: at most so many of the newest are looked at.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from api.results import estimate
from api.results.models import Drawn, Performance, Verdicts
from api.results.summary import find
from heed.contracts import Decision, first_id

DAYS = 90
DRAWN_MOST, JUDGED_MOST = 5_000, 10_000

# Without agents' verdicts: they tell false alarms alone, so with them what was judged would be worse than what was not.
_SAMPLE = sa.text("""
    SELECT decision, count(*) AS drawn, count(needs_person) AS judged, count(*) FILTER (WHERE needs_person) AS needed
    FROM (
        SELECT id, decision FROM feedback
        WHERE survey = :survey AND sampled AND id >= :first ORDER BY id DESC LIMIT :most
    ) AS drawn
    LEFT JOIN LATERAL (
        SELECT needs_person FROM verdicts WHERE feedback_id = drawn.id AND judge <> 'agent'
        ORDER BY verdicts.id DESC LIMIT 1
    ) AS newest ON true
    GROUP BY decision
""")

# What version 0.1.0 stored has no decision: it is a ticket if it was selected, and not by a verdict. OFFSET 0 keeps the
# look-ups by id what they are: a join would be planned as a scan of all feedback.
_VERDICTS = sa.text("""
    SELECT count(*) FILTER (WHERE ticket AND needs_person) AS confirmed,
        count(*) FILTER (WHERE ticket AND NOT needs_person) AS false_alarms,
        count(*) FILTER (WHERE review AND needs_person) AS found,
        count(*) FILTER (WHERE NOT ticket AND NOT review AND needs_person) AS missed,
        count(*) FILTER (WHERE NOT ticket AND NOT needs_person) AS dismissed
    FROM (
        SELECT DISTINCT ON (feedback_id) feedback_id, needs_person FROM verdicts
        WHERE feedback_id >= :first ORDER BY feedback_id DESC, id DESC LIMIT :most
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT coalesce(decision = 'review', false) AS review,
            coalesce(decision = 'ticket', selected AND reasons <> '{}') AS ticket
        FROM feedback WHERE id = newest.feedback_id AND survey = :survey OFFSET 0
    ) AS judged
""")


def load(connection: sa.Connection, slug: str) -> Performance:
    """The figures now; a 404 problem when there is no such survey."""
    find(connection, slug)
    about = {"survey": slug, "first": first_id(datetime.now(UTC) - timedelta(days=DAYS))}
    sample = {decision: Drawn() for decision in Decision}
    for row in connection.execute(_SAMPLE, {**about, "most": DRAWN_MOST}):
        sample[Decision(row.decision)] = Drawn(drawn=row.drawn, judged=row.judged, needed=row.needed)
    counts = connection.execute(_VERDICTS, {**about, "most": JUDGED_MOST}).mappings().one()
    return Performance(
        survey=slug,
        precision=estimate.precision(sample),
        recall=estimate.recall(sample),
        sample=sample,
        verdicts=Verdicts(**counts),
    )
