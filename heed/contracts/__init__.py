"""What Heed's services say to each other: versioned models, the event rule, the ledger's states.

Guarantees: nothing here imports the rest of Heed; a model that has been released keeps reading what it
wrote (a new shape is a new version beside the old one); the JSON Schemas in `schemas/` equal the models.
"""

from heed.contracts.access import BUILT_IN, KEY_PREFIX, KeyScope, PersonName, Role, fingerprint
from heed.contracts.context import Context
from heed.contracts.entry import MADE_UP, Flag, StreamEntry, parse_entry
from heed.contracts.event import EVENT_SOURCE, EVENT_TYPE, RULE_PATTERN, NegativeFeedback, rule_pattern
from heed.contracts.ids import first_id, new_id, received_at
from heed.contracts.ledger import TERMINAL, QuarantineKind, QuarantineReason, TicketState
from heed.contracts.reading import Driver, Reading, SentenceRead
from heed.contracts.submission import Contact, Submission, User
from heed.contracts.survey import DEFAULT_SURVEY, Option, Survey, Texts
from heed.contracts.triage import FALSE_ALARM_TAG, Decision, Judge, Label, Priority, Reason, reasons_of

__all__ = [
    "BUILT_IN",
    "DEFAULT_SURVEY",
    "EVENT_SOURCE",
    "EVENT_TYPE",
    "FALSE_ALARM_TAG",
    "KEY_PREFIX",
    "MADE_UP",
    "RULE_PATTERN",
    "TERMINAL",
    "Contact",
    "Context",
    "Decision",
    "Driver",
    "Flag",
    "Judge",
    "KeyScope",
    "Label",
    "NegativeFeedback",
    "Option",
    "PersonName",
    "Priority",
    "QuarantineKind",
    "QuarantineReason",
    "Reading",
    "Reason",
    "Role",
    "SentenceRead",
    "StreamEntry",
    "Submission",
    "Survey",
    "Texts",
    "TicketState",
    "User",
    "fingerprint",
    "first_id",
    "new_id",
    "parse_entry",
    "reasons_of",
    "received_at",
    "rule_pattern",
]
