"""The words of a ticket, made from a stored submission.

Guarantees: the first comment is what the customer wrote, unchanged; the same submission gives the same request each
time (until its customer erases it), so that a retry with the same idempotency key is the same request; nothing here is
ever empty.
"""

import html
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from heed.contracts import FALSE_ALARM_TAG, Driver, Label, Priority, Reading, Reason, Survey
from ticketing.desk import TicketRequest

# Zendesk takes 150 characters and counts them as HTML, where `&` is five.
_SUBJECT_WORDS = 100
DRIVERS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored submission and the survey it answers; version 0.1.0 stored none with a `reading`."""

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
    scorer: str
    policy: str
    reading: Reading | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The requester of tickets whose customer left no address."""

    name: str
    email: str


def marker(feedback_id: UUID) -> str:
    """The line by which Heed knows its own note again."""
    return f"Heed reference {feedback_id}"


def erasure_marker(feedback_id: UUID) -> str:
    """The same of the note about an erasure."""
    return f"Heed erasure {feedback_id}"


def erasure_note(feedback_id: UUID, erased_at: datetime) -> str:
    """What agents are told when a customer erases an answer that they have as a ticket."""
    said = (
        f"The customer erased this answer in Heed on {erased_at:%-d %B %Y}. "
        "Please remove here what they wrote, unless you still need it to help them."
    )
    return f"{said}\n\n{erasure_marker(feedback_id)}"


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
    """The internal note: why this is a ticket, what moved the score, and what else is known of the answer."""
    read = answer.reading or Reading()
    lines = [
        "Heed opened this ticket because:",
        *(f"- {_reason(reason, answer)}" for reason in answer.reasons),
        f"If this needed nobody, add the tag {FALSE_ALARM_TAG}: Heed learns from it.",
        "",
        f"Survey: {answer.survey.question} ({answer.survey.slug})",
        f"Vote: {_vote(answer) or 'none'}",
        f"Rating: {f'{answer.rating} of 5' if answer.rating else 'none'}",
        f"Sentiment: {_sentiment(answer, read)}",
        *_told("What moved the score", ", ".join(_drivers(answer.comment, read))),
        *_told("Topics", ", ".join(read.topics)),
        *_told("Language", read.language),
        f"Scored by: {answer.scorer}",
        f"Decided by: {_policy(answer.policy)}",
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
    if answer.erased:
        return "What the customer wrote has been erased."
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
    if answer.reading:
        tags += [f"heed-topic-{topic}" for topic in answer.reading.topics]
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
    if reason is Reason.REVIEW:
        return "a manager asked for this ticket in the review queue"
    if answer.erased:
        return "the customer asked to be contacted, and the address has been erased since"
    return "the customer asks to be contacted"


def _sentiment(answer: Answer, read: Reading) -> str:
    if answer.p_negative is None:
        return f"{answer.label} (nothing to judge by)"
    rating = "" if read.rating is None else f"predicted rating {_signed(read.rating)} of −4 to +4, "
    chance = f"probability of negative {answer.p_negative:.2f}"
    return f"{answer.label} ({rating}{chance}, VADER compound {_signed(answer.compound)})"


def _drivers(comment: str, read: Reading) -> list[str]:
    """What moved the score, strongest first, what is the same word or rule taken together."""
    points: defaultdict[str, float] = defaultdict(float)
    for driver in read.drivers:
        points[_driver(driver, comment)] += driver.points
    strongest = sorted(points, key=lambda name: -abs(points[name]))[:DRIVERS_SHOWN]
    return [f"{name} {_signed(points[name])}" for name in strongest]


def _driver(driver: Driver, comment: str) -> str:
    """A term as the customer wrote it; what has a capital letter is a rule's name and speaks of the whole sentence."""
    words = "" if driver.start is None else " ".join(comment[driver.start : driver.end].split())
    if not words or driver.term != driver.term.lower():
        return driver.term
    return f"“{words}” (negated)" if driver.term.startswith("~") else f"“{words}”"


def _policy(policy: str) -> str:
    """The policy's name, and the lines on the probability that it went by."""
    name, _, lines = policy.partition(" ")
    ticket, _, review = lines.partition("/")
    return f"{name} (ticket from {ticket}, review from {review})" if review else policy


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def _told(what: str, told: str | None) -> list[str]:
    return [f"{what}: {told}"] if told else []


def _customer(answer: Answer) -> str:
    if answer.erased:
        return "erased"
    given = " ".join(filter(None, (answer.contact_name, answer.contact_email and f"<{answer.contact_email}>")))
    return f"{given or 'gave no name and no address'}; {'asks for a reply' if answer.reply else 'asks for no reply'}"
