"""What the results site answers, as models: the JSON routes, the live stream and the pages all speak these."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from api.results.surveys_models import Asked
from heed.contracts import (
    Decision,
    Judge,
    Label,
    Option,
    Priority,
    QuarantineKind,
    QuarantineReason,
    Reading,
    Reason,
    TicketState,
)
from heed.contracts.text import LanguageCode, OptionKey, Slug, storable

OTHER = "other"  # as a language: any that is not English
CHOSEN_MOST = 200


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


class ContextShown(BaseModel):
    """Where the answer comes from, as the page that asked told it."""

    url: str | None = None
    app: str | None = None
    ref: str | None = None
    language: str | None = None


class Item(BaseModel):
    """One answer, as lists show it."""

    id: UUID
    survey: str
    vote: str | None
    rating: int | None
    comment: str = Field(description="Empty, too, when it was erased; see `erased_at`.")
    contact: ContactShown | None
    context: ContextShown | None
    customer: str | None = Field(description="Whom the site that asked proved the customer to be.")
    flags: list[str] = Field(description="What made it suspicious: honeypot, fast, unseen, burst.")
    erased_at: datetime | None = Field(
        description="When the words and who wrote them were erased: by the customer's wish, or kept long enough."
    )
    source: str
    received_at: datetime
    label: Label
    compound: float
    p_negative: float | None
    decision: Decision | None = Field(description="As triage made it; null for answers that version 0.1.0 stored.")
    queued: bool = Field(description="It waits for a manager's verdict.")
    selected: bool
    reasons: list[Reason]
    priority: Priority | None
    ticket: Ticket | None
    language: str | None = Field(None, description="That it is written in, where it is not English and certain.")
    verdict: bool | None = Field(None, description="Whether it needs a person, by the newest verdict; null: none yet.")
    marks: list[tuple[int, int]] = Field(
        default_factory=list,
        description="Where the comment fits the search `q`, in lists: stretches of it in code points, [from, up to).",
        examples=[[[4, 12]]],
    )


class Verdict(BaseModel):
    """What somebody says of a decision: whether this answer needs a person."""

    model_config = ConfigDict(extra="forbid")

    needs_person: StrictBool


class Said(BaseModel):
    """A verdict that was given, by whom and when."""

    needs_person: bool
    judge: Judge
    at: datetime


class Answer(Item):
    """One answer, whole: `scores` is all that `scorer` said, `policy` is what decided."""

    stored_at: datetime
    scores: dict[str, Any]
    scorer: str
    policy: str
    reading: Reading | None = Field(description="What the scorer read where, and why it scored it so.")
    asked: Asked | None = Field(description="What the customer saw; null for answers from before versions were kept.")
    sampled: bool = Field(description="Drawn by lot, whatever was decided, to measure how well triage works.")
    verdicts: list[Said] = Field(description="Newest first, at most 50; the newest counts.")


class Filter(BaseModel):
    """Which answers; what is not given does not narrow. A misspelt parameter is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    survey: Slug | None = None
    label: Label | None = None
    vote: OptionKey | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    decision: Decision | None = None
    queued: bool | None = Field(None, description="`true`: the review queue.")
    selected: bool | None = None
    flagged: bool | None = Field(None, description="`true`: what came in a suspicious way.")
    erased: bool | None = Field(None, description="`true`: what was erased; counts and decisions stay.")
    reason: Reason | None = Field(None, description="One of the reasons why it was selected.")
    language: LanguageCode | Literal["other"] | None = Field(
        None,
        description="Written in this language, as far as that is certain, or on a form in it; `other`: written in any"
        " that is not English.",
        examples=["de"],
    )
    ticket: TicketState | None = None
    id: Annotated[list[UUID], Field(max_length=CHOSEN_MOST)] = Field(
        default_factory=list, description="One of these answers (repeat it for each, at most 200)."
    )
    q: Annotated[str, Field(max_length=200), AfterValidator(storable)] | None = Field(
        None,
        description="Words of the comment, in any of their English forms: `late delivery` (both),"
        ' `"late delivery"` (next to each other), `late or slow`, `late -refund` (without). What is not words (an'
        " address, `50%`, a script without spaces) is searched for as a piece of the text, in capitals or not.",
        examples=["late delivery"],
    )
    since: datetime | None = Field(None, description="Received then or later (UTC unless it says otherwise).")
    until: datetime | None = Field(None, description="Received before then.")


class Listing(Filter):
    """A filtered list, in parts or as a file."""

    before: UUID | None = Field(None, description="Older than this answer: `next` of the part before.")
    after: UUID | None = Field(None, description="Newer than this answer: `previous` of the part after.")
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    format: Literal["json", "csv", "jsonl"] = Field(
        "json", description="`csv`, `jsonl` (an answer a line): all that fits, as a file; no `limit`."
    )


class Page(BaseModel):
    """A part of a list, newest first. `next` is the `before` of the following part, `previous` the `after` of the one
    before; null where the list ends."""

    items: list[Item]
    next: UUID | None
    previous: UUID | None


class Push(BaseModel):
    """What a live viewer gets: the results, and the answers that are new or changed (at most 20, newest first)."""

    results: Results
    newest: list[Item]
    waiting: int = Field(description="Answers that wait for a manager's verdict, counted up to 1,000.")


class Estimate(BaseModel):
    """A share, estimated, with its 95 % interval.

    `missing`: so many more verdicts on answers drawn by lot are needed first; until then there is no number. A share of
    nothing (none of the answers needed a person) is null, too.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    missing: int = 0


class Drawn(BaseModel):
    """Answers with one decision: `drawn` by lot, `judged` of these, and `needed` a person of those judged."""

    drawn: int = 0
    judged: int = 0
    needed: int = 0


class Verdicts(BaseModel):
    """Judged answers, by lot or not, by what their newest verdict says of the decision."""

    confirmed: int = Field(0, description="A ticket, and it needed a person.")
    false_alarms: int = Field(0, description="A ticket, and it did not.")
    found: int = Field(0, description="A review that needed a person.")
    missed: int = Field(0, description="Neither ticket nor review, and it needed a person.")
    dismissed: int = Field(0, description="No ticket, and it needed none.")


class Performance(BaseModel):
    """How well triage works for a survey, by people's verdicts on the answers of the last 90 days.

    `precision`: of the tickets, how many needed a person. `recall`: of the answers that needed a person, how many got a
    ticket or were asked about in review. Both are estimated from `sample`, the newest 5,000 answers that were drawn by
    lot, by decision; `verdicts` counts those on the newest 10,000 answers that were judged, of all surveys.
    """

    survey: str
    precision: Estimate
    recall: Estimate
    sample: dict[Decision, Drawn]
    verdicts: Verdicts


class Quarantined(BaseModel):
    """Something that could not be processed, whole."""

    id: int
    kind: QuarantineKind
    reason: QuarantineReason
    detail: str
    payload: str
    at: datetime
    replay_at: datetime | None
