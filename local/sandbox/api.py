"""The Support API's paths, as far as Heed and zenpy go: tickets, comments, users, incremental exports.

Differs from Zendesk on purpose in one thing: the cursor export shows a change at once, not after a minute.
"""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from local.sandbox import incoming, shapes
from local.sandbox.errors import ZendeskError, invalid_attribute
from local.sandbox.incoming import ID_MAX
from local.sandbox.paging import address, amount, link, listing, read_cursor, write_cursor
from local.sandbox.store import Filters, Key, Row, Store

EXPORT_MAX = 1000
TOO_RECENT_SECONDS = 60
KEY_MAX = 255

router = APIRouter(prefix=shapes.API)


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _caller(request: Request) -> str:
    return str(request.state.caller)


async def _body(request: Request) -> tuple[dict[str, Any], bytes]:
    return incoming.parse(await request.body())


TheStore = Annotated[Store, Depends(_store)]
Caller = Annotated[str, Depends(_caller)]
Body = Annotated[tuple[dict[str, Any], bytes], Depends(_body)]
Id = Annotated[int, Path(ge=1, le=ID_MAX)]
Time = Annotated[int | None, Query(ge=0, le=ID_MAX)]


@router.post("/tickets")
def create_ticket(
    request: Request,
    store: TheStore,
    caller: Caller,
    body: Body,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Create a ticket; with an `Idempotency-Key`, once."""
    payload, canonical = body
    new = incoming.new_ticket(payload)
    if idempotency_key is not None and len(idempotency_key) > KEY_MAX:
        raise invalid_attribute("Idempotency-Key", f"It is longer than {KEY_MAX} characters")
    key = Key(idempotency_key, hashlib.sha256(canonical).hexdigest()) if idempotency_key else None

    def render(ticket: Row, comment: Row) -> str:
        audit = shapes.audit(ticket, comment, comment["author_id"])
        return json.dumps({"ticket": shapes.ticket(ticket, address(request)), "audit": audit})

    text, found = store.create(new, caller, key, render)
    location = f"{address(request)}{shapes.API}/tickets/{json.loads(text)['ticket']['id']}.json"
    headers = {"location": location}
    if key is not None:
        headers["x-idempotency-lookup"] = "hit" if found else "miss"
    return Response(text, 201, headers, media_type="application/json")


@router.get("/tickets")
def list_tickets(request: Request, store: TheStore, external_id: str | None = None) -> dict[str, Any]:
    """All tickets, or those with this external id."""
    filters: Filters = {} if external_id is None else {"external_id": external_id}
    return listing(store, request, "tickets", filters, lambda row: shapes.ticket(row, address(request)))


@router.get("/tickets/{ticket_id}")
def show_ticket(request: Request, store: TheStore, ticket_id: Id) -> dict[str, Any]:
    """One ticket."""
    return {"ticket": shapes.ticket(store.get("tickets", ticket_id), address(request))}


@router.put("/tickets/{ticket_id}")
def update_ticket(request: Request, store: TheStore, caller: Caller, body: Body, ticket_id: Id) -> dict[str, Any]:
    """Change a ticket's fields, add a comment, or both."""
    ticket, comment, author = store.update(ticket_id, incoming.change(body[0]), caller)
    return {"ticket": shapes.ticket(ticket, address(request)), "audit": shapes.audit(ticket, comment, author)}


@router.get("/tickets/{ticket_id}/comments")
def list_comments(request: Request, store: TheStore, ticket_id: Id) -> dict[str, Any]:
    """A ticket's comments, the first one first."""
    store.get("tickets", ticket_id)
    return listing(store, request, "comments", {"ticket_id": ticket_id}, shapes.comment)


@router.get("/incremental/tickets/cursor")
def export_by_cursor(
    request: Request, store: TheStore, start_time: Time = None, cursor: str | None = None
) -> dict[str, Any]:
    """Tickets in the order of their last change, after a cursor or since a time."""
    if cursor is None:
        start_time = _start(store, start_time)
    size = amount(request, "per_page", EXPORT_MAX, EXPORT_MAX)
    after = read_cursor(cursor)
    rows = store.changed(after=after, since=0 if cursor else start_time or 0, limit=size + 1)
    more, rows = len(rows) > size, rows[:size]
    # Without news the cursor stays; before the first news it stands at the beginning, where a repeat loses nothing.
    next_cursor = write_cursor(rows[-1]["change"]) if rows else cursor or write_cursor(0)
    path = f"{address(request)}{shapes.API}/incremental/tickets/cursor.json"
    return {
        "tickets": [shapes.ticket(row, address(request)) for row in rows],
        "after_cursor": next_cursor,
        "after_url": f"{path}?cursor={next_cursor}",
        "before_cursor": None,
        "before_url": None,
        "end_of_stream": not more,
    }


@router.get("/incremental/tickets")
def export_by_time(request: Request, store: TheStore, start_time: Time = None) -> dict[str, Any]:
    """Tickets changed after a time. The second that still runs is left out, so that none of it is missed."""
    start = _start(store, start_time)
    size = amount(request, "per_page", EXPORT_MAX, EXPORT_MAX)
    rows = store.changed_between(start, store.now(), size)
    end_time = rows[-1]["updated_at"] if rows else None
    return {
        "tickets": [shapes.ticket(row, address(request)) for row in rows],
        "next_page": link(request, start_time=end_time) if rows else None,
        "end_time": end_time,
        "end_of_stream": len(rows) < size,
        "count": len(rows),
    }


@router.get("/users/me")
def show_me(request: Request, store: TheStore, caller: Caller) -> dict[str, Any]:
    """The user behind the credentials."""
    return {"user": shapes.user(store.caller(caller), address(request))}


@router.get("/users/search")
def search_users(
    request: Request, store: TheStore, query: str | None = None, external_id: str | None = None
) -> dict[str, Any]:
    """Users by address, by words of their name, or by external id."""
    if external_id is not None:
        rows = store.page("users", {"external_id": external_id}, limit=100)
    elif query:
        rows = store.search_users(query.strip().removeprefix("email:").strip('"'))
    else:
        raise invalid_attribute("query", "Give query or external_id")
    users = [shapes.user(row, address(request)) for row in rows]
    return {"users": users, "next_page": None, "previous_page": None, "count": len(users)}


@router.post("/users/create_or_update")
def create_or_update_user(request: Request, response: Response, store: TheStore, body: Body) -> dict[str, Any]:
    """Create a user, or update the one with this external id or address."""
    row, made = store.save_user(incoming.new_user(body[0]))
    response.status_code = 201 if made else 200
    return {"user": shapes.user(row, address(request))}


@router.get("/users/{user_id}")
def show_user(request: Request, store: TheStore, user_id: Id) -> dict[str, Any]:
    """One user."""
    return {"user": shapes.user(store.get("users", user_id), address(request))}


def _start(store: Store, start_time: int | None) -> int:
    if start_time is None:
        raise invalid_attribute("start_time", "start_time is required")
    if start_time > store.now() - TOO_RECENT_SECONDS:
        description = "Too recent start_time. Use a start_time older than 1 minute"
        raise ZendeskError(422, {"error": "StartTimeTooRecent", "description": description})
    return start_time
