"""Training and measuring: the same bytes each time, nothing of a group known where it is judged, right figures."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from heed.errors import Invalid
from worker.sentiment.light import LightScorer, Model

pytest.importorskip("sklearn", reason="the extra `train` is not installed")  # in CI it is: one lock for all

from worker.learning import measure
from worker.learning.data import FOLDS, Rated, phrases, read
from worker.learning.train import Corpus, Recipe, _Part, fit, judge_unseen, train

ROOT = Path(__file__).parents[2]
WORDS = [
    "lamp",
    "table",
    "green",
    "small",
    "paper",
    "window",
    "river",
    "stone",
    "music",
    "winter",
    "corner",
    "bottle",
    "garden",
    "pencil",
    "shadow",
    "button",
]
GOOD, BAD = ["splendid", "cheerful", "graceful"], ["dreadful", "dismal", "wretched"]


def sentences(groups: int, seed: int = 3) -> list[Rated]:
    """Each group has a word of its own that tells its rating: learned by heart, it is of no use for another group."""
    chance = random.Random(seed)
    rows = []
    for group in range(groups):
        rating = chance.choice([-2.0, 2.0])
        for _ in range(4):
            own = f"secret{chr(97 + group // 26)}{chr(97 + group % 26)}"
            words = [own, *chance.sample(WORDS, 5)]
            if chance.random() < 0.5:
                words.append(chance.choice(BAD if rating < 0 else GOOD))
            chance.shuffle(words)
            rows.append(Rated(" ".join(words), rating, f"g {group}"))
    return rows


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """A small one: no phrases, no hints, no other domains."""
    recipe = Recipe({**Recipe.shipped().said, "customers": ["mine.tsv"], "comments": [], "others": []}, seed=1)
    rows = sentences(120)
    small = Corpus(recipe, rows, [], {"mine.tsv": rows}, {"mine.tsv": "0" * 64})
    small.parts = [_Part.of(rows, recipe.said["exponent"], 1.0, customers=True)]
    return small


def test_the_same_data_and_recipe_give_the_same_bytes(corpus: Corpus) -> None:
    content, judged = train(corpus, lambda _: None)
    assert train(corpus, lambda _: None)[0] == content
    model = Model.parse(content)
    assert model.terms["dreadful"] < 0 < model.terms["splendid"]
    assert {each.rated.text for each in judged} == {row.text for row in corpus.customers}


def test_what_judges_a_text_has_not_seen_its_group(corpus: Corpus) -> None:
    """In half of the sentences only the group's own word tells the rating: seen it is known, unseen it cannot be."""
    judged = judge_unseen(corpus, corpus.comments, lambda _: None)
    plain = [each for each in judged if not set(each.rated.text.split()) & {*GOOD, *BAD}]
    negative = np.array([each.rated.negative for each in plain])
    unseen = measure.pr_auc(negative, -np.array([each.rating or 0.0 for each in plain]))
    rest = {"format": 1, "name": "x", "version": "1", "calibration": [0, -1, 0, 0], "lines": {"ticket": 1, "review": 1}}
    seen_by = LightScorer(Model.parse(json.dumps({**fit(corpus), **rest}).encode()))
    found = seen_by.score([each.rated.text for each in plain])
    seen = measure.pr_auc(negative, np.array([each.p_negative or 0.0 for each in found]))
    assert unseen < negative.mean() + 0.15
    assert seen > 0.9


def test_a_group_is_in_one_fold_whatever_file_it_is_in(tmp_path: Path) -> None:
    (tmp_path / "dev_amazon.tsv").write_text("id\trating\ttext\n7_1\t1.0\ta\n7_2\t-1.0\tb\n8_1\t0\tc\n")
    (tmp_path / "dev_amazon_reviews.tsv").write_text("id\tmean_rating\ttext\n7\t0.5\ta b\n")
    one, other = read(tmp_path / "dev_amazon.tsv"), read(tmp_path / "dev_amazon_reviews.tsv")
    assert one[0].group == one[1].group == other[0].group != one[2].group
    assert one[0].fold == other[0].fold
    assert [row.negative for row in one] == [False, True, False]
    assert {Rated("", 0, str(number)).fold for number in range(100)} == set(range(FOLDS))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id\trating\n1\t2\n", "no column named text"),
        (b"", "no column named text"),
        (b"text\trating\n", "no rows"),
        (b"text\trating\ngood\tfive\n", "line 2: 'five' is no rating"),
        (b"text\ngood\n", "line 2: no rating"),
        (b"text\trating\n\xff\t1\n", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "mine.tsv"
    file.write_bytes(content)
    with pytest.raises(Invalid, match=said):
        read(file)


def test_phrases_are_what_people_would_say() -> None:
    said = phrases()
    assert all(-4 <= phrase.rating <= 4 for phrase in said)
    ways = [way for phrase in said for way in phrase.ways]
    assert not any(re.search(r"[()|\t]|  ", way) for way in ways)


def test_figures_are_those_of_known_cases() -> None:
    negative = np.array([True, False, True, False])
    chances = np.array([0.9, 0.8, 0.3, 0.1])
    assert measure.pr_auc(negative, chances) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert measure.precision_recall(negative, chances >= 0.5) == (0.5, 0.5)
    assert measure.recall_at_precision(negative, chances, 0.8) == 0.5
    assert measure.threshold_at_precision(negative, chances, 0.8) == 0.9
    assert measure.threshold_at_best_f1(negative, chances) == 0.3
    assert measure.calibration_error(negative, chances) == pytest.approx((0.1 + 0.8 + 0.7 + 0.1) / 4)
    assert measure.calibration_error(np.array([True, False] * 50), np.full(100, 0.5)) == 0


def test_the_card_is_the_shipped_models_and_its_figures_are_those_that_are_asked_for() -> None:
    card = (ROOT / "docs" / "light-1.md").read_text(encoding="utf-8")
    assert card.startswith(f"# Model card: {LightScorer().name}\n")
    figures = {
        file: tuple(map(float, found))
        for file, *found in re.findall(
            r"\| (dev_\w+)\.tsv \| ([\d.]+) \([^)]*\) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", card
        )
    }
    auc, precision, recall, error = figures["dev_amazon"]
    assert auc >= 0.81
    assert precision >= 0.78
    assert recall >= 0.60
    assert error <= 0.05
    assert figures["dev_amazon_comments3"][1:3] >= (0.76, 0.70)
    assert figures["dev_amazon_comments3"][2] >= 0.70
    assert figures["dev_amazon_reviews"][1] >= 0.80
    assert figures["dev_amazon_reviews"][2] >= 0.88
