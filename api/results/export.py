"""Answers as a file: CSV for spreadsheets, JSON lines for programs.

Guarantees: an export of any size takes constant memory and holds no database connection while the reader is slow;
no cell is taken for a formula; an export that breaks off ends the connection, so it never looks complete; none begins
that is not in the audit, which holds neither what was searched for nor what was found.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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
    "url", "app", "ref", "form_language", "customer", "flags", "erased_at", "language", "verdict",
]
# fmt: on
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: what it begins with, and how answers stand in it."""

    media_type: str
    begin: str
    lines: Callable[[Iterable[Item]], str]


class Export(StreamingResponse):
    """The file as an answer. `fetch` gives up to BATCH answers older than an id; its first error is raised here."""

    def __init__(
        self,
        engine: sa.Engine,
        actor: str,
        wanted: Listing,
        fetch: Callable[[UUID | None], list[Item]],
    ) -> None:
        self._engine, self._actor, self._fetch = engine, actor, fetch
        self._rows, self._complete = 0, False
        self._kind = KINDS[wanted.format]
        first = fetch(wanted.before)
        said = wanted.model_dump(mode="json", exclude_none=True, exclude={"q", "id", "limit"})
        if wanted.q:
            said["searched"] = True
        if wanted.id:
            said["chosen"] = len(wanted.id)
        with db.begin(engine) as connection:
            audit.note(connection, actor, Action.EXPORT, "feedback", **said)
        name = f'attachment; filename="feedback.{wanted.format}"'
        super().__init__(self._text(first), headers={"Content-Disposition": name}, media_type=self._kind.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):  # also when the reader went away
                await run_in_threadpool(self._ended)

    def _text(self, batch: list[Item]) -> Iterator[str]:
        yield self._kind.begin
        while batch:
            yield self._kind.lines(batch)
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


def _answers_as_csv(items: Iterable[Item]) -> str:
    return _lines(_cells(item) for item in items)


def _answers_as_json(items: Iterable[Item]) -> str:
    return "".join(f"{item.model_dump_json()}\n" for item in items)


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
        item.language,
        "" if item.verdict is None else "needs a person" if item.verdict else "needs nobody",
    ]


def safe(cell: object) -> object:
    """Text that a spreadsheet would take for a formula, marked as text; anything else as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


KINDS = {
    "csv": Kind("text/csv", "\ufeff" + _lines([COLUMNS]), _answers_as_csv),
    "jsonl": Kind("application/x-ndjson", "", _answers_as_json),
}
