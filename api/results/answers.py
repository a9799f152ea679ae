"""Single answers: filtered lists newest first, one by its id with what people said of it and with its neighbours in a
list, what the quarantine holds.

Guarantees: a list costs the same on every page of it (keyset by id, which is also the time of arrival); a search
that takes too long is refused with advice, not with an error; a verdict and what follows from it are kept together or
not at all; the client's id never leaves; who sees only some surveys is shown answers of no other.
"""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from psycopg2.errors import QueryCanceled

from api.results.access import Who
from api.results.models import OTHER, Answer, ContactShown, Filter, Item, Listing, Page, Quarantined, Said, Ticket
from api.results.search import Search
from api.results.surveys_models import Asked
from heed.contracts import Reading, Reason, first_id, reasons_of
from heed.db import audit, surveys
from heed.db import engine as db
from heed.db.audit import Action
from heed.db.quarantine import standing
from heed.db.tables import feedback, quarantine, tickets, verdicts
from heed.db.verdicts import say
from heed.errors import Later
from heed.settings import Settings
from heed.web.problems import Problem

QUARANTINE_MOST = 100
VERDICTS_MOST = 50
WAITING_MOST = 1_000
NEIGHBOURS_SECONDS = 1.0  # a convenience, which no page waits long for
_TICKET = [
    column.label(f"ticket_{column.name}")
    for column in (tickets.c.state, tickets.c.desk_id, tickets.c.desk_status, tickets.c.attempts, tickets.c.last_error)
]
_WHOLE = [feedback.c[name] for name in Answer.model_fields if name not in (*Item.model_fields, "verdicts")]
_VERDICT = (
    sa.select(verdicts.c.needs_person)
    .where(verdicts.c.feedback_id == feedback.c.id)
    .order_by(verdicts.c.id.desc())
    .limit(1)
    .scalar_subquery()
    .label("verdict")
)
_MADE = ("contact", "ticket", "language", "verdict", "marks")  # of an Item: no columns of `feedback`
_LANGUAGE = feedback.c.reading["language"].astext.label("language")
_LISTED = [
    *(feedback.c[name] for name in Item.model_fields if name not in _MADE),
    *(feedback.c.contact_name, feedback.c.contact_email, feedback.c.reply, _LANGUAGE, _VERDICT),
]
_JOINED = feedback.outerjoin(tickets, tickets.c.feedback_id == feedback.c.id)


