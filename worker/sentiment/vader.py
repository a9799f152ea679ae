"""VADER: its scores, several times as fast and in time linear in the text's length; and a scorer of them alone.

Guarantees: `Vader` scores every text exactly as vaderSentiment does, whose lexicon it uses (held to it by a property
test). Source: Hutto, C.J. & Gilbert, E.E. (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text, ICWSM-14; the rules below are those of vaderSentiment 3.3.2.
"""

import math
import string
from collections.abc import Sequence
from heapq import heappop, heappush
from importlib.metadata import version

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    C_INCR,
    N_SCALAR,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

from heed.contracts import Label
from heed.triage import Lines
from worker.sentiment import Sentiment

# Platt scaling, p = 1 / (1 + exp(-(A * compound + B))), fitted to 879 three-sentence comments from Amazon reviews
# that 20 people rated each (the data published with VADER; negative = mean rating below 0). At the ticket line of 0.65
# precision was .78 and recall .44 on the same comments.
A, B = -2.4247, 0.4907
LINES = Lines(ticket=0.65, review=0.42)

# The cut-offs that VADER's authors give.
NEGATIVE, POSITIVE = -0.05, 0.05

_NEGATE = frozenset(NEGATE)
# What a word further back counts less.
_FADE = {1: 1.0, 2: 0.95, 3: 0.9}


class Vader(SentimentIntensityAnalyzer):  # type: ignore[misc]
    """vaderSentiment's analyzer; only `polarity_scores` is to be called.

    The original lower-cases all words again for each rule and each word that carries sentiment, and looks at every
    character for emoji. Here both is done once, and most words, which carry none, are passed over.
    """

    def __init__(self) -> None:
        super().__init__()
        self._emoji = frozenset(self.emojis)

    def polarity_scores(self, text: str) -> dict[str, float]:
        """neg, neu, pos (shares of 1) and compound (-1 to 1)."""
        if not (text.isascii() or self._emoji.isdisjoint(text)):
            text = self._described(text)
        text = text.strip()
        stripped = ((token, token.strip(string.punctuation)) for token in text.split())
        words = [word if len(word) > 2 else token for token, word in stripped]
        lower = [word.lower() for word in words]
        some_capitals = not text.islower() and 0 < sum(map(str.isupper, words)) < len(words)
        values: list[float] = [0] * len(words)
        lexicon = self.lexicon
        for at, word in enumerate(lower):
            if word in lexicon and word not in BOOSTER_DICT:
                if word == "kind" and lower[at + 1 : at + 2] == ["of"]:
                    continue
                values[at] = self._valence(words, lower, at, some_capitals)
        if "but" in lower:
            _weigh_around_but(values, lower.index("but"))
        scores: dict[str, float] = self.score_valence(values, text)
        return scores

    def _described(self, text: str) -> str:
        """Emoji in words, a space before each that follows no space."""
        parts = []
        after_space = True
        for char in text:
            if char in self._emoji:
                parts.append(self.emojis[char] if after_space else " " + self.emojis[char])
                after_space = False
            else:
                parts.append(char)
                after_space = char == " "
        return "".join(parts)

    def _valence(self, words: list[str], lower: list[str], at: int, some_capitals: bool) -> float:
        """The word's valence from the lexicon as the up to three words before it change it."""
        lexicon = self.lexicon
        own: float = lexicon[lower[at]]
        value = own
        before = lower[max(at - 3, 0) : at][::-1]  # the nearest first
        if lower[at] == "no" and at != len(lower) - 1 and lower[at + 1] in lexicon:
            value = 0.0
        if "no" in before[:2] or (before[2:] == ["no"] and before[0] in ("or", "nor")):
            value = own * N_SCALAR
        if some_capitals and words[at].isupper():
            value += C_INCR if value > 0 else -C_INCR
        for back, word in enumerate(before, 1):
            if word in lexicon:
                continue
            scalar = BOOSTER_DICT.get(word)
            if scalar is not None:
                if value < 0:
                    scalar *= -1
                if some_capitals and words[at - back].isupper():
                    scalar += C_INCR if value > 0 else -C_INCR
                value += scalar * _FADE[back]
            value = _negated(value, before, back)
            if back == 3:
                value = _idioms(value, lower, at)
        if before and before[0] == "least" and "least" not in lexicon and before[1:2] not in (["at"], ["very"]):
            value *= N_SCALAR
        return value


def _is_negation(word: str) -> bool:
    return word in _NEGATE or "n't" in word


def _negated(value: float, before: list[str], back: int) -> float:
    """`value` after the negation rule for the word `back` places before it."""
    if back == 1:
        return value * N_SCALAR if _is_negation(before[0]) else value
    if back == 2:
        if before[1] == "never" and before[0] in ("so", "this"):
            return value * 1.25
        if before[1] == "without" and before[0] == "doubt":
            return value
        return value * N_SCALAR if _is_negation(before[1]) else value
    # The original's `and` binds before its `or`; so it does here.
    if (before[2] == "never" and before[1] in ("so", "this")) or before[0] in ("so", "this"):
        return value * 1.25
    if before[2] == "without" and "doubt" in before[:2]:
        return value
    return value * N_SCALAR if _is_negation(before[2]) else value


def _idioms(value: float, lower: list[str], at: int) -> float:
    """`value`, or that of an idiom around it; boosted by two- and three-word boosters before it."""
    third, second, first, word = lower[at - 3 : at + 1]
    one, two, three = f"{second} {first}", f"{third} {second} {first}", f"{third} {second}"
    for idiom in (f"{first} {word}", f"{second} {first} {word}", one, two, three):
        if idiom in SPECIAL_CASES:
            value = SPECIAL_CASES[idiom]
            break
    for end in (at + 2, at + 3):
        if end <= len(lower):
            value = SPECIAL_CASES.get(" ".join(lower[at:end]), value)
    for booster in (two, three, one):
        value += BOOSTER_DICT.get(booster, 0)
    return value


def _weigh_around_but(values: list[float], but: int) -> None:
    """Halve what stands before the first "but", and make what follows half as much again.

    The original looks each value up by its size and changes the first one of that size, so of equal values some change
    more than once and some never. So here, with the places of each value in a heap instead of a search.
    """
    places: dict[float, list[int]] = {}
    for at, value in enumerate(values):
        if value:
            places.setdefault(value, []).append(at)
    for at in range(len(values)):
        value = values[at]
        if value:
            first = heappop(places[value])
            values[first] = value * (0.5 if first < but else 1.5)
            heappush(places.setdefault(values[first], []), first)


class VaderScorer:
    """vaderSentiment's scores as they are, with the compound score calibrated to a probability."""

    def __init__(self) -> None:
        self.name = f"vader {version('vaderSentiment')} platt-1"
        self.lines = LINES
        self._analyzer = Vader()

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Sentiment:
        if not text or text.isspace():
            return Sentiment(Label.UNKNOWN, 0.0, None)
        scores = self._analyzer.polarity_scores(text)
        compound = scores["compound"]
        if compound <= NEGATIVE:
            label = Label.NEGATIVE
        elif compound >= POSITIVE:
            label = Label.POSITIVE
        else:
            label = Label.NEUTRAL
        return Sentiment(label, compound, 1 / (1 + math.exp(-(A * compound + B))), scores)
