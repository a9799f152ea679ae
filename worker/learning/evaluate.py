"""Measuring scorers side by side on rated texts, file by file.

Guarantees: where a file's texts are among those that the shipped model learned from, `light` is what the same recipe
learns without the group of each text (cross-validation), never the model that has seen them.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from worker.learning import measure
from worker.learning.data import FOLDS, Rated
from worker.sentiment import Scorer

TIMED = 3  # a rate is the best of so many runs


@dataclass(frozen=True)
class Figures:
    """One scorer on one file. Rates are per second on one core; `ece` the expected calibration error; the intervals
    are 95 %, over groups. `unknown` is the share of texts that the scorer would not judge; they count as not negative.
    """

    file: str
    scorer: str
    texts: int
    negative: int
    unknown: float
    pr_auc: float
    pr_auc_interval: tuple[float, float]
    precision: float
    recall: float
    recall_interval: tuple[float, float]
    f1: float
    recall_at_80: float
    ece: float
    ticket_line: float
    texts_per_second: float | None
    curve: list[tuple[float, float]]
    reliability: list[tuple[float, float, float]]

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Said:
    """What a scorer said of a file's texts: chances (0 where it did not judge), and the line of each."""

    chances: np.ndarray
    lines: np.ndarray
    unknown: np.ndarray
    rate: float | None

    def at_rate(self, rate: float | None) -> "Said":
        """The same, said at that rate."""
        return replace(self, rate=rate)


def figures(file: str, scorer: str, rows: Sequence[Rated], said: Said, seed: int) -> Figures:
    """The figures of what was said."""
    negative = np.array([row.negative for row in rows])
    groups = np.array([row.group for row in rows])
    chosen = said.chances >= said.lines
    precision, recall = measure.precision_recall(negative, chosen)

    def auc(at: np.ndarray) -> float:
        return measure.pr_auc(negative[at], said.chances[at]) if negative[at].any() else float("nan")

    def found(at: np.ndarray) -> float:
        return measure.precision_recall(negative[at], chosen[at])[1]

    steps = np.unique(np.quantile(said.chances, np.linspace(0, 1, 101)))
    return Figures(
        file=file,
        scorer=scorer,
        texts=len(rows),
        negative=int(negative.sum()),
        unknown=float(said.unknown.mean()),
        pr_auc=measure.pr_auc(negative, said.chances),
        pr_auc_interval=measure.interval(groups, auc, seed),
        precision=precision,
        recall=recall,
        recall_interval=measure.interval(groups, found, seed),
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        recall_at_80=measure.recall_at_precision(negative, said.chances, 0.8),
        ece=measure.calibration_error(negative, said.chances),
        ticket_line=float(np.median(said.lines)),
        texts_per_second=said.rate,
        curve=[measure.precision_recall(negative, said.chances >= step) for step in steps],
        reliability=measure.reliability(negative, said.chances),
    )


def by_scorer(scorer: Scorer, rows: Sequence[Rated]) -> Said:
    """What a scorer that has not seen the texts says, and how fast."""
    texts = [row.text for row in rows]
    best = 0.0
    for _ in range(TIMED):
        started = time.perf_counter()
        found = scorer.score(texts)
        best = max(best, len(texts) / (time.perf_counter() - started))
    chances = np.array([each.p_negative or 0.0 for each in found])
    unknown = np.array([each.p_negative is None for each in found])
    return Said(chances, np.full(len(rows), scorer.lines.ticket), unknown, best)


def unseen(folder: Path, files: dict[str, list[Rated]], say: Callable[[str], None]) -> dict[str, Said]:
    """What the shipped recipe says of texts that it learns from, each judged, calibrated and cut by what was learned
    without its group."""
    from worker.learning import train as training

    recipe = training.Recipe.shipped()
    corpus = training.Corpus.load(recipe, folder)
    judged = training.judge_unseen(corpus, corpus.comments | files, say)
    to_calibrate = [each for each in judged if each.source in corpus.comments]
    calibrations = [
        training.calibrate(recipe, [each for each in to_calibrate if each.rated.fold != fold]) for fold in range(FOLDS)
    ]
    by_row = {id(each.rated): each for each in judged}
    said = {}
    for name, rows in files.items():
        found = [(by_row[id(row)], calibrations[row.fold]) for row in rows]
        chances = [0.0 if each.rating is None else by.chance(each.rating, each.sentences) for each, by in found]
        lines = [by.ticket for _, by in found]
        unknown = [each.rating is None for each, _ in found]
        said[name] = Said(np.array(chances), np.array(lines), np.array(unknown), None)
    return said


def has_seen(model: Traversable, file: Path) -> bool:
    """Whether a model has learned from that very file, whatever it is called now."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return digest in json.loads(model.read_bytes()).get("data", {}).values()


def learned_from(file: Path, names: Sequence[str]) -> bool:
    """Whether a file is one of those that the recipe learns from, with all of the others beside it."""
    return file.name in names and all((file.parent / each).is_file() for each in names)
