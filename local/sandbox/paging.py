"""Lists as Zendesk pages them: by cursor when `page[size]` is asked for, else by page number."""

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from local.sandbox.errors import invalid_attribute
from local.sandbox.incoming import ID_MAX
from local.sandbox.store import Filters, Row, Store, Table

PAGE_MAX = 100


def listing(
    store: Store, request: Request, table: Table, filters: Filters, shape: Callable[[Row], dict[str, Any]]
) -> dict[str, Any]:
    """One page of a table under its name, with what leads to the next page."""
    if "page[size]" in request.query_params:
        return _by_cursor(store, request, table, filters, shape)
    size, number = amount(request, "per_page", PAGE_MAX, PAGE_MAX), amount(request, "page", 1, 10_000)
    rows = store.page(table, filters, limit=size, offset=(number - 1) * size)
    count = store.count(table, filters)
    return {
        table: [shape(row) for row in rows],
        "next_page": link(request, page=number + 1) if number * size < count else None,
        "previous_page": link(request, page=number - 1) if number > 1 else None,
        "count": count,
    }


def _by_cursor(
    store: Store, request: Request, table: Table, filters: Filters, shape: Callable[[Row], dict[str, Any]]
) -> dict[str, Any]:
    size = amount(request, "page[size]", PAGE_MAX, PAGE_MAX)
    after = read_cursor(request.query_params.get("page[after]"))
    rows = store.page(table, filters, limit=size + 1, after=after)
    more, rows = len(rows) > size, rows[:size]
    cursor = write_cursor(rows[-1]["id"]) if rows else None
    return {
        table: [shape(row) for row in rows],
        "meta": {"has_more": more, "after_cursor": cursor, "before_cursor": None},
        "links": {"prev": None, "next": link(request, **{"page[after]": cursor}) if more else None},
    }


def amount(request: Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most` in the query."""
    value = request.query_params.get(name, str(default))
    if not (value.isascii() and value.isdigit()) or len(value) > 9 or int(value) < 1:
        raise invalid_attribute(name, f"{name} must be a positive number")
    return min(int(value), most)


def link(request: Request, **changes: object) -> str:
    """This request's address with other query values."""
    query = {**request.query_params, **changes}
    path = request.url.path.removesuffix(".json")
    return f"{address(request)}{path}.json?{urlencode(query)}"


def address(request: Request) -> str:
    """The address that the client uses, without a path."""
    return str(request.base_url).rstrip("/")


def write_cursor(number: int) -> str:
    """An opaque cursor that stands after `number`."""
    return base64.urlsafe_b64encode(f"after:{number}".encode()).decode()


def read_cursor(cursor: str | None) -> int:
    """The number that a cursor stands after; 0 for none; 400 when it is not one of ours."""
    if cursor is None:
        return 0
    try:
        kind, _, number = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
        if kind == "after" and 0 <= int(number) <= ID_MAX:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise invalid_attribute("cursor", "cursor is not valid")
