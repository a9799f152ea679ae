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
from heed.triage import Lines
from worker.sentiment import Sentiment, text
from worker.sentiment.language import detect
from worker.sentiment.vader import Vader

FORMAT = 1
SHIPPED = files("worker.sentiment").joinpath("light.json")
ENGLISH_WORDS = files("worker.sentiment").joinpath("english.txt")
# Text with fewer of its words known to be English cannot be judged; with fewer than the other it is asked for its
# language first.
READABLE, ENGLISH = 0.65, 0.9
VADER = ("compound", "pos", "neg")
# Of a model's numbers, and of its terms' weights; with larger ones sums could overflow.
_LARGEST, _LARGEST_TERM = 10, 1_000_000
MOST = 4.0  # the scale of the human ratings


Calibration = tuple[float, float, float, float]


def calibrated(by: Calibration, rating: float, sentences: int) -> float:
    """p_negative of a text with that rating; see `Model`."""
    a, b, c, d = by
    return 1 / (1 + math.exp(-(a + b * rating + (c + d * rating) * math.log(sentences))))


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
    calibration: Calibration
    lines: Lines

    @classmethod
    def load(cls, path: Path | None = None) -> "Model":
        """The shipped model, or another; HeedError says what is wrong with its file."""
        try:
            content = SHIPPED.read_bytes() if path is None else path.read_bytes()
            return cls.parse(content)
        except OSError as error:
            raise HeedError(f"The model {path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise HeedError(f"{path} is not a model of `heed triage train`: {type(error).__name__} {error}.") from error

    @classmethod
    def parse(cls, content: bytes) -> "Model":
        """The model in a file's content; ValueError, KeyError or TypeError when it is none."""
        said: dict[str, Any] = json.loads(content)
        if said["format"] != FORMAT:
            raise ValueError(f"its format is {said['format']}, this version reads {FORMAT}")
        a, b, c, d = map(float, said["calibration"])
        model = cls(
            name=f"{said['name']} {said['version']} {hashlib.sha256(content).hexdigest()[:12]}",
            base=float(said["base"]),
            vader={name: float(said["vader"][name]) for name in VADER},
            unit=float(said["unit"]),
            exponent=float(said["exponent"]),
            terms={term: int(weight) for term, weight in said["terms"].items()},
            calibration=(a, b, c, d),
            lines=Lines(float(said["lines"]["ticket"]), float(said["lines"]["review"])),
        )
        numbers = (model.base, *model.vader.values(), model.unit, model.exponent, *model.calibration)
        if not all(abs(number) <= _LARGEST for number in numbers):  # NaN is not either
            raise ValueError(f"a number in it is beyond {_LARGEST}")
        if any(abs(weight) > _LARGEST_TERM for weight in model.terms.values()):
            raise ValueError(f"a term's weight is beyond {_LARGEST_TERM}")
        if not 0 < model.lines.review <= model.lines.ticket <= 1:
            raise ValueError("its lines are not 0 < review <= ticket <= 1")
        return model


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
        parts, coverage = self._parts(read, comment.strip(), scores)
        if not parts:
            return Sentiment(Label.UNKNOWN, compound, None, scores, None, 0.0, truncated)
        if coverage < ENGLISH:
            language = detect(comment)
            if coverage < READABLE or language not in (None, "en"):
                language = None if language == "en" else language
                return Sentiment(Label.UNKNOWN, compound, None, scores, None, coverage, truncated, language)
        many = len(parts)
        model = self._model
        rating = model.base + sum([part.said.vader + part.said.points for part in parts]) / many
        rating = max(min(rating, MOST), -MOST)
        chance = calibrated(model.calibration, rating, many)
        sentences = [
            SentenceRead(part.start, part.end, model.base + part.said.vader + part.said.points) for part in parts
        ]
        if origin is not None:
            sentences = [SentenceRead(origin[each.start], origin[each.end], each.rating) for each in sentences]
        why = partial(self._drivers, read, origin, parts, rating)
        label = _label(chance, rating)
        return Sentiment(label, compound, chance, scores, rating, coverage, truncated, None, tuple(sentences), why)

    def _parts(self, read: str, whole: str, scores: dict[str, float]) -> tuple[list["_Part"], float]:
        """The sentences that say something, and the share of their words that are known. `scores` are those of `whole`,
        which most often is the one sentence."""
        made: dict[str, _Said | None] = {}  # a text may say the same ten thousand times
        parts = []
        seen = unknown = 0
        for start, end in text.sentences(read):
            piece = read[start:end]
            if piece == whole:
                said = self._said(piece, scores)
            elif piece in made:
                said = made[piece]
            else:
                said = made[piece] = self._said(piece, None)
            if said is not None:
                parts.append(_Part(start, end, said))
                seen += said.words
                unknown += said.unknown
        if parts and not scores["compound"] and not text.says_something(read):
            return [], 0.0  # numbers, letters
        return parts, 1 - unknown / seen if seen else float(bool(parts))

    def _said(self, piece: str, scores: dict[str, float] | None) -> "_Said | None":
        """What a sentence says; None when that is nothing. `scores` are VADER's of it, where they are known."""
        if text.only_marks(piece):
            return None
        tokens = text.tokens(piece)
        terms, ends, words = text.terms(tokens)
        own = scores or self._vader.polarity_scores(piece)
        if not words and not own["compound"]:
            return None
        get, known = self._model.terms.get, self._known
        points = sum([weight for term in terms if (weight := get(term))])
        by_vader = 0.0
        for name, factor in self._model.vader.items():
            by_vader += factor * own[name]
        unknown = len([token for token in tokens if token not in known])
        unit = self._weigh(words)
        return _Said(by_vader, points * unit, unit, terms, ends, words, unknown)

    def _drivers(
        self, read: str, origin: list[int] | None, parts: Sequence["_Part"], rating: float, most: int | None
    ) -> tuple[Driver, ...]:
        """What is behind a rating: all of it in the order of the text, or the strongest first and the sum of the rest;
        only made where somebody asks."""
        get, many = self._model.terms.get, len(parts)
        found: list[_Found] = [(self._model.base, "base", -1, -1)]
        for number, part in enumerate(parts):
            said = part.said
            if said.vader:
                found.append((said.vader / many, "VADER", number, -1))
            unit = said.unit / many
            found += [
                (weight * unit, term, number, at)
                for term, at in zip(said.terms, said.ends, strict=True)
                if (weight := get(term))
            ]
        if abs(rating) == MOST:
            found.append((rating - math.fsum([each[0] for each in found]), "limit", -1, -1))
        cut = most is not None and len(found) > most
        if cut:
            found.sort(key=_strength, reverse=True)
            found = found[:most]
        places: dict[int, list[text.Span]] = {}
        drivers = []
        for points, term, number, at in found:
            if number < 0:
                drivers.append(Driver(term, None, None, points))
                continue
            part = parts[number]
            start, end = part.start, part.end
            if at >= 0:
                if number not in places:
                    places[number] = text.places(read[start:end], start)
                start = places[number][at - 1 if " " in term else at][0]
                end = places[number][at][1]
            if origin is not None:
                start, end = origin[start], origin[end]
            drivers.append(Driver(term, start, end, points))
        if cut:
            drivers.append(Driver("others", None, None, rating - math.fsum([each[0] for each in found])))
        return tuple(drivers)


# A driver before its place is looked up: points, term, the sentence's and the token's number (-1: of none).
_Found = tuple[float, str, int, int]


def _strength(found: _Found) -> float:
    return abs(found[0])


class _Said(NamedTuple):
    """What a sentence says: its rating is base + vader + points. A term's part in the points is its weight * unit."""

    vader: float
    points: float
    unit: float
    terms: list[str]
    ends: list[int]
    words: int
    unknown: int


class _Part(NamedTuple):
    """A sentence in its place."""

    start: int
    end: int
    said: _Said


def _label(chance: float, rating: float) -> Label:
    if chance >= 0.5:
        return Label.NEGATIVE
    return Label.POSITIVE if rating >= 0.5 else Label.NEUTRAL
