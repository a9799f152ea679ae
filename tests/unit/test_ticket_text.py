"""The words of a ticket: the customer's own, unchanged, and the same each time."""

import html
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.contracts import DEFAULT_SURVEY, Label, Priority, Reason, new_id
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
    assert "Sentiment: negative (probability of negative 0.91, VADER compound -0.51)" in lines
    assert "Received: 2026-02-03 04:05:06 UTC" in lines
    assert "Customer: Ada <ada@example.com>; asks for a reply" in lines
    assert f"Details: http://results.example/feedback/{ANSWER.id}" in lines
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
