"""Zendesk's webhook: a ticket's new status, told at once. In Zendesk it posts this JSON on a change of status:

    {"ticket_id": "{{ticket.id}}", "external_id": "{{ticket.external_id}}", "status": "{{ticket.status}}"}

Guarantees: only what is signed with our secret, within five minutes of now, is believed; what is lost here the
reconciliation finds.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heed import tracing
from heed.db import ledger
from heed.db.engine import begin
from heed.errors import Later
from heed.telemetry import WEBHOOKS
from heed.web.problems import Problem, invalid
from ticketing import news

BODY_MAX = 16 * 1024
_FRESH = timedelta(minutes=5)


def _ours(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


class Notice(BaseModel):
    """What the webhook says. Zendesk's placeholders make numbers into text and write states as words.

    A ticket without an external id of our kind is not ours, which is no mistake.
    """

    ticket_id: Annotated[int, Field(gt=0, lt=2**63)]
    external_id: Annotated[UUID | None, BeforeValidator(_ours)]
    status: Annotated[
        Literal["new", "open", "pending", "hold", "solved", "closed", "deleted"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ]


def route(engine: sa.Engine, secret: str | None) -> Route:
    """POST /webhook; without a secret nothing can be believed, so it answers 404."""

    async def webhook(request: Request) -> Response:
        try:
            outcome = await take(request)
        except Problem as problem:
            WEBHOOKS.labels(problem.kind).inc()
            raise
        WEBHOOKS.labels(outcome).inc()
        return Response(status_code=204)

    async def take(request: Request) -> str:
        if secret is None:
            raise Problem(404, "No signing secret is set (HEED_ZENDESK_WEBHOOK_SECRET).", kind="disabled")
        body = await request.body()
        if not believed(secret, request.headers, body, datetime.now(UTC)):
            raise Problem(401, "The signature does not fit or is too old.", kind="signature")
        try:
            notice = Notice.model_validate_json(body)
        except ValidationError as error:
            raise invalid(error) from None
        try:
            return await run_in_threadpool(_record, engine, notice)
        except Later:
            raise Problem(
                503, "The database is away; send it again.", kind="later", headers={"Retry-After": "5"}
            ) from None

    return Route("/webhook", webhook, methods=["POST"])


def believed(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether the request is signed with the secret and fresh."""
    stamp = headers.get("x-zendesk-webhook-signature-timestamp", "")
    signature = headers.get("x-zendesk-webhook-signature", "")
    expected = base64.b64encode(hmac.digest(secret.encode(), stamp.encode() + body, hashlib.sha256))
    if not hmac.compare_digest(expected, signature.encode()):
        return False
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return False
    return abs(now - (at if at.tzinfo else at.replace(tzinfo=UTC))) <= _FRESH


def _record(engine: sa.Engine, notice: Notice) -> str:
    """One word for what it was to us."""
    if notice.external_id is None:
        return "not-ours"
    began = tracing.now()
    with begin(engine) as connection:
        found = ledger.seen(connection, [(notice.external_id, notice.ticket_id, notice.status)])
    news.tell(found, began, by="webhook")
    return "news" if found else "known"
