"""Faults to order: the next calls of the API fail in one of the ways that Zendesk, or the net before it, can fail.

They live in memory, are taken in the order they were asked for, and each strikes as many times as it was told.
`POST /sandbox/faults {"fault", "times", "seconds", "on"}`, `GET` lists what is left, `DELETE` clears.
"""

import asyncio
import contextlib
import email.utils
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.sandbox.access import API
from local.sandbox.errors import ZendeskError, forbidden, rate_limited, record_invalid, unauthenticated

FaultName = Literal[
    "429",  # Retry-After in seconds
    "429-date",  # Retry-After as an HTTP date
    "429-bare",  # without Retry-After
    "500",
    "503",
    "401",
    "403",
    "422",  # RecordInvalid
    "422-invalid",  # the error "invalid", which zenpy takes for a search limit
    "html",  # 200 with a page, as a proxy or a maintenance notice answers
    "redirect",  # 302 to the same path
    "slow",  # nothing happens for `seconds`, then all goes well
    "late",  # all is done at once, then silence for up to `seconds`, then the connection drops: a lost answer
    "wrong",  # 200 with somebody else's ticket
    "empty",  # 201 with {}
]


class Fault(BaseModel):
    """One order. `seconds` is the length of a pause and the value of Retry-After."""

    model_config = ConfigDict(extra="forbid")

    fault: FaultName
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    seconds: Annotated[float, Field(ge=0, le=600)] = 1.0
    on: Literal["create", "update", "any"] = "any"


class Faults:
    """The orders that are left."""

    def __init__(self) -> None:
        self.orders: list[Fault] = []

    def take(self, kind: str | None) -> Fault | None:
        """The fault that strikes a call of this kind, used up by one."""
        for order in self.orders:
            if order.on in (kind, "any"):
                order.times -= 1
                if not order.times:
                    self.orders.remove(order)
                return order
        return None


router = APIRouter(prefix="/sandbox/faults")


@router.post("", status_code=201)
async def add(request: Request, fault: Fault) -> dict[str, Any]:
    """Ask for a fault."""
    request.app.state.faults.orders.append(fault)
    return await left(request)


@router.get("")
async def left(request: Request) -> dict[str, Any]:
    """The faults that are still to strike."""
    return {"faults": [fault.model_dump() for fault in request.app.state.faults.orders]}


@router.delete("")
async def clear(request: Request) -> dict[str, Any]:
    """No more faults."""
    request.app.state.faults.orders.clear()
    return await left(request)


class FaultInjection:
    """ASGI middleware that lets the next fault strike."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app, self.faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self.app(scope, receive, send)
            return
        fault = self.faults.take(_kind(scope))
        if fault is not None and fault.fault == "late":
            await self._late(scope, receive, send, fault.seconds)
        elif fault is not None and fault.fault != "slow":
            await _answer(fault, scope)(scope, receive, send)
        else:
            if fault is not None:
                await asyncio.sleep(fault.seconds)
            await self.app(scope, receive, send)

    async def _late(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        async def unheard(_message: Message) -> None:
            pass

        await self.app(scope, receive, unheard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await receive())["type"] != "http.disconnect":
                    pass
        # A body that is announced and never sent: the server drops the connection.
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"4096")]})


def _kind(scope: Scope) -> str | None:
    path = scope["path"].removeprefix(API)
    if scope["method"] == "POST" and path == "tickets":
        return "create"
    if scope["method"] == "PUT" and path.startswith("tickets/"):
        return "update"
    return None


def _answer(fault: Fault, scope: Scope) -> Response:
    match fault.fault:
        case "html":
            return HTMLResponse("<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>")
        case "redirect":
            return RedirectResponse(f"{scope['path']}.json", 302)
        case "empty":
            return JSONResponse({}, 201)
        case "wrong":
            stranger = {
                "id": 999_999_999,
                "external_id": "somebody-else",
                "subject": "Another ticket",
                "status": "open",
            }
            return JSONResponse({"ticket": stranger, "audit": {"id": 1, "ticket_id": 999_999_999, "events": []}})
    return _error(fault).response()


def _error(fault: Fault) -> ZendeskError:
    match fault.fault:
        case "429":
            return rate_limited(str(round(fault.seconds)))
        case "429-date":
            return rate_limited(email.utils.formatdate(time.time() + fault.seconds, usegmt=True))
        case "429-bare":
            return rate_limited(None)
        case "401":
            return unauthenticated()
        case "403":
            return forbidden()
        case "422":
            return record_invalid({"base": [{"description": "Refused by order", "error": "InvalidValue"}]})
        case "422-invalid":
            return ZendeskError(422, {"error": "invalid", "description": "Refused by order"})
    description = "Out of service by order" if fault.fault == "503" else "Broken by order"
    return ZendeskError(int(fault.fault), {"error": "InternalError", "description": description})
