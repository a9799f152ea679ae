"""How a text reads: the `Scorer` protocol and what it answers. Scorers are pure: no network, no clock, no state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from heed.contracts import Driver, Label, SentenceRead
from heed.triage import Lines


def _for_no_reason(_most: int | None) -> tuple[Driver, ...]:
    return ()


@dataclass(slots=True)  # not frozen, which would make it take three times as long
class Sentiment:
    """A text's score.

    `p_negative` is the calibrated probability that people would rate the text negative, None for a text that cannot be
    judged; `rating` the mean rating that they would give it, -4 to 4; `compound` VADER's normalised sum, -1 (most
    negative) to 1, and `scores` all of VADER's scores. `coverage` is the share of its words that are English as far as
    the scorer knows, `truncated` whether only its beginning was read, `language` the ISO 639-1 code where it is another
    language and that is certain. Spans are those of `heed.contracts.Reading`.
    """

    label: Label
    compound: float
    p_negative: float | None
    scores: dict[str, float] = field(default_factory=dict)
    rating: float | None = None
    coverage: float = 1.0
    truncated: bool = False
    language: str | None = None
    sentences: tuple[SentenceRead, ...] = ()
    # Makes the drivers, which are often not asked for: all, or so many of the strongest.
    why: Callable[[int | None], tuple[Driver, ...]] = field(default=_for_no_reason, compare=False)

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """What moved the rating, in the order of the text; their points add up to it."""
        return self.why(None)

    def strongest(self, most: int) -> tuple[Driver, ...]:
        """The `most` strongest drivers, strongest first, and `others`, the sum of the rest; they add up too."""
        return self.why(most)


class Scorer(Protocol):
    """Scores texts. `name` says which scorer, version and weights it is and is stored with each score."""

    name: str
    lines: Lines

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        ...
