"""Words of the triage decision that more than one service speaks."""

from enum import StrEnum


class Label(StrEnum):
    """What the words read like. `unknown`: there were no words, or none that the scorer can judge."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a submission was selected for a ticket."""

    TEXT = "text"  # the words read negative: p_negative reached the survey's threshold
    OPTION = "option"  # the chosen option is marked unhappy
    RATING = "rating"  # the rating is marked unhappy
    CONTACT = "contact"  # the customer asks to be contacted


class Priority(StrEnum):
    """How urgent a ticket is, in Zendesk's words."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"
