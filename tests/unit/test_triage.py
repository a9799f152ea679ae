"""The decision names every reason that holds, and only those; what cannot be judged is asked about, not dropped."""

from uuid import UUID

import pytest

from heed.contracts import DEFAULT_SURVEY, Contact, Decision, Label, Priority, Reason, SentenceRead, StreamEntry, new_id
from heed.triage import Lines, Policy
from worker.sentiment import Sentiment
from worker.triage import Triage, Triaged

LINES = Lines(ticket=0.65, review=0.4)
UNSAMPLED = UUID(int=(new_id().int // 10_000) * 10_000 + 9_999)


def decided(
    vote: str | None = None,
    rating: int | None = None,
    p_negative: float | None = None,
    *,
    reply: bool = False,
    comment: str = "",
    label: Label = Label.NEUTRAL,
    worst: float = 0.0,
    number: UUID = UNSAMPLED,
    **own: float,
) -> Triaged:
    contact = Contact(email="a@example.com", reply=True) if reply else None
    entry = StreamEntry.model_construct(
        id=number, survey="default", client="0" * 32, vote=vote, rating=rating, contact=contact, comment=comment
    )
    sentiment = Sentiment(label, 0.0, p_negative, sentences=(SentenceRead(0, 1, worst),))
    survey = DEFAULT_SURVEY.model_copy(update=own)
    return Triage(Policy.shipped(), LINES).decide(survey, entry, sentiment)


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
    triaged = decided(vote, rating, p_negative, reply=reply)
    assert (triaged.reasons, triaged.priority) == (reasons, priority)
    assert triaged.selected == bool(reasons)


def test_between_the_lines_a_manager_is_asked() -> None:
    assert decided(p_negative=0.39).decision is Decision.NOTHING
    asked = decided(p_negative=0.4)
    assert (asked.decision, asked.queued, asked.reasons) == (Decision.REVIEW, True, ())
    assert decided(p_negative=0.65).decision is Decision.TICKET


def test_a_survey_draws_its_own_lines_and_the_row_says_so() -> None:
    own = decided(p_negative=0.5, threshold=0.5, review_threshold=0.9)
    assert own.decision is Decision.TICKET
    assert own.policy.startswith("triage-2+")
    assert own.policy.endswith(" 0.5/0.5")
    assert decided(p_negative=0.3, review_threshold=0.2).decision is Decision.REVIEW
    assert decided().policy.endswith(" 0.65/0.4")


@pytest.mark.parametrize(
    ("vote", "rating", "comment", "decision", "queued"),
    [
        (None, None, "No funciona nada", Decision.REVIEW, True),
        (None, 3, "No funciona nada", Decision.REVIEW, True),
        ("bad", None, "No funciona nada", Decision.TICKET, True),
        (None, 1, "No funciona nada", Decision.TICKET, True),
        ("good", None, "Todo muy bien", Decision.NOTHING, False),
        (None, 5, "Todo muy bien", Decision.NOTHING, False),
        (None, None, "", Decision.NOTHING, False),
        (None, None, "... 12345 !!", Decision.NOTHING, False),
        ("bad", None, "", Decision.TICKET, False),
    ],
)
def test_a_text_that_cannot_be_read_goes_by_vote_and_rating_and_is_asked_about(
    vote: str | None, rating: int | None, comment: str, decision: Decision, queued: bool
) -> None:
    triaged = decided(vote, rating, None, comment=comment, label=Label.UNKNOWN)
    assert (triaged.decision, triaged.queued) == (decision, queued)
    assert Reason.TEXT not in triaged.reasons


@pytest.mark.parametrize(
    ("vote", "comment", "decision"),
    [
        (None, "None.", Decision.REVIEW),
        (None, " N/A ", Decision.REVIEW),
        ("good", "Nothing!", Decision.NOTHING),
        ("good", "I don’t know", Decision.NOTHING),
        ("bad", "no", Decision.TICKET),
        (None, "Nothing :(", Decision.TICKET),
        (None, "Nothing works", Decision.TICKET),
        ("good", "no" + "." * 5_000, Decision.TICKET),
    ],
)
def test_what_says_nothing_is_no_complaint_however_it_reads(vote: str | None, comment: str, decision: Decision) -> None:
    triaged = decided(vote, None, 0.9, comment=comment)
    assert triaged.decision is decision
    assert (Reason.TEXT in triaged.reasons) == (decision is Decision.TICKET and vote != "bad")


@pytest.mark.parametrize(
    ("comment", "topics", "priority"),
    [
        ("It stopped.", (), Priority.NORMAL),
        ("I want a REFUND.", ("refund",), Priority.HIGH),
        ("I can’t log in and will cancel.", ("cancel", "outage"), Priority.HIGH),
        ("My lawyer wants the refund.", ("legal", "refund"), Priority.URGENT),
        ("The plug caught fire", ("safety",), Priority.URGENT),
        ("We pursue it, burnside", (), Priority.NORMAL),
    ],
)
def test_words_of_urgency(comment: str, topics: tuple[str, ...], priority: Priority) -> None:
    triaged = decided(p_negative=0.9, comment=comment)
    assert (triaged.topics, triaged.priority) == (topics, priority)


def test_a_very_negative_sentence_is_more_urgent_only_where_the_words_selected() -> None:
    assert decided(p_negative=0.9, worst=-2.5).priority is Priority.HIGH
    assert decided("bad", p_negative=0.1, worst=-2.5).priority is Priority.NORMAL


def test_the_lot_falls_on_a_known_share_and_always_the_same() -> None:
    policy = Policy.shipped()
    ids = [new_id() for _ in range(20_000)]
    drawn = [policy.samples(each) for each in ids]
    assert 0.015 < sum(drawn) / len(drawn) < 0.025
    assert drawn == [policy.samples(each) for each in ids]
    sampled = decided("good", 5, 0.01, number=ids[drawn.index(True)])
    assert (sampled.decision, sampled.queued, sampled.sampled) == (Decision.NOTHING, True, True)
