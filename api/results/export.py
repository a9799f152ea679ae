"""Answers as CSV, for spreadsheets.

Guarantees: an export of any size takes constant memory and holds no database connection while the reader is slow;
no cell is taken for a formula; an export that breaks off ends the connection, so it never looks complete.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from api.results.models import Item

BATCH = 500
# fmt: off
COLUMNS = [
    "id", "survey", "received_at", "vote", "rating", "comment", "contact_name", "contact_email", "reply", "source",
    "label", "compound", "p_negative", "decision", "selected", "reasons", "priority",
    "ticket_state", "ticket_id", "ticket_status", "ticket_url",
    "url", "app", "ref", "form_language", "customer", "flags", "erased_at",
]
# fmt: on
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows(fetch: Callable[[UUID | None], list[Item]], before: UUID | None = None) -> Iterator[str]:
    """The file's text in parts. `fetch` gives up to BATCH answers older than an id; its first error is raised here."""
    return _text(fetch(before), fetch)


def _text(batch: list[Item], fetch: Callable[[UUID | None], list[Item]]) -> Iterator[str]:
    yield "\ufeff" + _lines([COLUMNS])
    while batch:
        yield _lines(_cells(item) for item in batch)
        batch = fetch(batch[-1].id) if len(batch) == BATCH else []


def _lines(lines: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([safe(cell) for cell in line] for line in lines)
    return buffer.getvalue()


def _cells(item: Item) -> list[object]:
    contact, context, ticket = item.contact, item.context, item.ticket
    return [
        item.id,
        item.survey,
        item.received_at.isoformat(timespec="milliseconds"),
        item.vote,
        item.rating,
        item.comment,
        contact and contact.name,
        contact and contact.email,
        "yes" if contact and contact.reply else "no",
        item.source,
        item.label,
        item.compound,
        item.p_negative,
        item.decision,
        "yes" if item.selected else "no",
        " ".join(item.reasons),
        item.priority,
        ticket and ticket.state,
        ticket and ticket.desk_id,
        ticket and ticket.desk_status,
        ticket and ticket.url,
        context and context.url,
        context and context.app,
        context and context.ref,
        context and context.language,
        item.customer,
        " ".join(item.flags),
        item.erased_at and item.erased_at.isoformat(timespec="milliseconds"),
    ]


def safe(cell: object) -> object:
    """Text that a spreadsheet would take for a formula, marked as text; anything else as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
