"""The decision names every reason that holds, and only those."""

import pytest

from heed.contracts import DEFAULT_SURVEY, Contact, Label, Priority, Reason, StreamEntry, new_id
from worker.sentiment import Sentiment
from worker.triage import decide


@pytest.mark.parametrize(
    ("vote", "rating", "p_negative", "reply", "reasons", "priority"),
    [
        ("good", 5, 0.1, False, (), None),
        (None, None, None, False, (), None),
        ("good", None, 0.64, False, (), None),
        ("good", None, 0.65, False, (Reason.TEXT,), Priority.NORMAL),
        ("bad", None, None, False, (Reason.OPTION,), Priority.NORMAL),
        ("good", 2, None, False, (Reason.RATING,), Priority.NORMAL),
        ("good", 1, None, False, (Reason.RATING,), Priority.HIGH),
        ("good", 3, None, False, (), None),
        ("good", 5, 0.1, True, (Reason.CONTACT,), Priority.LOW),
        ("bad", 2, 0.2, True, (Reason.OPTION, Reason.RATING, Reason.CONTACT), Priority.HIGH),
        ("bad", 1, 0.9, False, (Reason.TEXT, Reason.OPTION, Reason.RATING), Priority.URGENT),
        ("gone", None, None, False, (), None),
    ],
)
def test_reasons(
    vote: str | None,
    rating: int | None,
    p_negative: float | None,
    reply: bool,
    reasons: tuple[Reason, ...],
    priority: Priority | None,
) -> None:
    contact = Contact(email="a@example.com", reply=True) if reply else None
    entry = StreamEntry(id=new_id(), survey="default", client="0" * 32, vote=vote, rating=rating, contact=contact)
    decision = decide(DEFAULT_SURVEY, entry, Sentiment(Label.NEUTRAL, 0.0, p_negative))
    assert (decision.reasons, decision.priority) == (reasons, priority)
    assert decision.selected == bool(reasons)
