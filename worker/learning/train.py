"""Training the default scorer: a ridge regression of people's mean ratings, folded into one list of weights.

Guarantees: the same files and recipe give the same model, bit for bit; what a text is measured by was learned without
any text of its group; figures, calibration and lines come from such texts alone.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import lsqr
from sklearn.linear_model import LogisticRegression

from heed.errors import Invalid
from worker.learning import measure
from worker.learning.data import FOLDS, Rated, phrases, read
from worker.learning.features import Read, Space, Vectors, has_masked, vocabulary
from worker.learning.features import read as read_texts
from worker.sentiment import light
from worker.sentiment.light import FORMAT, LightScorer, Model
from worker.sentiment.vader import Vader

SIZE_MOST = 150_000  # bytes of a model's file
_STEPS = 300  # of the solver; it ends before when nothing changes any more
_HINT_UNIT = 0.05
_SELDOM = 0.2  # what it counts that others use a term, where terms are chosen for what customers write


@dataclass(frozen=True)
class Recipe:
    """What a model is made of: files, weights of their rows, and the numbers that were chosen (recipe.json)."""

    said: dict[str, Any]
    seed: int

    @classmethod
    def shipped(cls, seed: int | None = None) -> "Recipe":
        """The recipe of the shipped model."""
        said = json.loads(files("worker.learning").joinpath("recipe.json").read_text(encoding="utf-8"))
        return cls(said, said["seed"] if seed is None else seed)

    @property
    def masked(self) -> frozenset[str]:
        """Names of brands and products, which say nothing of how a customer feels."""
        return frozenset(self.said["masked"])

    @property
    def files(self) -> list[str]:
        """The files that it learns from and calibrates with."""
        return [*self.said["customers"], *self.said["others"], *self.said["comments"]]

    def weight(self, kind: str) -> float:
        """What a row of that kind counts."""
        return float(self.said["weights"][kind])


@dataclass
class Corpus:
    """All that is learned from, read once. `sources` are its files with their SHA-256."""

    recipe: Recipe
    customers: list[Rated]
    others: list[Rated]
    comments: dict[str, list[Rated]]
    sources: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, recipe: Recipe, folder: Path, more: Sequence[Rated] = ()) -> "Corpus":
        """The recipe's files from a folder, and `more` texts of customers (a deployment's own verdicts)."""
        missing = [name for name in recipe.files if not (folder / name).is_file()]
        if missing:
            raise Invalid(f"{folder} has no {', '.join(missing)}, which the recipe needs (docs/triage.md).")
        rows = {name: read(folder / name) for name in recipe.files}
        sources = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in recipe.files}
        return cls(
            recipe,
            [row for name in recipe.said["customers"] for row in rows[name]] + list(more),
            [row for name in recipe.said["others"] for row in rows[name]],
            {name: rows[name] for name in [*recipe.said["customers"], *recipe.said["comments"]]},
            sources,
        )

    @cached_property
    def parts(self) -> "list[_Part]":
        """What is learned from, kind by kind."""
        recipe, exponent = self.recipe, float(self.recipe.said["exponent"])
        customers = _Part.of(self.customers, exponent, recipe.weight("customers"), customers=True)
        others = _Part.of(self.others, exponent, recipe.weight("others"), customers=False)
        return [customers, others, self._hints(others), _phrases(recipe, exponent)]

    def _hints(self, others: "_Part") -> "_Part":
        """The other texts once more, rated as a larger model would rate them were they a customer's."""
        hints = _hints()
        found = [at for at, row in enumerate(self.others) if _key(row.text) in hints]
        ratings = np.array([hints[_key(self.others[at].text)] for at in found]).reshape(len(found), FOLDS + 1)
        weights = np.full(len(found), self.recipe.weight("hint"))
        folds = others.folds[found]
        return _Part([others.rows[at] for at in found], ratings * _HINT_UNIT, weights, folds, True)


@dataclass(frozen=True)
class _Part:
    """Rows with their ratings: in the first column, or, for hints, one column for each fold that a hint's giver had not
    seen, and first the one for all. Rows of fold -1 are in no fold."""

    rows: list[Read]
    ratings: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    customers: bool

    @classmethod
    def of(cls, rated: Sequence[Rated], exponent: float, weight: float, *, customers: bool) -> "_Part":
        rows = read_texts((row.text for row in rated), exponent)
        ratings = np.array([[row.rating] for row in rated]).reshape(len(rated), 1)
        return cls(rows, ratings, np.full(len(rows), weight), np.array([row.fold for row in rated]), customers)

    def without(self, fold: int | None) -> "_Part":
        """The rows that are not in that fold, rated by who did not see it."""
        keep = np.ones(len(self.rows), bool) if fold is None else self.folds != fold
        column = 0 if fold is None or self.ratings.shape[1] == 1 else fold + 1
        rows = [row for row, kept in zip(self.rows, keep, strict=True) if kept]
        return _Part(rows, self.ratings[keep][:, [column]], self.weights[keep], self.folds[keep], self.customers)


