"""How a text reads: the `Scorer` protocol and what it answers. Scorers are pure: no network, no clock, no state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from heed.contracts import Label


@dataclass(frozen=True, slots=True)
class Sentiment:
    """A text's score.

    `compound` is VADER's normalised sum, -1 (most negative) to 1; `p_negative` the calibrated probability that people
    would rate the text negative, None for a text without words; `scores` whatever else the scorer tells, as JSON.
    """

    label: Label
    compound: float
    p_negative: float | None
    scores: dict[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """Scores texts. `name` says which scorer and version it is and is stored with each score."""

    name: str

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        ...
