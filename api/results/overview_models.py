"""What is asked and answered about a survey's period, as models: the overview and the digest, routes and pages, speak
these."""

from datetime import date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.results.models import Sentiment
from api.results.period import DAYS_MOST, Group, Preset, check_zone
from heed.contracts import Option, Reason
from heed.contracts.text import Slug

SELECTED_MOST = 10_000
NEGATIVES_MOST = 2_000

Zone = Annotated[
    str,
    Field(
        max_length=64, description="The time zone whose days are meant, by its IANA name.", examples=["Europe/Berlin"]
    ),
    AfterValidator(check_zone),
]


class Asked(BaseModel):
    """Which period, and by what it is divided. A misspelt parameter is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Preset | None = Field(None, description="Ends now. `30d` when neither this nor dates are given.")
    since: date | None = Field(None, alias="from", description="The first day, with `to`.", examples=["2026-03-01"])
    until: date | None = Field(
        None, alias="to", description=f"The last day, included; at most {DAYS_MOST} days.", examples=["2026-03-31"]
    )
    group: Group | None = Field(None, description="What a bucket is; by default what suits the period's length.")
    tz: Zone = "UTC"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.since is None) != (self.until is None):
            raise ValueError("a period by dates needs both `from` and `to`")
        if self.since is not None and self.period is not None:
            raise ValueError("give either `period` or `from` and `to`, not both")
        return self


class DigestAsked(BaseModel):
    """Which day or week: the one with `date` in it, by default the last that is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Literal["day", "week"] = "day"
    day: date | None = Field(None, alias="date", examples=["2026-03-02"])
    tz: Zone = "UTC"


class DigestPageAsked(DigestAsked):
    """The digest's page, which has the survey among its parameters."""

    survey: Slug | None = None


class TimeBucket(Sentiment):
    """The answers from `at` until the next bucket begins, or the period ends. The first and the last may be cut."""

    at: datetime = Field(description="With the zone's distance to UTC then.", examples=["2026-03-29T00:00:00+01:00"])
    answers: int = 0
    votes: dict[str, int] = Field(description="By option; `none`: answered without a vote.")


class TicketFigures(BaseModel):
    """The tickets of the answers that were received in the period, as they stand now: of the newest 10,000 selected
    answers of the period, of all surveys, those of this one; or, if these are more, of this one's newest 10,000
    answers those that were selected.

    The medians are of seconds since the answer was received; null when there is none.
    """

    looked_at: int = Field(
        0, description="Selected answers that were looked at; all of them unless less than `selected`."
    )
    opened: int = Field(0, description="Of these, how many have got a ticket at the desk.")
    solved: int = Field(0, description="Of these, how many are solved.")
    seconds_to_ticket: float | None = Field(None, description="Median until the desk had the ticket.")
    seconds_to_solution: float | None = Field(None, description="Median until the ticket was solved.")


class Figures(BaseModel):
    """A stretch of time in numbers."""

    since: datetime
    until: datetime = Field(description="Not included.")
    answers: int = 0
    sentiment: Sentiment = Sentiment()
    negative_share: float | None = Field(
        None,
        description="Of the answers whose words could be read, the share that reads negative; null when none could.",
    )
    votes: dict[str, int] = Field(description="By option; `none`: answered without a vote.")
    rated: int = Field(0, description="Answers with a rating.")
    average_rating: float | None = None
    selected: int = Field(0, description="Answers that were selected for a ticket.")
    tickets: TicketFigures = TicketFigures()


class Word(BaseModel):
    """What moved the scores of negative answers down, and in how many of them."""

    word: str = Field(description="As customers wrote it, in small letters.", examples=["customer service"])
    negated: bool = Field(False, description="It was said with a not before it: `does not work`.")
    answers: int
    points: float = Field(description="Added up over these answers; the scale of a rating is -4 to 4.")
    share: float = Field(description="Of the negative answers that were looked at.")
    share_before: float | None = Field(description="The same in the period before; null when there were none.")


class Overview(BaseModel):
    """A survey's period at `as_of`, beside the period before of the same length.

    A period that is still going on is compared with as much of the one before. Counts of answers are by whole hours of
    UTC: where a zone is off by half an hour, an hour belongs to the local day in which it begins.
    """

    survey: str
    question: str
    options: tuple[Option, ...]
    tz: str
    group: Group
    first_day: date
    last_day: date
    now: Figures
    before: Figures
    buckets: list[TimeBucket] = Field(description="Oldest first.")
    reasons: dict[Reason, int] = Field(
        description="Of the selected answers that were looked at; an answer may have more than one.",
    )
    words: list[Word] = Field(
        description="The most telling words of the newest 2,000 negative answers of the period, the most telling first."
    )
    negatives_looked_at: int
    open_tickets: int = Field(description="Tickets at the desk now that are not solved, of all time.")
    oldest_waiting_seconds: float | None = Field(
        description="Since the oldest selected answer was received that still waits for its ticket, among the oldest "
        "10,000 of all surveys; null when none waits."
    )
    oldest_queued_seconds: float | None = Field(
        None,
        description="Age of the oldest answer in the queue, of all surveys; null when it is not known or not yours.",
    )
    as_of: datetime


class Quote(BaseModel):
    """A negative answer in its customer's words; `cut`: there are more of them."""

    id: UUID
    received_at: datetime
    words: str
    cut: bool
    vote: str | None
    rating: int | None
    p_negative: float


class Said(BaseModel):
    """A sentence of the digest, and the figures behind it."""

    text: str
    figures: str = ""


class Digest(BaseModel):
    """A day or a week in plain sentences. The figures are the overview's of the same days."""

    title: str
    period: Literal["day", "week"]
    over: bool = Field(description="Whether the day or the week has ended; until then the numbers go on changing.")
    said: list[Said]
    quotes: list[Quote] = Field(description="Up to five: the newest of those that read most strongly negative.")
    earlier: date | None = Field(description="A day of the period before.")
    later: date | None = Field(description="A day of the period after; null when it has not begun.")
    overview: Overview
