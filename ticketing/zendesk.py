"""Zendesk as the desk, by zenpy; the only module that knows either.

Guarantees: no call waits longer than its time limits or retries by itself; whatever Zendesk answers becomes one of
Heed's errors before zenpy can misread it (a 302, a page of HTML, an odd Retry-After); a ticket is believed only when
it carries our external id; the credentials go to the configured address and nowhere else.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import requests
from zenpy.lib.api import TicketApi
from zenpy.lib.api_objects import Comment, Ticket, User
from zenpy.lib.cache import ZenpyCacheManager
from zenpy.lib.exception import ZenpyException

from heed import tracing
from heed.contracts import FALSE_ALARM_TAG
from heed.errors import Later, Paused, Refused
from heed.settings import Settings
from heed.telemetry import DESK_SECONDS, timed
from ticketing.desk import Changes, Opened, TicketRequest

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
# The most calls between two entries in the ledger: look, create, look again (then the notes are read and one is added).
MOST_SECONDS = 3 * (CONNECT_SECONDS + READ_SECONDS)
_MOST_RETRY_AFTER = 900.0


class _KeyUsed(Later):
    """The idempotency key was used with another body: an earlier version of the request came through."""


class _NotFound(Later):
    """There is no such thing at this address."""


class ZendeskDesk:
    """Tickets in Zendesk, or in anything that speaks its Support API. One connection a thread."""

    def __init__(self, settings: Settings) -> None:
        if settings.zendesk_url is None:
            self._url = f"https://{settings.need('zendesk_subdomain')}.zendesk.com"
        else:
            self._url = str(settings.zendesk_url).rstrip("/")
        self.name = self._url
        self._login = (f"{settings.zendesk_email}/token", settings.need("zendesk_token"))
        self._own = threading.local()

    def check(self) -> None:
        """Ask for tickets that cannot be there: it needs the right address and valid credentials."""
        with self._call("check") as tickets:
            tickets(external_id="heed-check")

    def open(self, request: TicketRequest, *, idempotency_key: str, look_first: bool) -> Opened:
        """The ticket, made or found; see `Desk`."""
        if look_first:
            found = self.find(request.external_id)
            if found is not None:
                return found
        ticket = Ticket(
            external_id=str(request.external_id),
            subject=request.subject,
            comment=Comment(body=request.body, public=True),
            requester=User(name=request.requester_name, email=request.requester_email),
            priority=str(request.priority),
            tags=list(request.tags),
        )
        try:
            with self._call("create", idempotency_key) as tickets:
                desk_id = _number(tickets.create(ticket).ticket, request.external_id)
                if self._own.session.lookup == "miss":
                    return Opened(desk_id, made=True)
        except _KeyUsed:
            found = self.find(request.external_id)
            if found is None:
                raise
            return found
        # The answer to an earlier try with this key; what the ticket is like now, it does not tell.
        return self.find(request.external_id) or Opened(desk_id, made=False)

    def find(self, external_id: UUID) -> Opened | None:
        """The ticket with this external id; see `Desk`."""
        with self._call("find") as tickets:
            # The oldest, should an agent have made others from it.
            found = sorted(
                (_number(ticket, external_id), str(ticket.status))
                for ticket in tickets(external_id=str(external_id)).values or []
            )
        return Opened(found[0][0], made=False, status=found[0][1]) if found else None

    def annotate(self, desk_id: int, *, marker: str, note: str, look_first: bool) -> None:
        """Add the note; see `Desk`. `Refused` when the ticket is gone or closed."""
        try:
            if look_first:
                with self._call("comments") as tickets:
                    # Page by page. The note about the ticket is on the first, since it is added right after that.
                    comments = tickets.comments(ticket=desk_id)
                    known = any(marker in comment.body for comment in comments if not comment.public)
                if known:
                    return
            with self._call("update") as tickets:
                updated = tickets.update(Ticket(id=desk_id, comment=Comment(body=note, public=False))).ticket
                if updated.id != desk_id:
                    raise Later("Zendesk answered with another ticket than the one updated")
        except _NotFound as error:
            raise Refused(f"Zendesk has no ticket {desk_id}") from error

    def changes(self, since: str | datetime) -> Changes:
        """One page of the incremental export; see `Desk`. Tickets that are not ours are left out."""
        with self._call("changes") as tickets:
            if isinstance(since, str):
                page = tickets.incremental(cursor=quote(since, safe=""))
            else:
                page = tickets.incremental(start_time=int(since.timestamp()))
            ours = [(id_, ticket) for ticket in page.values or [] if (id_ := _uuid(ticket.external_id)) is not None]
            return Changes(
                [(id_, int(ticket.id), str(ticket.status)) for id_, ticket in ours],
                page.after_cursor,
                more=page.end_of_stream is False,
                false_alarms=[id_ for id_, ticket in ours if FALSE_ALARM_TAG in list(ticket.tags or ())],
            )

    @contextmanager
    def _call(self, name: str, idempotency_key: str | None = None) -> Iterator[TicketApi]:
        """This thread's zenpy API for one call, measured; what goes wrong in it, in Heed's terms."""
        with tracing.step(f"desk {name}"), timed(DESK_SECONDS, name), self._translated(idempotency_key) as tickets:
            yield tickets

    @contextmanager
    def _translated(self, idempotency_key: str | None) -> Iterator[TicketApi]:
        if not hasattr(self._own, "session"):
            self._own.session = _Session(self._url, self._login)
            self._own.tickets = _Tickets(self._url, self._own.session)
        self._own.session.idempotency_key = idempotency_key
        try:
            yield self._own.tickets
        except requests.RequestException as error:
            # The type only: the text may hold addresses.
            raise Later(f"Zendesk cannot be reached: {type(error).__name__}") from error
        except (ZenpyException, AttributeError, KeyError, TypeError, ValueError) as error:
            # JSON of another form than zenpy expects; it does not check any.
            raise Later(f"Zendesk gave a surprising answer: {type(error).__name__}") from error


class _Session(requests.Session):
    """Sends once, to one place, and lets only a proper answer through to zenpy."""

    def __init__(self, url: str, login: tuple[str, str]) -> None:
        super().__init__()
        self.auth = login
        self.idempotency_key: str | None = None
        self.lookup: str | None = None  # whether the last answer was an earlier one's: hit or miss
        self._url = url

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """One request; an answer that is not a JSON object with a status of 2xx raises."""
        if not str(url).startswith(f"{self._url}/"):
            raise Later("Zendesk answered with a link to elsewhere")
        if self.idempotency_key is not None:
            options["headers"] = {**(options.get("headers") or {}), "Idempotency-Key": self.idempotency_key}
        # A redirected POST would become a GET.
        response = super().request(method, url, **{**options, "allow_redirects": False})
        self.lookup = response.headers.get("x-idempotency-lookup")
        _check(response)
        return response


class _Tickets(TicketApi):  # type: ignore[misc]
    """zenpy's calls for tickets at any address; by itself it knows only https://SUBDOMAIN.zendesk.com.

    No cache (it would hide news), no rate limiting of its own (it sleeps without limit).
    """

    def __init__(self, url: str, session: requests.Session) -> None:
        super().__init__(
            {
                "domain": "zendesk.com",
                "subdomain": "unused",
                "session": session,
                "timeout": (CONNECT_SECONDS, READ_SECONDS),
                "ratelimit": None,
                "ratelimit_budget": None,
                "ratelimit_request_interval": 10,
                "cache": ZenpyCacheManager(disabled=True),
            }
        )
        self.protocol, self._netloc = urlsplit(url)[:2]

    @property
    def base_url(self) -> str:
        """Host and port."""
        return self._netloc


def _check(response: requests.Response) -> None:
    status = response.status_code
    if status in (401, 403):
        raise Paused(f"Zendesk answers {status}: the address, the agent or the token is not right")
    if status == 422:
        raise Refused(f"Zendesk refuses it: {response.text[:1000]}")
    if status == 400:
        raise _KeyUsed("Zendesk answers 400")  # its text may repeat what was sent
    if status == 404:
        raise _NotFound("Zendesk answers 404")
    if not 200 <= status < 300:
        raise Later(f"Zendesk answers {status}", _retry_after(response.headers.get("Retry-After")))
    try:
        proper = isinstance(response.json(), dict)
    except ValueError:
        proper = False
    if not proper:
        raise Later(f"Zendesk answers {status} with something that is not its JSON")


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date (RFC 9110); None when it says neither."""
    if value is None:
        return None
    try:
        seconds = (
            float(value) if value.isdigit() else (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        )
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 1.0), _MOST_RETRY_AFTER)


def _number(ticket: Ticket, external_id: UUID) -> int:
    """The ticket's number, once it is certain that the ticket is the one meant."""
    if type(ticket.id) is not int or ticket.id < 1 or ticket.external_id != str(external_id):
        raise Later("Zendesk answered with another ticket than the one meant")
    return ticket.id


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
