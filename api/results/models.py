"""What the results site answers, as models: the JSON routes, the live stream and the pages all speak these."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from heed.contracts import Label, Option, Priority, QuarantineKind, QuarantineReason, Reason, TicketState
from heed.contracts.text import OptionKey, Slug, storable


class Sentiment(BaseModel):
    """Answers by what their words read like."""

    negative: int = 0
    neutral: int = 0
    positive: int = 0
    unknown: int = 0


class Bucket(Sentiment):
    """The answers of one hour or one UTC day, which begins at `at`."""

    at: datetime
    answers: int = 0
    votes: dict[str, int] = Field(description="By option; `none`: answered without a vote.")


class Results(BaseModel):
    """A survey's results at `as_of`."""

    survey: str
    question: str
    options: tuple[Option, ...]
    total: int
    votes: dict[str, int] = Field(description="By option; `none`: answered without a vote.")
    ratings: dict[str, int] = Field(description="By rating, 1 to 5; `none`: answered without a rating.")
    average_rating: float | None = Field(description="Mean of the ratings given; null when there are none.")
    sentiment: Sentiment
    selected: int = Field(description="Answers that the triage rule selected for a ticket.")
    tickets: dict[str, int] = Field(description="By ledger state; `waiting`: selected, not taken on yet.")
    hours: list[Bucket] = Field(description="The last 48 hours, oldest first.")
    days: list[Bucket] = Field(description="The last 30 days (UTC), oldest first.")
    as_of: datetime


class ContactShown(BaseModel):
    """How the customer can be reached."""

    name: str | None
    email: str | None
    reply: bool


class Ticket(BaseModel):
    """What became of a selected answer. `url` is where the ticket's page is, once there is one."""

    state: TicketState
    desk_id: int | None
    desk_status: str | None
    attempts: int
    last_error: str | None
    url: str | None


class Item(BaseModel):
    """One answer, as lists show it."""

    id: UUID
    survey: str
    vote: str | None
    rating: int | None
    comment: str
    contact: ContactShown | None
    source: str
    received_at: datetime
    label: Label
    compound: float
    p_negative: float | None
    selected: bool
    reasons: list[Reason]
    priority: Priority | None
    ticket: Ticket | None


class Answer(Item):
    """One answer, whole: `scores` is all that `scorer` said, `policy` is what decided."""

    stored_at: datetime
    scores: dict[str, Any]
    scorer: str
    policy: str


class Filter(BaseModel):
    """Which answers; what is not given does not narrow. A misspelt parameter is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    survey: Slug | None = None
    label: Label | None = None
    vote: OptionKey | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    selected: bool | None = None
    ticket: TicketState | None = None
    q: Annotated[str, Field(max_length=200), AfterValidator(storable)] | None = Field(
        None, description="Part of the comment, in capitals or not."
    )
    since: datetime | None = Field(None, description="Received then or later (UTC unless it says otherwise).")
    until: datetime | None = Field(None, description="Received before then.")


class Listing(Filter):
    """A filtered list, in parts or as a file."""

    before: UUID | None = Field(None, description="Older than this answer: `next` of the part before.")
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    format: Literal["json", "csv"] = Field("json", description="`csv`: all that fits, as a file; no `limit`.")


class Page(BaseModel):
    """A part of a list, newest first; `next` is the `before` of the following part, null at the end."""

    items: list[Item]
    next: UUID | None


class Push(BaseModel):
    """What a live viewer gets: the results, and the answers that are new or changed (at most 20, newest first)."""

    results: Results
    newest: list[Item]


class Quarantined(BaseModel):
    """Something that could not be processed, whole."""

    id: int
    kind: QuarantineKind
    reason: QuarantineReason
    detail: str
    payload: str
    at: datetime
    replay_at: datetime | None