class Answers:
    """Answers as Postgres has them."""

    def __init__(self, engine: sa.Engine, settings: Settings) -> None:
        self._engine = engine
        self._desk = _desk_address(settings)

    def newest(
        self,
        wanted: Filter,
        limit: int,
        before: UUID | None = None,
        only: Collection[str] | None = None,
        after: UUID | None = None,
        *,
        up: bool = False,
        marked: bool = False,
    ) -> list[Item]:
        """Up to `limit` answers, newest first, older than `before` and newer than `after`, of `only` these surveys
        (None: all): the newest of them, or, `up`, the oldest. `marked`: with where they fit the search."""
        try:
            with db.begin(self._engine) as connection:
                return self._newest(connection, wanted, limit, before, only, after, up, marked)
        except Later as error:
            if _took_too_long(error):
                detail = "This search takes too long; narrow it down with `since`, `until` or `survey`."
                raise Problem(422, detail, kind="too-broad") from error
            raise

    def part(self, listing: Listing, only: Collection[str] | None = None) -> Page:
        """A part of a list, with the ways to those beside it."""
        up = listing.after is not None and listing.before is None
        items = self.newest(listing, listing.limit + 1, listing.before, only, listing.after, up=up, marked=True)
        more = len(items) > listing.limit
        items = items[-listing.limit :] if up else items[: listing.limit]
        older, newer = (up, more) if up else (more, listing.before is not None)
        return Page(
            items=items,
            next=items[-1].id if items and older else None,
            previous=items[0].id if items and newer else None,
        )

    def beside(
        self, answer_id: UUID, wanted: Filter, only: Collection[str] | None = None
    ) -> tuple[UUID | None, UUID | None]:
        """The next newer and the next older answer in a list; None where there is none, or it takes long to find."""
        limit = sa.text(f"SET LOCAL statement_timeout = {int(NEIGHBOURS_SECONDS * 1000)}")
        try:
            with db.begin(self._engine) as connection:
                connection.execute(limit)
                newer = self._newest(connection, wanted, 1, None, only, answer_id, up=True)
                older = self._newest(connection, wanted, 1, answer_id, only)
        except Later as error:
            if _took_too_long(error):
                return None, None
            raise
        return newer[0].id if newer else None, older[0].id if older else None

    def one(self, answer_id: UUID, only: Collection[str] | None = None) -> Answer:
        """One answer, whole; a 404 problem when there is none among `only` these surveys (None: all)."""
        with db.begin(self._engine) as connection:
            return self._read(connection, answer_id, only)

    def judge(self, answer_id: UUID, needs_person: bool, who: Who) -> Answer:
        """Record a verdict and do what follows from it; the answer as it is then, or a 404 problem."""
        with db.begin(self._engine) as connection:
            said = say(connection, answer_id, needs_person, who.judge)
            if said is not None and said.new:
                audit.note(connection, who.actor, Action.VERDICT, str(answer_id), needs_person=needs_person)
            return self._read(connection, answer_id, who.surveys)  # not theirs to see: all of it is undone

    def waiting(self, survey: str) -> int:
        """How many answers wait for a verdict, counted up to WAITING_MOST, so that it never costs more than that."""
        waits = sa.select(feedback.c.id).where(feedback.c.survey == survey, feedback.c.queued).limit(WAITING_MOST)
        with db.begin(self._engine) as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(waits.subquery())).scalar_one()

    def quarantined(self) -> list[Quarantined]:
        """What waits in quarantine, newest first, at most QUARANTINE_MOST."""
        columns = [quarantine.c[name] for name in Quarantined.model_fields]
        query = sa.select(*columns).where(standing()).order_by(quarantine.c.id.desc()).limit(QUARANTINE_MOST)
        with db.begin(self._engine) as connection:
            return [Quarantined(**row) for row in connection.execute(query).mappings()]

    def _newest(
        self,
        connection: sa.Connection,
        wanted: Filter,
        limit: int,
        before: UUID | None,
        only: Collection[str] | None,
        after: UUID | None = None,
        up: bool = False,
        marked: bool = False,
    ) -> list[Item]:
        search = Search.of(connection, wanted.q) if wanted.q else None
        query = (
            sa.select(*_LISTED, *_TICKET)
            .select_from(_JOINED)
            .where(*_conditions(wanted, search), *_among(only))
            .where(*([feedback.c.id < before] if before else []), *([feedback.c.id > after] if after else []))
            .order_by(feedback.c.id.asc() if up else feedback.c.id.desc())
            .limit(limit)
        )
        if search is None or not marked:
            items = [Item(**self._fields(row)) for row in connection.execute(query)]
        else:
            items = []
            for row in connection.execute(query.add_columns(search.found.label("found"))):
                fields = self._fields(row)
                items.append(Item(**fields, marks=search.marks(fields["comment"], fields.pop("found"))))
        return items[::-1] if up else items

    def _read(self, connection: sa.Connection, answer_id: UUID, only: Collection[str] | None) -> Answer:
        chosen = sa.select(*_LISTED, *_WHOLE, *_TICKET).select_from(_JOINED)
        query = chosen.where(feedback.c.id == answer_id, *_among(only))
        row = connection.execute(query).first()
        if row is None:
            raise Problem(404, "There is no such answer.", kind="unknown-feedback")
        fields = self._fields(row)
        fields["reading"] = Reading.of(fields["reading"])
        fields["asked"] = _asked(connection, fields["survey"], fields["asked"])
        said = (
            sa.select(*(verdicts.c[name] for name in Said.model_fields))
            .where(verdicts.c.feedback_id == answer_id)
            .order_by(verdicts.c.id.desc())
            .limit(VERDICTS_MOST)
        )
        return Answer(**fields, verdicts=[Said(**each) for each in connection.execute(said).mappings()])

    def _fields(self, row: sa.Row[Any]) -> dict[str, Any]:
        fields = dict(row._mapping)
        ticket = {name.removeprefix("ticket_"): fields.pop(name) for name in [column.name for column in _TICKET]}
        name, email, reply = (fields.pop(name) for name in ("contact_name", "contact_email", "reply"))
        fields["reasons"] = reasons_of(fields["selected"], fields["reasons"])
        fields["contact"] = ContactShown(name=name, email=email, reply=reply) if name or email else None
        fields["ticket"] = Ticket(**ticket, url=self._ticket_url(ticket["desk_id"])) if ticket["state"] else None
        return fields

    def _ticket_url(self, desk_id: int | None) -> str | None:
        return f"{self._desk}/agent/tickets/{desk_id}" if self._desk and desk_id is not None else None


