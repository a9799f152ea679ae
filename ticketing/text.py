"""The words of a ticket, made from a stored submission.

Guarantees: the first comment is what the customer wrote, unchanged; the same submission gives the same request each
time, so that a retry with the same idempotency key is the same request; nothing here is ever empty.
"""

import html
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from heed.contracts import Label, Priority, Reason, Survey
from ticketing.desk import TicketRequest

# Zendesk takes 150 characters and counts them as HTML, where `&` is five.
_SUBJECT_WORDS = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored submission and the survey it answers."""

    id: UUID
    survey: Survey
    vote: str | None
    rating: int | None
    comment: str
    contact_name: str | None
    contact_email: str | None
    reply: bool
    received_at: datetime
    label: Label
    compound: float
    p_negative: float | None
    reasons: tuple[Reason, ...]
    priority: Priority


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The requester of tickets whose customer left no address."""

    name: str
    email: str


def marker(feedback_id: UUID) -> str:
    """The line by which Heed knows its own note again."""
    return f"Heed reference {feedback_id}"


def request(answer: Answer, anonymous: Anonymous) -> TicketRequest:
    """The ticket that this answer becomes."""
    if answer.contact_email:
        email = answer.contact_email
        name = answer.contact_name or email.partition("@")[0]
    else:
        name, email = anonymous.name, anonymous.email
    return TicketRequest(
        external_id=answer.id,
        subject=_subject(answer),
        body=answer.comment if answer.comment.strip() else _without_words(answer),
        requester_name=name,
        requester_email=email,
        priority=answer.priority,
        tags=_tags(answer),
    )


def note(answer: Answer, results_url: str | None) -> str:
    """The internal note: why this is a ticket, and what else is known of the answer."""
    lines = [
        "Heed opened this ticket because:",
        *(f"- {_reason(reason, answer)}" for reason in answer.reasons),
        "",
        f"Survey: {answer.survey.question} ({answer.survey.slug})",
        f"Vote: {_vote(answer) or 'none'}",
        f"Rating: {f'{answer.rating} of 5' if answer.rating else 'none'}",
        f"Sentiment: {_sentiment(answer)}",
        f"Received: {answer.received_at:%Y-%m-%d %H:%M:%S} UTC",
        f"Customer: {_customer(answer)}",
    ]
    if results_url:
        lines.append(f"Details: {results_url.rstrip('/')}/feedback/{answer.id}")
    return "\n".join([*lines, "", marker(answer.id)])


def _subject(answer: Answer) -> str:
    words = " ".join(answer.comment.split())
    if not words:
        return f"Unhappy customer ({answer.survey.slug})"
    cut = words
    while len(html.escape(cut)) > _SUBJECT_WORDS:
        cut = cut[:-1]
    return f"Feedback: {cut}{'…' if cut != words else ''}"


def _without_words(answer: Answer) -> str:
    said = [f"chose “{_vote(answer)}”"] if answer.vote else []
    if answer.rating:
        said.append(f"rated {answer.rating} of 5")
    return f"The customer {' and '.join(said) or 'answered'} and wrote no comment."


def _tags(answer: Answer) -> tuple[str, ...]:
    tags = ["heed", f"heed-survey-{answer.survey.slug}", f"heed-sentiment-{answer.label}"]
    tags += [f"heed-reason-{reason}" for reason in answer.reasons]
    if answer.vote:
        tags.append(f"heed-vote-{answer.vote}")
    if answer.rating:
        tags.append(f"heed-rating-{answer.rating}")
    return tuple(tags)


def _vote(answer: Answer) -> str | None:
    option = answer.survey.option(answer.vote)
    return option.label if option else answer.vote


def _reason(reason: Reason, answer: Answer) -> str:
    if reason is Reason.TEXT:
        return "the words read negative"
    if reason is Reason.OPTION:
        return f"the customer chose “{_vote(answer)}”, which counts as unhappy"
    if reason is Reason.RATING:
        return f"the customer rated {answer.rating} of 5, which counts as unhappy"
    return "the customer asks to be contacted"


def _sentiment(answer: Answer) -> str:
    if answer.p_negative is None:
        return f"{answer.label} (nothing to judge by)"
    return f"{answer.label} (probability of negative {answer.p_negative:.2f}, VADER compound {answer.compound:+.2f})"


def _customer(answer: Answer) -> str:
    given = " ".join(filter(None, (answer.contact_name, answer.contact_email and f"<{answer.contact_email}>")))
    return f"{given or 'gave no name and no address'}; {'asks for a reply' if answer.reply else 'asks for no reply'}"
