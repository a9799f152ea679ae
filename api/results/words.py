"""What Heed's terms are called on the pages that the server writes.

Guarantees: the same as words.js says on those that scripts write; a test holds the two equal.
"""

from heed.contracts import Reason, TicketState
from heed.contracts.triage import Label

LABELS = {
    Label.NEGATIVE: "Negative",
    Label.NEUTRAL: "Neutral",
    Label.POSITIVE: "Positive",
    Label.UNKNOWN: "No or unclear words",
}
SIGNS = {Label.NEGATIVE: "−", Label.NEUTRAL: "=", Label.POSITIVE: "+", Label.UNKNOWN: "?"}
REASONS = {
    Reason.TEXT: "the words read negative",
    Reason.OPTION: "the chosen option counts as unhappy",
    Reason.RATING: "the rating counts as unhappy",
    Reason.CONTACT: "the customer asks to be contacted",
    Reason.REVIEW: "somebody said that it needs a person",
}
FLAGS = {
    "honeypot": "filled in a hidden field",
    "fast": "sent faster than a person can",
    "unseen": "sent without the form having been shown",
    "burst": "one of a burst",
}
TICKETS = {
    TicketState.ATTEMPTING: "Being opened",
    TicketState.CREATED: "Opened, note to come",
    TicketState.OPENED: "Open",
    TicketState.SOLVED: "Solved",
    TicketState.FAILED: "Failed",
}
# Those that customers write in most, to choose from; any other goes by its code.
LANGUAGES = {
    "ar": "Arabic",
    "bn": "Bangla",
    "zh": "Chinese",
    "cs": "Czech",
    "da": "Danish",
    "nl": "Dutch",
    "en": "English",
    "fi": "Finnish",
    "fr": "French",
    "de": "German",
    "el": "Greek",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "es": "Spanish",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
}


def language(code: str) -> str:
    """A language's name by its code; the code, where it has none here."""
    return LANGUAGES.get(code.partition("-")[0], code)
