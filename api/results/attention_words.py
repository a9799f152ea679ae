"""What Heed's terms are called on the page of what needs a person; words.py has those of every page."""

from heed.books import Why
from heed.contracts import Priority, QuarantineReason

PRIORITIES = {
    Priority.LOW: "low priority",
    Priority.NORMAL: "normal priority",
    Priority.HIGH: "high priority",
    Priority.URGENT: "urgent",
}

ASTRAY = {
    Why.UNTICKETED: "was selected, and has no ticket, none on its way and none that failed",
    Why.STUCK: "has a ticket that was begun, and nothing is on its way that would carry it on",
    Why.ENDED: "has its ticket, and still counts as on its way",
    Why.UNSELECTED: "has a ticket, and was never selected",
}

# What happened, and what to do about it.
HELD = {
    QuarantineReason.INVALID: (
        "Cannot be read",
        "Try it again after an update of Heed; what it cannot read now stays.",
    ),
    QuarantineReason.DUPLICATE: (
        "This customer had answered already",
        "The first answer counts. There is nothing to do; this one stays here for the record.",
    ),
    QuarantineReason.UNKNOWN_SURVEY: (
        "There is no such survey",
        "Make the survey again under that name, then try this again.",
    ),
    QuarantineReason.FAILED: ("An unexpected error", "Try it again. If it comes back, it is for whoever runs Heed."),
    QuarantineReason.CRASHED: (
        "Workers ended while they held it",
        "It is for whoever runs Heed: try it again when they say so.",
    ),
}
