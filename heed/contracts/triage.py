"""Words of the triage decision that more than one service speaks."""

from collections.abc import Iterable
from enum import StrEnum

# The tag by which an agent tells that a ticket needed nobody.
FALSE_ALARM_TAG = "heed_false_alarm"


class Label(StrEnum):
    """What the words read like. `unknown`: there were no words, or none that the scorer can judge."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"
    UNKNOWN = "unknown"


class Decision(StrEnum):
    """What triage makes of a submission."""

    TICKET = "ticket"  # it needs a person: selected
    REVIEW = "review"  # perhaps: a manager says, in the review queue
    NOTHING = "nothing"


class Reason(StrEnum):
    """Why a submission was selected for a ticket."""

    TEXT = "text"  # the words read negative: p_negative reached the ticket threshold
    OPTION = "option"  # the chosen option is marked unhappy
    RATING = "rating"  # the rating is marked unhappy
    CONTACT = "contact"  # the customer asks to be contacted
    REVIEW = "review"  # a manager said so; see `reasons_of`


def reasons_of(selected: bool, kept: Iterable[str]) -> tuple[Reason, ...]:
    """A stored submission's reasons. REVIEW is neither kept nor sent, since version 0.1.0 would stumble over it: it is
    the reason where a submission was selected and no other reason is kept."""
    return tuple(Reason(reason) for reason in kept) or ((Reason.REVIEW,) if selected else ())


class Priority(StrEnum):
    """How urgent a ticket is, in Zendesk's words."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Judge(StrEnum):
    """Who gave a verdict on a decision."""

    MANAGER = "manager"  # on the results site
    API = "api"  # a program with the API key
    AGENT = "agent"  # at the desk
