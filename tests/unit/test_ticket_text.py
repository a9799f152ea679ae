"""The words of a ticket: the customer's own, unchanged, and the same each time."""

import html
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.contracts import DEFAULT_SURVEY, Driver, Label, Priority, Reading, Reason, new_id
from heed.contracts.text import COMMENT_MAX
from ticketing import text
from ticketing.desk import ConsoleDesk
from ticketing.handler import LEASE_SECONDS
from ticketing.zendesk import MOST_SECONDS

ANONYMOUS = text.Anonymous("Nobody", "nobody@example.com")
ANSWER = text.Answer(
    id=new_id(),
    survey=DEFAULT_SURVEY,
    vote="bad",
    rating=1,
    comment="I waited three weeks.\n\n  Nobody answered!",
    contact_name="Ada",
    contact_email="ada@example.com",
    reply=True,
    received_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    label=Label.NEGATIVE,
    compound=-0.512,
    p_negative=0.913,
    reasons=(Reason.TEXT, Reason.OPTION, Reason.RATING, Reason.CONTACT),
    priority=Priority.HIGH,
    scorer="light-1+0123abcd",
    policy="triage-2+4567cdef 0.62/0.41",
)
READING = Reading(
    rating=-1.84,
    coverage=0.9,
    topics=("refund", "cancel"),
    drivers=(
        Driver("base", None, None, -0.1),
        Driver("VADER", 0, 21, -0.2),
        Driver("waited", 2, 8, -0.9),
        Driver("VADER", 25, 41, -0.2),
        Driver("waited", 2, 8, -0.02),
        Driver("~nobody", 25, 31, 0.5),
        *(Driver(f"other {number}", None, None, 0.01) for number in range(9)),
    ),
)


def test_first_comment_is_what_the_customer_wrote() -> None:
    made = text.request(ANSWER, ANONYMOUS)
    assert made.body == ANSWER.comment
    assert made.subject == "Feedback: I waited three weeks. Nobody answered!"
    assert (made.requester_name, made.requester_email) == ("Ada", "ada@example.com")
    assert made.external_id == ANSWER.id
    assert made.priority == Priority.HIGH
    assert {"heed", "heed-survey-default", "heed-vote-bad", "heed-rating-1", "heed-reason-contact"} <= set(made.tags)


@given(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=COMMENT_MAX),
    st.sampled_from([None, "bad", "gone"]),
    st.sampled_from([None, 1]),
)
def test_any_comment_makes_a_ticket_that_a_desk_can_take(comment: str, vote: str | None, rating: int | None) -> None:
    answer = replace(ANSWER, comment=comment, vote=vote, rating=rating)
    made = text.request(answer, ANONYMOUS)
    assert made == text.request(answer, ANONYMOUS)
    assert made.body == comment if comment.strip() else made.body.strip()
    assert made.subject.strip()
    assert "\n" not in made.subject
    assert len(html.escape(made.subject)) <= 150
    assert all(tag and " " not in tag for tag in made.tags)


@pytest.mark.parametrize(
    ("vote", "rating", "said"),
    [
        ("bad", None, "The customer chose “Bad” and wrote no comment."),
        (None, 2, "The customer rated 2 of 5 and wrote no comment."),
        ("bad", 1, "The customer chose “Bad” and rated 1 of 5 and wrote no comment."),
    ],
)
def test_without_words_it_says_what_was_answered(vote: str | None, rating: int | None, said: str) -> None:
    made = text.request(replace(ANSWER, comment=" \n", vote=vote, rating=rating), ANONYMOUS)
    assert made.body == said
    assert made.subject == "Unhappy customer (default)"


def test_requester_without_an_address_is_the_anonymous_one() -> None:
    made = text.request(replace(ANSWER, contact_email=None), ANONYMOUS)
    assert (made.requester_name, made.requester_email) == ("Nobody", "nobody@example.com")
    made = text.request(replace(ANSWER, contact_name=None), ANONYMOUS)
    assert (made.requester_name, made.requester_email) == ("ada", "ada@example.com")


def test_note_says_why_and_where() -> None:
    lines = text.note(ANSWER, "http://results.example/").splitlines()
    assert "- the words read negative" in lines
    assert "- the customer chose “Bad”, which counts as unhappy" in lines
    assert "- the customer rated 1 of 5, which counts as unhappy" in lines
    assert "- the customer asks to be contacted" in lines
    assert "Survey: How was your experience with us? (default)" in lines
    assert "Sentiment: negative (probability of negative 0.91, VADER compound −0.51)" in lines
    assert "Received: 2026-02-03 04:05:06 UTC" in lines
    assert "Customer: Ada <ada@example.com>; asks for a reply" in lines
    assert f"Details: http://results.example/feedback/{ANSWER.id}" in lines
    assert lines[-1] == text.marker(ANSWER.id)


