"""Scores are VADER's own, calibrated in its order, and there are none where there are no words."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE, SPECIAL_CASES, SentimentIntensityAnalyzer

from heed.contracts import Label
from worker.sentiment.vader import Vader, VaderScorer

SAMPLE = Path(__file__).parents[1] / "data" / "comments.tsv"
original, linear = SentimentIntensityAnalyzer(), Vader()
# Words that wake the rules, so that short random texts do.
SIGNALS = "good bad love hate no or nor but least very at so this GREAT :) never without doubt kind of 😍 ! ???"
WORDS = [*SIGNALS.split(" "), *NEGATE, *BOOSTER_DICT, *SPECIAL_CASES]


def test_the_sample_scores_as_the_original_does() -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert [linear.polarity_scores(text) for text in texts] == [original.polarity_scores(text) for text in texts]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(SIGNALS.split(" ")) | st.sampled_from(WORDS) | st.text(max_size=6), max_size=30).map(
        " ".join
    )
)
def test_any_text_scores_as_the_original_does(text: str) -> None:
    assert linear.polarity_scores(text) == original.polarity_scores(text)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_no_words_no_score(text: str) -> None:
    [sentiment] = VaderScorer().score([text])
    assert (sentiment.label, sentiment.p_negative) == (Label.UNKNOWN, None)


def test_worse_words_are_more_probably_negative() -> None:
    texts = ["I love it, wonderful!", "It is a phone.", "Rather bad.", "Horrible, awful, I hate it."]
    scored = VaderScorer().score(texts)
    chances = [sentiment.p_negative for sentiment in scored]
    assert chances == sorted(chances, key=lambda chance: chance or 0)
    assert [sentiment.label for sentiment in scored] == [Label.POSITIVE, Label.NEUTRAL, Label.NEGATIVE, Label.NEGATIVE]
