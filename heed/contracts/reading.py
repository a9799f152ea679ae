"""`Reading` v1: what a scorer read where in a comment, and why it scored it so; kept with the feedback row as JSON.

Spans are [start, end) in code points of the comment as it was stored. Ratings and points are on the scale of the human
ratings that the model learned from, -4 (most negative) to 4. Drivers and spans are arrays in JSON, for brevity.
"""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError


class SentenceRead(NamedTuple):
    """One sentence and its rating."""

    start: int
    end: int
    rating: float


class Driver(NamedTuple):
    """What moved the rating by `points`: a term of the model at its place, or something without one (no span)."""

    term: str
    start: int | None
    end: int | None
    points: float


class Reading(BaseModel):
    """`drivers` add up to `rating`; `coverage` is the share of words that the model knows as English, 0 to 1.

    `truncated`: the text was longer than what is scored. `language` is an ISO 639-1 code, where it is not English and
    certain. `topics` are the policy's words of urgency that were found.
    """

    model_config = ConfigDict(extra="ignore")

    v: Literal[1] = 1
    rating: float | None = None
    coverage: float = 0.0
    truncated: bool = False
    language: str | None = None
    topics: tuple[str, ...] = ()
    sentences: tuple[SentenceRead, ...] = ()
    drivers: tuple[Driver, ...] = ()

    @classmethod
    def of(cls, stored: object) -> "Reading | None":
        """A feedback row's reading; None where version 0.1.0 kept none or a later version one that we cannot read."""
        try:
            return cls.model_validate(stored)
        except ValidationError:
            return None