def _phrases(recipe: Recipe, exponent: float) -> _Part:
    said = phrases()
    texts = [(way, phrase.rating, len(phrase.ways)) for phrase in said for way in phrase.ways]
    rows = read_texts((way for way, _, _ in texts), exponent)
    weights = np.array([recipe.weight("phrase") / ways for _, _, ways in texts])  # a phrase counts once, not each way
    return _Part(rows, np.array([[rating] for _, rating, _ in texts]), weights, np.full(len(rows), -1), True)


def _hints() -> dict[str, list[int]]:
    lines = files("worker.learning").joinpath("hints.tsv").read_text(encoding="utf-8").splitlines()
    return {key: [int(each) for each in given] for key, *given in (line.split("\t") for line in lines)}


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def fit(corpus: Corpus, without: int | None = None) -> dict[str, Any]:
    """The weights learned from everything, or from everything but one fold: `base`, `vader`, `terms`, `unit` and
    `exponent` of a model's file."""
    said = corpus.recipe.said
    parts = [part.without(without) for part in corpus.parts]
    counted = [row for part in parts for row in part.rows]
    columns = vocabulary(counted, said["least rows"], corpus.recipe.masked)
    space = Space(columns, Vectors.shipped(), said["vectors"])
    rows, ratings, weights = [], [], []
    for part in parts:
        rows.append(space.matrix(part.rows, np.full(len(part.rows), float(part.customers))))
        ratings.append(part.ratings[:, 0])
        weights.append(part.weights)
    root = np.sqrt(np.concatenate(weights))
    matrix = (sp.diags(root) @ sp.vstack(rows)).tocsr()
    target = root * np.concatenate(ratings)
    solution = lsqr(matrix, target, damp=math.sqrt(said["ridge"]), iter_lim=_STEPS, atol=1e-8, btol=1e-8)[0]
    base, vader, terms = space.unfold(solution)
    used: Counter[str] = Counter()
    for part in parts:
        for row, weight in zip(part.rows, part.weights, strict=True):
            for term, amount in row.terms.items():
                used[term] += weight * amount * (1.0 if part.customers else _SELDOM)
    kept = _strongest(terms, used, space.vectors, corpus.recipe.masked, said["most terms"])
    unit = max(abs(weight) for weight in kept.values()) / 999
    kept |= _emoji(base, vader, float(said["exponent"]))
    whole = {term: round(weight / unit) for term, weight in sorted(kept.items())}
    return {
        "base": round(base, 5),
        "vader": {name: round(weight, 5) for name, weight in vader.items()},
        "unit": round(unit, 9),
        "exponent": said["exponent"],
        "terms": {term: weight for term, weight in whole.items() if weight},
    }


def _emoji(base: float, vader: dict[str, float], exponent: float) -> dict[str, float]:
    """Weights with which an emoji alone is rated as the project's own table says, whatever VADER makes of it: the rated
    texts have hardly any."""
    analyzer = Vader()
    weights = {}
    for line in files("worker.learning").joinpath("emoji.tsv").read_text(encoding="utf-8").splitlines():
        rating, signs = line.split("\t")
        for sign in signs.split():
            scores = analyzer.polarity_scores(sign)
            without = base + sum(weight * scores[name] for name, weight in vader.items())
            weights[sign] = (float(rating) - without) / 10**exponent
    return weights


def _strongest(
    terms: dict[str, float], used: Counter[str], vectors: Vectors, masked: frozenset[str], most: int
) -> dict[str, float]:
    """The terms that matter most: heavy ones that are often used. Words that only the vectors know are as rare as the
    vectors' order, which is by frequency, has them."""

    def matters(term: str) -> float:
        rank = vectors.at.get(term.removeprefix("~"))
        seldom = 0.0 if rank is None else (300 / (rank + 300)) * (0.15 if term[0] == "~" else 1.0)
        return abs(terms[term]) * math.sqrt(used[term] + seldom)

    fit_for = (term for term in terms if not has_masked(term, masked))
    return {term: terms[term] for term in sorted(fit_for, key=lambda term: (-matters(term), term))[:most]}


