"""`Survey`: what is asked, and which answers count as unhappy. Published to Redis for the form."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from heed.contracts.text import OptionKey, Slug


class Option(BaseModel):
    """One choice of the vote. `unhappy` options select a submission for a ticket."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: OptionKey
    label: Annotated[str, Field(min_length=1, max_length=80)]
    face: Annotated[str, Field(max_length=8)] = ""
    unhappy: bool = False


class Survey(BaseModel):
    """A question with its options.

    `threshold` is the p_negative from which words alone select, `review_threshold` the one from which a manager is
    asked; None: where the triage model itself draws the line. Neither is written when it is None, since readers of
    version 0.1.0 want a number or nothing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    slug: Slug
    question: Annotated[str, Field(min_length=1, max_length=300)]
    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=2)]
    rating: bool = True
    unhappy_ratings: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (1, 2)
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    review_threshold: Annotated[float, Field(gt=0, le=1)] | None = None

    def written(self) -> dict[str, Any]:
        """As JSON values, the way that every version reads it."""
        return self.model_dump(mode="json", exclude_none=True)

    def option(self, key: str | None) -> Option | None:
        """The option with this key, or None."""
        return next((option for option in self.options if option.key == key), None)


DEFAULT_SURVEY = Survey(
    slug="default",
    question="How was your experience with us?",
    options=(
        Option(key="good", label="Good", face="🙂"),
        Option(key="bad", label="Bad", face="🙁", unhappy=True),
    ),
)
