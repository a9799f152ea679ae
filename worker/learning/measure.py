"""Figures of a scorer on rated texts. Pure functions of what is true and what was said."""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve


def pr_auc(negative: np.ndarray, chances: np.ndarray) -> float:
    """Average precision: the area under the precision-recall curve, in steps."""
    return float(average_precision_score(negative, chances))


def recall_at_precision(negative: np.ndarray, chances: np.ndarray, precision: float) -> float:
    """The highest recall at which precision is still at least this; 0 when it never is."""
    precisions, recalls, _ = precision_recall_curve(negative, chances)
    fit = recalls[precisions >= precision]
    return float(fit.max()) if len(fit) else 0.0


def threshold_at_precision(negative: np.ndarray, chances: np.ndarray, precision: float) -> float:
    """The lowest threshold from which on precision is at least this; 1 when it never is."""
    precisions, _, thresholds = precision_recall_curve(negative, chances)
    fit = thresholds[precisions[:-1] >= precision]
    return float(fit.min()) if len(fit) else 1.0


def threshold_at_best_f1(negative: np.ndarray, chances: np.ndarray) -> float:
    """The threshold with the highest F1."""
    precisions, recalls, thresholds = precision_recall_curve(negative, chances)
    f1 = 2 * precisions * recalls / np.maximum(precisions + recalls, 1e-12)
    return float(thresholds[int(np.argmax(f1[:-1]))])


def precision_recall(negative: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """Precision and recall of what was said to be negative; precision is 1 when nothing was."""
    hits = float((negative & said).sum())
    return (hits / said.sum() if said.any() else 1.0), (hits / negative.sum() if negative.any() else 1.0)


def calibration_error(negative: np.ndarray, chances: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over equally wide bins: Naeini, M.P., Cooper, G.F. & Hauskrecht, M. (2015), Obtaining
    Well Calibrated Probabilities Using Bayesian Binning, AAAI."""
    return sum(share * abs(said - true) for said, true, share in reliability(negative, chances, bins))


def reliability(negative: np.ndarray, chances: np.ndarray, bins: int = 10) -> list[tuple[float, float, float]]:
    """For each bin that has texts: the mean probability said, the share that is negative, the share of all texts."""
    which = np.minimum((chances * bins).astype(int), bins - 1)
    found = []
    for each in range(bins):
        inside = which == each
        if inside.any():
            found.append((float(chances[inside].mean()), float(negative[inside].mean()), float(inside.mean())))
    return found


def interval(groups: np.ndarray, figure: object, seed: int, rounds: int = 400) -> tuple[float, float]:
    """The 95 % interval of `figure(rows)` when whole groups are drawn anew (bootstrap; Efron, B. (1979))."""
    assert callable(figure)
    random = np.random.default_rng(seed)
    names = np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    values = [
        figure(np.concatenate([members[name] for name in random.choice(names, len(names))])) for _ in range(rounds)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
