"""The agents' pages: the list of tickets, a ticket's conversation, and the form that answers it.

Guarantees: customers' text is escaped and keeps its line breaks; a form counts only when it was sent from these
pages (they have no login, so another site must not be able to send one).
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from heed.contracts import FALSE_ALARM_TAG
from local.sandbox import incoming
from local.sandbox.api import Id, TheStore
from local.sandbox.errors import ZendeskError
from local.sandbox.incoming import STATUSES
from local.sandbox.store import AGENT_EMAIL, Filters, Store

FOLDER = Path(__file__).parents[2] / "frontend" / "sandbox"
PAGE_SIZE = 50
COMMENTS_MAX = 500
# Same-origin instead of none: browsers then name the origin of a form, which `_from_here` needs.
PAGE_HEADERS = {"referrer-policy": "same-origin", "cache-control": "no-store"}

router = APIRouter(include_in_schema=False)
static = StaticFiles(directory=FOLDER / "static")

_environment = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_environment.filters["moment"] = lambda seconds: datetime.fromtimestamp(seconds, UTC)
_pages = Jinja2Templates(env=_environment)


@router.get("/")
async def home() -> Response:
    """To the list."""
    return RedirectResponse("/agent/")


@router.get("/agent/")
def tickets_page(
    request: Request,
    store: TheStore,
    status: Literal["", "new", "open", "pending", "hold", "solved", "closed"] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """Tickets, the newest first."""
    filters: Filters = {"status": status} if status else {}
    offset = (page - 1) * PAGE_SIZE
    rows = store.page("tickets", filters, limit=PAGE_SIZE + 1, offset=offset, newest=True)
    tickets = [_ticket(row) for row in rows[:PAGE_SIZE]]
    return _page(
        request,
        "tickets.html",
        tickets=tickets,
        people=store.users({ticket["requester_id"] for ticket in tickets}),
        status=status,
        statuses=STATUSES,
        page=page,
        more=len(rows) > PAGE_SIZE,
        total=store.count("tickets", filters),
    )


@router.get("/agent/tickets/{ticket_id}")
def ticket_page(request: Request, store: TheStore, ticket_id: Id) -> Response:
    """One ticket's conversation and the form that answers it."""
    return _ticket_page(request, store, ticket_id)


@router.post("/agent/tickets/{ticket_id}")
async def answer_ticket(
    request: Request,
    store: TheStore,
    ticket_id: Id,
    body: Annotated[str, Form()] = "",
    kind: Annotated[Literal["public", "internal"], Form()] = "public",
    status: Annotated[Literal["open", "pending", "solved"] | None, Form()] = None,
    false_alarm: Annotated[bool, Form()] = False,
) -> Response:
    """Add what the agent wrote, if anything; set the status or add the tag of false alarms, as the button says."""
    if not _from_here(request):
        return _page(request, "refused.html", 403)
    text = body.replace("\r\n", "\n")
    comment = {"comment": {"body": text, "public": kind == "public"}} if text.strip() else {}
    try:
        told = {"status": status} if status else {}
        tags = {"additional_tags": [FALSE_ALARM_TAG]} if false_alarm else {}
        change = incoming.change({"ticket": {**told, **tags, **comment}})
        await run_in_threadpool(store.update, ticket_id, change, AGENT_EMAIL)
    except ZendeskError as error:
        why = [detail["description"] for details in error.body.get("details", {}).values() for detail in details]
        return await run_in_threadpool(_ticket_page, request, store, ticket_id, " ".join(why), text, 422)
    return RedirectResponse(f"/agent/tickets/{ticket_id}", 303)


def _ticket_page(
    request: Request, store: Store, ticket_id: int, problem: str = "", draft: str = "", code: int = 200
) -> Response:
    try:
        row = store.get("tickets", ticket_id)
    except ZendeskError:
        return _page(request, "missing.html", 404)
    comments = store.page("comments", {"ticket_id": ticket_id}, limit=COMMENTS_MAX)
    people = store.users({row["requester_id"], *(comment["author_id"] for comment in comments)})
    return _page(
        request,
        "ticket.html",
        code,
        ticket=_ticket(row),
        comments=comments,
        people=people,
        problem=problem,
        draft=draft,
        false_alarm=FALSE_ALARM_TAG,
    )


def _page(request: Request, name: str, code: int = 200, **context: Any) -> Response:
    return _pages.TemplateResponse(request, name, context, code, PAGE_HEADERS)


def _ticket(row: Any) -> dict[str, Any]:
    return {**row, "tags": json.loads(row["tags"])}


def _from_here(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == f"{request.url.scheme}://{request.url.netloc}"