@dataclass(frozen=True)
class Judged:
    """A text with what a model that had not seen its group made of it. `rating` is None when it was `unknown`."""

    source: str
    rated: Rated
    rating: float | None
    sentences: int


def judge_unseen(corpus: Corpus, files_: dict[str, list[Rated]], say: Callable[[str], None]) -> list[Judged]:
    """Each text of the files, judged by a model learned without its fold."""
    judged = []
    for fold in range(FOLDS):
        say(f"Learning without part {fold + 1} of {FOLDS}")
        scorer = LightScorer(
            Model.parse(_content(corpus.recipe, fit(corpus, fold), (0.0, -1.0, 0.0, 0.0), 0.5, 0.5, {}))
        )
        for source, rows in files_.items():
            chosen = [row for row in rows if row.fold == fold]
            for row, found in zip(chosen, scorer.score([row.text for row in chosen]), strict=True):
                judged.append(Judged(source, row, found.rating, len(found.sentences)))
    return judged


@dataclass(frozen=True)
class Calibration:
    """From a rating to a probability, and where the lines are."""

    numbers: light.Calibration
    ticket: float
    review: float

    def chance(self, rating: float, sentences: int) -> float:
        """p_negative; see `Model`."""
        return light.calibrated(self.numbers, rating, sentences)


def calibrate(recipe: Recipe, judged: Iterable[Judged]) -> Calibration:
    """Platt scaling (Platt, J. (1999), Probabilistic Outputs for Support Vector Machines) whose slope and offset depend
    on the number of sentences; each file counts the same, and texts near the border count more. The ticket line is
    where precision on single sentences, the hardest texts, reaches the recipe's, the review line where F1 is best."""
    known = [each for each in judged if each.rating is not None]
    per_file = Counter(each.source for each in known)
    ratings = np.array([each.rating for each in known])
    features = np.array([_terms_of(each) for each in known])
    negative = np.array([each.rated.negative for each in known])
    weights = np.array([1000 / per_file[each.source] for each in known]) / (1 + 2 * ratings**2)
    found = LogisticRegression(C=1e4, tol=1e-8, max_iter=1000).fit(features, negative, sample_weight=weights)
    a = float(found.intercept_[0])
    b, c, d = map(float, found.coef_[0])
    numbers = (round(a, 4), round(b, 4), round(c + recipe.said["long texts"], 4), round(d, 4))
    rough = Calibration(numbers, 0.5, 0.5)
    chances = np.array([rough.chance(each.rating or 0.0, each.sentences) for each in known])
    single = np.array([each.source in recipe.said["customers"] for each in known])
    ticket = measure.threshold_at_precision(negative[single], chances[single], recipe.said["precision"])
    review = measure.threshold_at_best_f1(negative[single], chances[single])
    return Calibration(numbers, round(ticket, 3), round(min(review, ticket), 3))


def _terms_of(each: Judged) -> tuple[float, float, float]:
    rating, many = each.rating or 0.0, math.log(each.sentences)
    return rating, many, rating * many


def train(corpus: Corpus, say: Callable[[str], None]) -> tuple[bytes, list[Judged]]:
    """A model's file, and the texts that its calibration and figures come from; Invalid when it would be too large."""
    judged = judge_unseen(corpus, corpus.comments, say)
    calibration = calibrate(corpus.recipe, judged)
    say("Learning from everything")
    learned = fit(corpus)
    content = _content(
        corpus.recipe, learned, calibration.numbers, calibration.ticket, calibration.review, corpus.sources
    )
    if len(content) > SIZE_MOST:
        raise Invalid(f"The model would have {len(content)} bytes, more than {SIZE_MOST}; lower `most terms`.")
    return content, judged


def _content(
    recipe: Recipe,
    learned: dict[str, Any],
    numbers: tuple[float, ...],
    ticket: float,
    review: float,
    sources: dict[str, str],
) -> bytes:
    model = {
        "format": FORMAT,
        "name": recipe.said["name"],
        "version": recipe.said["version"],
        "data": {name: digest[:16] for name, digest in sources.items()},
        "calibration": numbers,
        "lines": {"ticket": ticket, "review": review},
        **learned,
    }
    # A line for each thing but the terms, which are many.
    lines = [f" {json.dumps(name)}: {_compact(value)}" for name, value in model.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
