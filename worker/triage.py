"""The triage decision: does this submission need a person, why, and how soon. A pure function of what is known."""

from dataclasses import dataclass

from heed.contracts import Priority, Reason, StreamEntry, Survey
from worker.sentiment import Sentiment

POLICY = "triage-1"


@dataclass(frozen=True, slots=True)
class Decision:
    """`reasons` are empty exactly when the submission is not selected; `priority` is None then."""

    reasons: tuple[Reason, ...]
    priority: Priority | None

    @property
    def selected(self) -> bool:
        """Whether a ticket is to be opened."""
        return bool(self.reasons)


NOTHING = Decision((), None)


def decide(survey: Survey, entry: StreamEntry, sentiment: Sentiment) -> Decision:
    """Every reason that holds: the words, the option, the rating, the wish to be contacted."""
    reasons = []
    if sentiment.p_negative is not None and sentiment.p_negative >= survey.threshold:
        reasons.append(Reason.TEXT)
    option = survey.option(entry.vote)
    if option is not None and option.unhappy:
        reasons.append(Reason.OPTION)
    if entry.rating is not None and entry.rating in survey.unhappy_ratings:
        reasons.append(Reason.RATING)
    if entry.contact is not None and entry.contact.reply:
        reasons.append(Reason.CONTACT)
    if not reasons:
        return NOTHING
    return Decision(tuple(reasons), _priority(reasons, entry.rating))


def _priority(reasons: list[Reason], rating: int | None) -> Priority:
    signs = [reason for reason in reasons if reason is not Reason.CONTACT]
    if not signs:
        return Priority.LOW  # not unhappy, only asks for a reply
    if len(signs) == 3 and rating == 1:
        return Priority.URGENT
    return Priority.HIGH if rating == 1 or len(signs) >= 2 else Priority.NORMAL
