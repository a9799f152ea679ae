"""VADER behind the `Scorer` protocol, with its compound score calibrated to a probability.

Source of the scores: Hutto, C.J. & Gilbert, E.E. (2014), VADER: A Parsimonious Rule-based Model for Sentiment
Analysis of Social Media Text, ICWSM-14.
"""

import math
from collections.abc import Sequence
from importlib.metadata import version

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from heed.contracts import Label
from worker.sentiment import Lines, Sentiment

# Platt scaling, p = 1 / (1 + exp(-(A * compound + B))), fitted to 879 three-sentence comments from Amazon reviews
# that 20 people rated each (the data published with VADER; negative = mean rating below 0). At the default threshold
# of 0.65 precision was .78 and recall .44 on the same comments.
A, B = -2.4247, 0.4907

# The cut-offs that VADER's authors give.
NEGATIVE, POSITIVE = -0.05, 0.05


class LinearVader(SentimentIntensityAnalyzer):  # type: ignore[misc]
    """VADER with identical scores, in time linear in the text's length.

    Two of its rules look at no more than three words back and two ahead, but lower-case the whole text for each word
    that carries sentiment. Here they are given just those words.
    """

    @staticmethod
    def _negation_check(valence: float, words: list[str], start: int, at: int) -> float:
        first = max(at - 3, 0)
        checked: float = SentimentIntensityAnalyzer._negation_check(valence, words[first : at + 1], start, at - first)
        return checked

    @staticmethod
    def _special_idioms_check(valence: float, words: list[str], at: int) -> float:
        first = max(at - 3, 0)
        checked: float = SentimentIntensityAnalyzer._special_idioms_check(valence, words[first : at + 3], at - first)
        return checked


class VaderScorer:
    """vaderSentiment, with its scores as they are."""

    def __init__(self) -> None:
        self.name = f"vader-{version('vaderSentiment')}/platt-1"
        self.lines = Lines(ticket=0.65, review=0.42)
        self._analyzer = LinearVader()

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One Sentiment for each text, in order."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Sentiment:
        if not text or text.isspace():
            return Sentiment(Label.UNKNOWN, 0.0, None)
        scores: dict[str, float] = self._analyzer.polarity_scores(text)
        compound = scores["compound"]
        if compound <= NEGATIVE:
            label = Label.NEGATIVE
        elif compound >= POSITIVE:
            label = Label.POSITIVE
        else:
            label = Label.NEUTRAL
        return Sentiment(label, compound, 1 / (1 + math.exp(-(A * compound + B))), scores)
