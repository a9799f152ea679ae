"""Texts as rows of a sparse matrix, in the very terms of `LightScorer`: what is learned is what is scored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import scipy.sparse as sp

from worker.sentiment import text
from worker.sentiment.light import VADER
from worker.sentiment.vader import Vader

# So that the ridge's penalty bears on few terms rather than on these.
_LIGHTLY = 3.0


@dataclass(frozen=True, slots=True)
class Read:
    """A text as `LightScorer` reads it: its terms weighed, and VADER's scores, each the mean over its sentences."""

    terms: dict[str, float]
    vader: tuple[float, ...]


def read(texts: Iterable[str], exponent: float) -> list[Read]:
    """Each text, read."""
    vader = Vader()
    return [_read(each, vader, exponent) for each in texts]


def _read(comment: str, vader: Vader, exponent: float) -> Read:
    clean, _ = text.composed(text.readable(comment))
    weighed: Counter[str] = Counter()
    scores = np.zeros(len(VADER))
    kept = 0
    for start, end in text.sentences(clean):
        piece = clean[start:end]
        terms, _, words = text.terms(text.tokens(piece))
        own = vader.polarity_scores(piece)
        if not words and not own["compound"]:
            continue
        kept += 1
        scores += [own[name] for name in VADER]
        weight = (10 / max(words, 1)) ** exponent
        for term in terms:
            weighed[term] += weight
    many = max(kept, 1)
    return Read({term: weight / many for term, weight in weighed.items()}, tuple(scores / many))


class Vectors:
    """Word vectors, so that words which the rated texts never use get weights from words that they resemble."""

    def __init__(self, words: Sequence[str], values: np.ndarray) -> None:
        self.words, self.values = list(words), values
        self.at = {word: at for at, word in enumerate(self.words)}

    @classmethod
    @cache
    def shipped(cls) -> "Vectors":
        """The vectors beside this module; where they come from: docs/triage.md."""
        with files("worker.learning").joinpath("vectors.npz").open("rb") as file:
            stored = np.load(file)
            words = bytes(stored["words"]).decode().split("\n")
            return cls(words, stored["values"].astype(np.float32) * float(stored["unit"]))


@dataclass(frozen=True)
class Space:
    """The columns of the matrix: terms, VADER's scores and one, each for all texts and once more for customers' texts
    alone (so that what holds everywhere and what only customers mean by a word are told apart; Daumé III, H. (2007),
    Frustratingly Easy Domain Adaptation, ACL); and the vectors' dimensions, for words and negated words, twice too.
    """

    terms: dict[str, int]
    vectors: Vectors
    vector_scale: float

    def matrix(self, rows: Sequence[Read], customers: np.ndarray) -> sp.csr_matrix:
        """The rows; `customers` is 1 for a customer's text, else 0."""
        indices: list[int] = []
        data: list[float] = []
        ends = [0]
        dense = np.zeros((len(rows), 2 * self.vectors.values.shape[1]), dtype=np.float32)
        size = self.vectors.values.shape[1]
        for number, row in enumerate(rows):
            for term, weight in row.terms.items():
                column = self.terms.get(term)
                if column is not None:
                    indices.append(column)
                    data.append(weight)
                at = self.vectors.at.get(term.removeprefix("~"))
                if at is not None:
                    dense[number, :size] += weight * self.vectors.values[at]
                    if term[0] == "~":
                        dense[number, size:] += weight * self.vectors.values[at]
            ends.append(len(indices))
        sparse = sp.csr_matrix((data, indices, ends), shape=(len(rows), len(self.terms)))
        constant = np.full((len(rows), 1), _LIGHTLY)
        lightly = sp.csr_matrix(np.hstack([np.array([row.vader for row in rows]) * _LIGHTLY, constant]))
        every = sp.hstack([sparse, lightly, sp.csr_matrix(dense * self.vector_scale)])
        return sp.hstack([every, sp.diags(customers) @ every]).tocsr()

    def unfold(self, solution: np.ndarray) -> tuple[float, dict[str, float], dict[str, float]]:
        """The base, VADER's weights and every term's weight for customers' texts, from the columns' solution."""
        both = solution.reshape(2, -1).sum(axis=0)
        own, lightly, shared = np.split(both, [len(self.terms), len(self.terms) + len(VADER) + 1])
        word, negated = np.split(shared * self.vector_scale, 2)
        weights = {term: float(own[at]) for term, at in self.terms.items()}
        plain, marked = self.vectors.values @ word, self.vectors.values @ (word + negated)
        for at, name in enumerate(self.vectors.words):
            weights[name] = weights.get(name, 0.0) + float(plain[at])
            weights[f"~{name}"] = weights.get(f"~{name}", 0.0) + float(marked[at])
        *vader, base = (lightly * _LIGHTLY).tolist()
        return base, dict(zip(VADER, vader, strict=True)), weights


def vocabulary(rows: Iterable[Read], least: int, masked: frozenset[str]) -> dict[str, int]:
    """A column for each term in at least so many rows that holds no masked word, in alphabetical order."""
    counts = Counter(term for row in rows for term in row.terms)
    return {
        term: at
        for at, term in enumerate(sorted(t for t, n in counts.items() if n >= least and not has_masked(t, masked)))
    }


def has_masked(term: str, masked: frozenset[str]) -> bool:
    """Whether one of the term's words is masked."""
    return any(word.removeprefix("~") in masked for word in term.split(" "))
