"""What the results site answers about surveys: what they ask, what they said before, and what other lines would do."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from heed.contracts import Option, Survey
from heed.theme import Theme
from heed.triage import Lines

Number = Annotated[int, Path(ge=1, lt=2**31, description="The version's number.")]
Color = Annotated[str, Path(pattern=r"^[0-9a-f]{6}$", description="rrggbb, in small letters.", examples=["0b6b53"])]
State = Literal["early", "open", "closed"]


class SurveyListed(BaseModel):
    """A survey, as the list of them shows it."""

    slug: str = Field(examples=["default"])
    question: str
    state: State = Field(description="Whether it takes answers now; `early`: not yet.")
    version: int
    answers: int
    origins: list[str] = Field(description="Whose pages may show the form.")
    saved_at: datetime | None = Field(description="When this version was saved.")
    saved_by: str | None = Field(description="By whom; null: it was there before versions were kept.")


class SurveyShown(SurveyListed):
    """A survey, whole. `survey` is what PUT takes."""

    survey: Survey
    address: str = Field(description="Of the form.")
    model_lines: Lines | None = Field(
        description="Where the triage model itself draws the lines now; null before its first answer tells."
    )
    theme: Theme | None = Field(description="The shades of its colour; null: it has Heed's.")


class Change(BaseModel):
    """A field that a version changed; null: it was not there, or is no longer."""

    field: str = Field(examples=["options.0.label"])
    before: str | None
    after: str | None


class VersionShown(BaseModel):
    """What a survey said since `saved_at`, and how that differs from the version before."""

    version: int
    saved_at: datetime
    saved_by: str | None = Field(description="By whom; null: it was there before versions were kept.")
    changes: list[Change]
    survey: Survey


class VersionPart(BaseModel):
    """Versions, newest first; `next` is the `before` of the following part, null at the end."""

    items: list[VersionShown]
    next: int | None


class Asked(BaseModel):
    """What the customer was asked, in the survey's own language."""

    version: int
    question: str
    options: tuple[Option, ...]


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Line = Annotated[Annotated[float, Field(gt=0, le=1)] | None, BeforeValidator(_empty_is_none)]


class LinesWanted(BaseModel):
    """The lines to rehearse; what is not given is where the model itself draws it."""

    model_config = ConfigDict(extra="forbid")

    ticket: Line = Field(None, description="A ticket from this `p_negative` on.", examples=[0.65])
    review: Line = Field(None, description="A review from this `p_negative` on.", examples=[0.4])


class Tally(BaseModel):
    """Answers by decision."""

    ticket: int = 0
    review: int = 0
    nothing: int = 0


class Moved(BaseModel):
    """An answer that would be decided in another way."""

    id: UUID
    received_at: datetime
    p_negative: float | None
    vote: str | None
    rating: int | None
    comment: str


class Right(BaseModel):
    """Answers of which people said whether they needed a person. Right is a ticket or a review where somebody was
    needed, and no ticket where nobody was."""

    judged: int = 0
    right: int = 0
    missed: int = Field(0, description="Needed a person, and got neither ticket nor review.")
    false_alarms: int = Field(0, description="Got a ticket, and needed nobody.")


class Rehearsal(BaseModel):
    """What the survey as it is now, with other lines, would have made of the answers since `since`."""

    survey: str
    version: int
    lines: Lines | None = Field(description="The lines that were rehearsed; null when there was nothing to rehearse.")
    model_lines: Lines | None
    since: datetime
    answers: int
    cut: bool = Field(description="There were more; these are the newest 200,000.")
    was: Tally = Field(description="As they were decided then.")
    would: Tally = Field(description="As they would have been. What was erased stays as it was decided.")
    selected: int = Field(description="Answers that would be tickets and were none.")
    newly_selected: list[Moved] = Field(description="At most 50 of them, most likely negative first.")
    dropped: int = Field(description="Answers that were tickets and would be none.")
    newly_dropped: list[Moved] = Field(description="At most 50 of them, most likely negative first.")
    was_right: Right
    would_be_right: Right
