"""States of the ticket ledger and kinds of quarantine.

attempting ──> created ──> opened <──> solved
     └────────────┴──────> failed
"""

from enum import StrEnum


class TicketState(StrEnum):
    """Where a selected submission stands on its way to one ticket."""

    ATTEMPTING = "attempting"  # a call to the desk was about to be made; its outcome is not known yet
    CREATED = "created"  # the desk has the ticket and its id is known; the internal note is still to be added
    OPENED = "opened"  # the ticket is complete and a person has it
    SOLVED = "solved"  # the desk says that it is solved or closed
    FAILED = "failed"  # the desk refused it for good: shown to the manager, can be replayed


# From here on nothing more is to be done for the outbox: the event has had its effect.
TERMINAL = frozenset({TicketState.OPENED, TicketState.SOLVED, TicketState.FAILED})


class QuarantineKind(StrEnum):
    """What was quarantined."""

    SUBMISSION = "submission"  # a stream entry: it counts in the books
    EVENT = "event"  # a queue message that the ticketing service could not read; the outbox sends a new one


class QuarantineReason(StrEnum):
    """Why something was quarantined; `detail` beside it says it in a sentence."""

    INVALID = "invalid"  # it does not fit its contract
    DUPLICATE = "duplicate"  # this client already answered this survey
    UNKNOWN_SURVEY = "unknown-survey"  # no such survey in Postgres
    FAILED = "failed"  # processing it alone raised an unexpected error
    CRASHED = "crashed"  # workers died each time they held it
