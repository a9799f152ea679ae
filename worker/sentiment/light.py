"""The default scorer: VADER and a light additive layer over it, with its weights in one JSON file that can be read.

Guarantees: a sentence's rating is a sum, so its drivers are exact and add up; a text's rating is the mean over its
sentences; a text that is empty, junk or in another language is `unknown`, with no probability; linear in the text's
length, of which at most `cap` characters are read.

What is in the file, how the weights came about and how good they are: docs/triage.md.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from heed.contracts import Driver, Label, SentenceRead
from heed.contracts.text import COMMENT_MAX
from heed.errors import HeedError
from worker.sentiment import Lines, Sentiment, text
from worker.sentiment.language import detect
from worker.sentiment.vader import Vader

FORMAT = 1
SHIPPED = files("worker.sentiment").joinpath("light.json")
ENGLISH_WORDS = files("worker.sentiment").joinpath("english.txt")
# Text with fewer of its words known to be English cannot be judged; with fewer than the other it is asked for its
# language first.
READABLE, ENGLISH = 0.65, 0.9
_FEW = 3  # words
_VADER = ("compound", "pos", "neg")
MOST = 4.0  # the scale of the human ratings


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of `LightScorer`. A sentence of n words is rated

        base + sum(vader[name] * VADER's score of that name) + unit * (10 / n) ** exponent * sum(terms[each term in it])

    and a text of m sentences, whose mean rating is r, is negative with the probability

        1 / (1 + exp(-(a + b * r + c * ln m + d * r * ln m))), (a, b, c, d) = calibration.

    `name` says the version and the file's hash.
    """

    name: str
    base: float
    vader: dict[str, float]
    unit: float
    exponent: float
    terms: dict[str, int]
    calibration: tuple[float, float, float, float]
    lines: Lines

    @classmethod
    def load(cls, path: Path | None = None) -> "Model":
        """The shipped model, or another; HeedError says what is wrong with its file."""
        try:
            content = SHIPPED.read_bytes() if path is None else path.read_bytes()
            return cls.parse(content)
        except OSError as error:
            raise HeedError(f"The model {path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HeedError(f"{path} is not a model of `heed triage train`: {type(error).__name__} {error}.") from error

    @classmethod
    def parse(cls, content: bytes) -> "Model":
        """The model in a file's content; ValueError, KeyError or TypeError when it is none."""
        said: dict[str, Any] = json.loads(content)
        if said["format"] != FORMAT:
            raise ValueError(f"its format is {said['format']}, this version reads {FORMAT}")
        a, b, c, d = map(float, said["calibration"])
        return cls(
            name=f"{said['name']} {said['version']} {hashlib.sha256(content).hexdigest()[:12]}",
            base=float(said["base"]),
            vader={name: float(said["vader"][name]) for name in _VADER},
            unit=float(said["unit"]),
            exponent=float(said["exponent"]),
            terms={term: int(weight) for term, weight in said["terms"].items()},
            calibration=(a, b, c, d),
            lines=Lines(float(said["lines"]["ticket"]), float(said["lines"]["review"])),
        )


class LightScorer:
    """Scores by a `Model`. `cap` is how many characters of a text are read (None: all)."""

    def __init__(self, model: Model | None = None, cap: int | None = COMMENT_MAX) -> None:
        self._model = model or Model.load()
        self._cap = cap
        self.name, self.lines = self._model.name, self._model.lines
        self._vader = Vader()
        words = ENGLISH_WORDS.read_text(encoding="utf-8").split()
        terms = (term.removeprefix("~") for term in self._model.terms if " " not in term)
        self._known = frozenset(words).union(terms, text.NOT_WORDS)
        self._weigh: Callable[[int], float] = cache(self._weight)

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        return [self._one(each) for each in texts]

    def _weight(self, words: int) -> float:
        """Rating points of one unit in a sentence of so many words."""
        return self._model.unit * float((10 / words) ** self._model.exponent) if words else 0.0

    def _one(self, comment: str) -> Sentiment:
        if not comment or comment.isspace():
            return Sentiment(Label.UNKNOWN, 0.0, None, coverage=0.0)
        truncated = self._cap is not None and len(comment) > self._cap
        if truncated:
            comment = comment[: self._cap]
        scores = self._vader.polarity_scores(comment)
        compound = scores["compound"]
        read, origin = text.composed(text.readable(comment))
        parts, coverage = self._parts(read, scores)
        if not parts:
            return Sentiment(Label.UNKNOWN, compound, None, scores, None, 0.0, truncated)
        if coverage < ENGLISH:
            language = detect(comment)
            if coverage < READABLE or language not in (None, "en"):
                language = None if language == "en" else language
                return Sentiment(Label.UNKNOWN, compound, None, scores, None, coverage, truncated, language)
        many = len(parts)
        rating = self._model.base + sum(part.vader + part.points * part.unit for part in parts) / many
        rating = max(min(rating, MOST), -MOST)
        a, b, c, d = self._model.calibration
        chance = 1 / (1 + math.exp(-(a + b * rating + (c + d * rating) * math.log(many))))
        why = partial(self._why, read, origin, parts, rating)
        return Sentiment(_label(chance, rating), compound, chance, scores, rating, coverage, truncated, None, why)

    def _parts(self, read: str, scores: dict[str, float]) -> tuple[list["_Part"], float]:
        """The sentences that say something, and the share of their words that are known."""
        spans = text.sentences(read)
        get = self._model.terms.get
        vader = self._model.vader
        known = self._known
        parts = []
        seen = unknown = 0
        for start, end in spans:
            piece = read[start:end]
            tokens = text.tokens(piece)
            terms, ends, words = text.terms(tokens)
            if not words and text.only_marks(piece):
                continue
            own = scores if len(spans) == 1 else self._vader.polarity_scores(piece)
            if not words and not own["compound"]:
                continue
            seen += words
            unknown += len([token for token in tokens if token not in known])
            points = sum([weight for term in terms if (weight := get(term))])
            by_vader = 0.0
            for name, weight in vader.items():
                by_vader += weight * own[name]
            parts.append(_Part(start, end, by_vader, points, self._weigh(words), terms, ends))
        if seen <= _FEW and parts and not scores["compound"] and not any(map(text.says_something, text.tokens(read))):
            return [], 0.0  # a number, a letter
        return parts, 1 - unknown / seen if seen else float(bool(parts))

    def _why(
        self, read: str, origin: list[int] | None, parts: Sequence["_Part"], rating: float
    ) -> tuple[tuple[SentenceRead, ...], tuple[Driver, ...]]:
        """The sentences and the drivers behind a rating; only made where somebody asks."""
        base, many = self._model.base, len(parts)
        drivers = [Driver("base", None, None, base)]
        sentences = []
        for part in parts:
            sentences.append(SentenceRead(part.start, part.end, base + part.vader + part.points * part.unit))
            if part.vader:
                drivers.append(Driver("VADER", part.start, part.end, part.vader / many))
            places: list[text.Span] = []
            for term, at in zip(part.terms, part.ends, strict=True):
                weight = self._model.terms.get(term)
                if weight:
                    places = places or text.places(read[part.start : part.end], part.start)
                    first = places[at - 1] if " " in term else places[at]
                    drivers.append(Driver(term, first[0], places[at][1], weight * part.unit / many))
        rest = rating - math.fsum(driver.points for driver in drivers)
        if abs(rest) > 1e-9:  # the scale's end was reached
            drivers.append(Driver("limit", None, None, rest))
        if origin is not None:
            drivers = [_moved(driver, origin) for driver in drivers]
            sentences = [SentenceRead(origin[each.start], origin[each.end], each.rating) for each in sentences]
        return tuple(sentences), tuple(drivers)


class _Part(NamedTuple):
    """A sentence that was read: its rating is base + vader + points * unit."""

    start: int
    end: int
    vader: float
    points: int
    unit: float
    terms: list[str]
    ends: list[int]


def _moved(driver: Driver, origin: list[int]) -> Driver:
    """The driver where it was before the text was composed."""
    if driver.start is None or driver.end is None:
        return driver
    return driver._replace(start=origin[driver.start], end=origin[driver.end])


def _label(chance: float, rating: float) -> Label:
    if chance >= 0.5:
        return Label.NEGATIVE
    return Label.POSITIVE if rating >= 0.5 else Label.NEUTRAL
