"""`Desk`: where tickets go. Zendesk is one (ticketing.zendesk), `ConsoleDesk` is for those without.

Guarantees: every call either did what it says or raises `Later` (it may have happened all the same), `Refused` or
`Paused`; calling again with the same key and the same request makes no second ticket. Any thread may call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from heed.contracts import Priority
from heed.db.ledger import Report
from heed.telemetry import log


@dataclass(frozen=True, slots=True)
class TicketRequest:
    """A ticket as the desk shall have it; pure data, the same for the same submission each time."""

    external_id: UUID
    subject: str
    body: str
    requester_name: str
    requester_email: str
    priority: Priority
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket's number. `made`: this very call made it, for certain; else it was there, with this status."""

    desk_id: int
    made: bool
    status: str = "new"


@dataclass(frozen=True, slots=True)
class Changes:
    """Reports since a cursor, and the cursor to go on from, if there is one yet; `more` when others wait.

    `false_alarms` are the submissions among them whose tickets carry FALSE_ALARM_TAG now.
    """

    reports: Sequence[Report]
    cursor: str | None
    more: bool
    false_alarms: Sequence[UUID] = ()


class Desk(Protocol):
    """What ticketing needs of a desk. `name` tells it from others: a cursor of one means nothing to another."""

    name: str

    def check(self) -> None:
        """Ask whether the desk works at all; changes nothing."""

    def open(self, request: TicketRequest, *, idempotency_key: str, look_first: bool) -> Opened:
        """Open the ticket, or find the one that is there already.

        `look_first` when the desk may have forgotten the key of an earlier try.
        """

    def find(self, external_id: UUID) -> Opened | None:
        """The ticket of this submission, if this desk has one."""

    def annotate(self, desk_id: int, *, marker: str, note: str, look_first: bool) -> None:
        """Add the internal note; with `look_first` not when one with this marker is there."""

    def changes(self, since: str | datetime) -> Changes:
        """Tickets that changed since a cursor of an earlier answer, or since a time."""


class ConsoleDesk:
    """A desk that only logs. Its numbers come from the submission's id, so a retry opens nothing new."""

    name = "console"

    def check(self) -> None:
        """It always works."""

    def open(self, request: TicketRequest, *, idempotency_key: str, look_first: bool) -> Opened:
        """Log the ticket without the customer's words; 62 of the id's random bits are its number."""
        desk_id = request.external_id.int & ((1 << 62) - 1)
        log.info(
            "ticket", id=str(request.external_id), desk_id=desk_id, priority=request.priority, tags=list(request.tags)
        )
        return Opened(desk_id, made=True)

    def find(self, external_id: UUID) -> Opened | None:
        """Nothing is kept here."""
        return None

    def annotate(self, desk_id: int, *, marker: str, note: str, look_first: bool) -> None:
        """Nobody reads notes here."""

    def changes(self, since: str | datetime) -> Changes:
        """Nobody solves tickets here."""
        return Changes((), None, more=False)
