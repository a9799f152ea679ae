"""A model's card: what it learned from, how good it is, and every strong term, to be read by people. Markdown."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worker.learning import measure
from worker.learning.data import FOLDS
from worker.learning.train import Corpus, Judged, calibrate
from worker.sentiment.light import Model

_STRONGEST = 60
_OURS = 0.9  # a word of which so great a share of its uses is in customers' texts may be a name or a product's word


def write(path: Path, content: bytes, corpus: Corpus, judged: Sequence[Judged]) -> None:
    """Write the card of the model that `content` is."""
    model, said = Model.parse(content), json.loads(content)
    lines = [
        f"# Model card: {model.name}",
        "",
        f"{len(content):,} bytes, {len(model.terms):,} terms; ticket line {model.lines.ticket}, review line "
        f"{model.lines.review}. Written by `heed triage train`; seed {corpus.recipe.seed}.",
        "",
        "## Learned from",
        "",
        "| file | texts | negative | SHA-256 |",
        "|---|---|---|---|",
        *_sources(corpus),
        "",
        "Besides: the project's own phrases and table of emoji (worker/learning), word vectors and hints. What these "
        "are, and what the model cannot do, is told in docs/triage.md.",
        "",
        "## Figures",
        "",
        f"Each text judged by what was learned without its review ({FOLDS} parts); 95 % intervals over reviews.",
        "",
        "| file | PR-AUC | precision | recall | calibration error |",
        "|---|---|---|---|---|",
        *_figures(corpus, judged),
        "",
        "## Terms",
        "",
        "`~` marks a word within a negation's reach. Points are those in a sentence of ten words.",
        "",
        "| strongest negative | | strongest positive | |",
        "|---|---|---|---|",
        *_terms(model),
        "",
        "## Words that customers' texts alone use often",
        "",
        "Names of brands and products creep in here; those that were seen are masked in recipe.json.",
        "",
        ", ".join(_own_words(model, corpus)),
        "",
        "## Calibration",
        "",
        f"a, b, c, d = {', '.join(str(each) for each in said['calibration'])}; base {said['base']}; VADER "
        f"{', '.join(f'{name} {weight}' for name, weight in said['vader'].items())}.",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _sources(corpus: Corpus) -> list[str]:
    rows, lines = corpus.comments, []
    for name, digest in corpus.sources.items():
        if name == "verdicts":
            continue
        rated = rows.get(name)
        texts = f"{len(rated):,} | {np.mean([row.negative for row in rated]):.0%}" if rated else "see there | "
        lines.append(f"| {name} | {texts} | {digest[:16]} |")
    own = len(corpus.customers) - sum(len(rows[name]) for name in corpus.recipe.said["customers"])
    return [*lines, *([f"| verdicts, until answer {corpus.sources['verdicts']} | {own:,} | | |"] if own else [])]


def _figures(corpus: Corpus, judged: Sequence[Judged]) -> list[str]:
    by_fold = [calibrate(corpus.recipe, [each for each in judged if each.rated.fold != fold]) for fold in range(FOLDS)]
    lines = []
    for source in corpus.comments:
        found = [each for each in judged if each.source == source]
        calibrations = [by_fold[each.rated.fold] for each in found]
        negative = np.array([each.rated.negative for each in found])
        chances = np.array(
            [
                0.0 if each.rating is None else by.chance(each.rating, each.sentences)
                for each, by in zip(found, calibrations, strict=True)
            ]
        )
        chosen = chances >= np.array([by.ticket for by in calibrations])
        groups = np.array([each.rated.group for each in found])

        def auc(at: np.ndarray, negative: np.ndarray = negative, chances: np.ndarray = chances) -> float:
            return measure.pr_auc(negative[at], chances[at])

        low, high = measure.interval(groups, auc, corpus.recipe.seed)
        precision, recall = measure.precision_recall(negative, chosen)
        lines.append(
            f"| {source} | {measure.pr_auc(negative, chances):.3f} ({low:.2f} to {high:.2f}) | {precision:.2f} | "
            f"{recall:.2f} | {measure.calibration_error(negative, chances):.3f} |"
        )
    return lines


def _terms(model: Model) -> list[str]:
    words = [term for term in model.terms if any(map(str.isalnum, term))]  # the emoji are the project's own table
    ordered = sorted(words, key=lambda term: (model.terms[term], term))
    lines = []
    for low, high in zip(ordered[:_STRONGEST], ordered[::-1][:_STRONGEST], strict=False):
        cells = (low, model.terms[low] * model.unit, high, model.terms[high] * model.unit)
        lines.append(f"| {cells[0]} | {cells[1]:+.2f} | {cells[2]} | {cells[3]:+.2f} |")
    return lines


def _own_words(model: Model, corpus: Corpus) -> list[str]:
    customers, others = corpus.parts[0], corpus.parts[1]
    ours = Counter(term for row in customers.rows for term in row.terms)
    theirs = Counter(term for row in others.rows for term in row.terms)
    scale = len(others.rows) / max(len(customers.rows), 1)
    found = [
        word
        for word, count in ours.most_common()
        if " " not in word and word[0].isalpha() and count >= 8 and word in model.terms
        if count * scale / (count * scale + theirs[word]) >= _OURS
    ]
    return found[:120]