def test_note_says_what_moved_the_score() -> None:
    lines = text.note(replace(ANSWER, reading=READING), None).splitlines()
    rating = "predicted rating −1.84 of −4 to +4, probability of negative 0.91, VADER compound −0.51"
    assert f"Sentiment: negative ({rating})" in lines
    [moved] = [line for line in lines if line.startswith("What moved the score: ")]
    strongest = "“waited” −0.92, “Nobody” (negated) +0.50, VADER −0.40, base −0.10, other 0 +0.01, "
    assert moved.startswith(f"What moved the score: {strongest}")
    assert moved.count(", ") == text.DRIVERS_SHOWN - 1
    assert "Topics: refund, cancel" in lines
    assert "Scored by: light-1+0123abcd" in lines
    assert "Decided by: triage-2+4567cdef (ticket from 0.62, review from 0.41)" in lines
    assert "If this needed nobody, add the tag heed_false_alarm: Heed learns from it." in lines
    assert not any(line.startswith("Language") for line in lines)
    assert "Language: de" in text.note(replace(ANSWER, reading=Reading(language="de")), None)


def test_topics_are_tags() -> None:
    before = text.request(ANSWER, ANONYMOUS)
    after = text.request(replace(ANSWER, reading=READING), ANONYMOUS)
    assert replace(after, tags=before.tags) == before
    assert after.tags == (*before.tags, "heed-topic-refund", "heed-topic-cancel")


def test_note_of_a_ticket_that_a_manager_asked_for() -> None:
    note = text.note(replace(ANSWER, reasons=(Reason.REVIEW,)), None)
    assert "because:\n- a manager asked for this ticket in the review queue\n" in note


def test_what_its_customer_has_erased() -> None:
    """As the row is then: the reasons stay, though the words and the address that they speak of are gone."""
    erased = replace(ANSWER, comment="", contact_name=None, contact_email=None, reply=False, reading=None, erased=True)
    made = text.request(erased, ANONYMOUS)
    assert made.subject == "Unhappy customer (default)"
    assert made.body == "What the customer wrote has been erased."
    assert (made.requester_name, made.requester_email) == (ANONYMOUS.name, ANONYMOUS.email)
    note = text.note(erased, None)
    assert "- the customer asked to be contacted, and the address has been erased since\n" in note
    assert "Customer: erased\n" in note
    assert text.erasure_marker(ANSWER.id) not in note, "else the note about the erasure would never be added"
    later = text.erasure_note(ANSWER.id, datetime(2026, 2, 3, tzinfo=UTC))
    assert later.startswith("The customer erased this answer in Heed on 3 February 2026. ")
    assert text.marker(ANSWER.id) not in later


def test_note_of_an_answer_that_0_1_0_stored() -> None:
    note = text.note(replace(ANSWER, scorer="vader-3.3.2/platt-1", policy="triage-1"), None)
    assert "Sentiment: negative (probability of negative 0.91, VADER compound −0.51)\nScored by: vader-3.3" in note
    assert "Decided by: triage-1\n" in note
    assert not any(word in note for word in ("None", "moved", "Topics"))


@given(st.text(max_size=60), st.integers(-3, 70), st.integers(-3, 70))
def test_no_span_breaks_the_note(comment: str, start: int, end: int) -> None:
    """The note is one line a fact, and ends in its marker, whatever a driver points at."""
    read = Reading(rating=-1, drivers=(Driver("term", start, end, -1),))
    lines = text.note(replace(ANSWER, comment=comment, reading=read), None).split("\n")
    assert len(lines) == len(text.note(replace(ANSWER, reading=READING), None).split("\n")) - 1
    assert lines[-1] == text.marker(ANSWER.id)


def test_note_of_an_answer_that_says_little() -> None:
    answer = replace(
        ANSWER, vote=None, rating=None, contact_name=None, contact_email=None, reply=False, p_negative=None
    )
    note = text.note(answer, None)
    assert "Vote: none\nRating: none\nSentiment: negative (nothing to judge by)" in note
    assert "Customer: gave no name and no address; asks for no reply" in note
    assert "Details:" not in note


def test_console_desk_gives_the_same_number_each_time() -> None:
    desk, made = ConsoleDesk(), text.request(ANSWER, ANONYMOUS)
    numbers = {desk.open(made, idempotency_key="k", look_first=look).desk_id for look in (False, True)}
    assert len(numbers) == 1
    assert 0 < numbers.pop() < 2**63


def test_lease_is_longer_than_the_desk_can_take() -> None:
    assert LEASE_SECONDS > MOST_SECONDS + 15
