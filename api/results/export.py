"""Answers as CSV, for spreadsheets.

Guarantees: an export of any size takes constant memory and holds no database connection while the reader is slow;
no cell is taken for a formula; an export that breaks off ends the connection, so it never looks complete; none begins
that is not in the audit, which holds neither what was searched for nor what was found.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

import anyio
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.results.models import Item, Listing
from heed.db import audit
from heed.db import engine as db
from heed.db.audit import Action
from heed.errors import Later
from heed.telemetry import log

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


class Export(StreamingResponse):
    """The file as an answer. `fetch` gives up to BATCH answers older than an id; its first error is raised here."""

    media_type = "text/csv"

    def __init__(
        self,
        engine: sa.Engine,
        actor: str,
        wanted: Listing,
        fetch: Callable[[UUID | None], list[Item]],
    ) -> None:
        self._engine, self._actor, self._fetch = engine, actor, fetch
        self._rows, self._complete = 0, False
        first = fetch(wanted.before)
        said = wanted.model_dump(mode="json", exclude_none=True, exclude={"q", "limit", "format"})
        if wanted.q:
            said["searched"] = True
        with db.begin(engine) as connection:
            audit.note(connection, actor, Action.EXPORT, "feedback", **said)
        super().__init__(self._text(first), headers={"Content-Disposition": 'attachment; filename="feedback.csv"'})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):  # also when the reader went away
                await run_in_threadpool(self._ended)

    def _text(self, batch: list[Item]) -> Iterator[str]:
        yield "\ufeff" + _lines([COLUMNS])
        while batch:
            yield _lines(_cells(item) for item in batch)
            self._rows += len(batch)
            batch = self._fetch(batch[-1].id) if len(batch) == BATCH else []
        self._complete = True

    def _ended(self) -> None:
        told = {"rows": self._rows, "complete": self._complete}
        try:
            with db.begin(self._engine) as connection:
                audit.note(connection, self._actor, Action.EXPORT_ENDED, "feedback", **told)
        except Later:  # that it began is there
            log.warning("the end of an export is not in the audit", **told)


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
