"""The figures as diagrams: precision against recall, and what was said against what is true. SVG and PNG."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from worker.learning.evaluate import Figures

mpl.rcParams["svg.hashsalt"] = "heed"  # the same diagram is the same file
_COLORS = ("#5f6b7a", "#0b6e63", "#b4532a", "#5b4bb0")
_MARKS = ("--", "-", "-.", ":")  # not by colour alone


def draw(found: Sequence[Figures], folder: Path) -> None:
    """Write precision-recall and reliability for each file into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in dict.fromkeys(each.file for each in found):
        shown = [each for each in found if each.file == file]
        stem = Path(file).stem
        _save(_precision_recall(file, shown), folder / f"{stem}-precision-recall")
        _save(_reliability(file, shown), folder / f"{stem}-reliability")


def _precision_recall(file: str, shown: Sequence[Figures]) -> Figure:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for each, color, mark in zip(shown, _COLORS, _MARKS, strict=False):
        points = sorted((recall, precision) for precision, recall in each.curve if recall)
        axes.plot(*zip(*points, strict=True), mark, color=color, label=f"{each.scorer} (PR-AUC {each.pr_auc:.2f})")
        axes.plot(each.recall, each.precision, "o", color=color)
    axes.axhline(0.8, color="#c8ced6", linewidth=1)
    axes.set(
        xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=f"{file}: the dot is the ticket line"
    )
    axes.legend(loc="lower left")
    return figure


def _reliability(file: str, shown: Sequence[Figures]) -> Figure:
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#c8ced6", linewidth=1)
    for each, color, mark in zip(shown, _COLORS, _MARKS, strict=False):
        said, true, _ = zip(*each.reliability, strict=True)
        axes.plot(said, true, mark, marker="o", color=color, label=f"{each.scorer} (error {each.ece:.3f})")
    axes.set(xlabel="probability said", ylabel="share that is negative", xlim=(0, 1), ylim=(0, 1), title=file)
    axes.legend(loc="upper left")
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})