def _asked(connection: sa.Connection, slug: str, number: int | None) -> Asked | None:
    survey = surveys.version(connection, slug, number) if number is not None else None
    return Asked(version=survey.version, question=survey.question, options=survey.options) if survey else None


def _desk_address(settings: Settings) -> str | None:
    if settings.zendesk_url:
        return str(settings.zendesk_url).rstrip("/")
    return f"https://{settings.zendesk_subdomain}.zendesk.com" if settings.zendesk_subdomain else None


def _among(only: Collection[str] | None) -> list[sa.ColumnElement[bool]]:
    return [] if only is None else [feedback.c.survey.in_(only)]


def _took_too_long(error: Later) -> bool:
    return isinstance(getattr(error.__cause__, "orig", None), QueryCanceled)


def _conditions(wanted: Filter, search: Search | None) -> Iterable[sa.ColumnElement[bool]]:
    same = ("survey", "label", "vote", "rating", "decision", "queued", "selected")
    yield from (feedback.c[name] == value for name in same if (value := getattr(wanted, name)) is not None)
    if wanted.flagged is not None:
        flagged = feedback.c.flags != []
        yield flagged if wanted.flagged else ~flagged
    if wanted.erased is not None:
        yield feedback.c.erased_at.is_not(None) if wanted.erased else feedback.c.erased_at.is_(None)
    if wanted.reason is not None:
        # As `reasons_of` reads them.
        by_verdict = sa.and_(feedback.c.selected, feedback.c.reasons == [])
        yield by_verdict if wanted.reason is Reason.REVIEW else feedback.c.reasons.contains([wanted.reason])
    if wanted.language is not None:
        yield _in_language(wanted.language)
    if wanted.ticket is not None:
        yield tickets.c.state == wanted.ticket
    if wanted.id:
        yield feedback.c.id.in_(wanted.id)
    if search is not None:
        yield search.fits
    # An id begins with the time of arrival, so a range of times is a range of the index.
    if wanted.since is not None:
        yield feedback.c.id >= first_id(wanted.since)
    if wanted.until is not None:
        yield feedback.c.id < first_id(wanted.until)


def _in_language(language: str) -> sa.ColumnElement[bool]:
    written: sa.ColumnElement[Any] = feedback.c.reading["language"].astext
    shown: sa.ColumnElement[Any] = feedback.c.context["language"].astext
    if language == OTHER:
        return written.is_not(None)  # a reading names none that is English
    found: list[sa.ColumnElement[bool]] = [
        written == language,
        shown == language,
        shown.startswith(f"{language}-", autoescape=True),
    ]
    return sa.or_(*found)
