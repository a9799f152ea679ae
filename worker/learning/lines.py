"""From verdicts to lines: how good triage's two lines are, and where they should be. Pure, but for a fixed seed.

Guarantees: no number from too few verdicts, but a sentence about how many of which kind are missing; the same verdicts
give the same numbers.

What is estimated: of all answers where the words alone decide, which share at or above a line needs a person
(precision), and which share of those that need one is at or above it (recall, and F1 of both).

How: verdicts are no fair sample of the answers. Used are those on answers drawn by lot, which stand for all answers
with the same decision, and those on reviews, all of which are asked about and stand for all reviews: each verdict
weighs as many answers as its decision has, divided by the decision's verdicts (stratified sampling; Cochran, W.G.
(1977), Sampling Techniques, 3rd ed., chapter 5). That is right when people take the queue as it comes. Verdicts on
anything else, from whoever complained, are not used, and agents' never: they tell false alarms alone.

The lines: needing a person is fitted as a logistic function of the log-odds of p_negative (Platt, J. (1999)), weakly
drawn to what the model says of itself, since the best cut through some hundred verdicts would mostly follow chance.
With it every answer is counted by its chance: the ticket line is the lowest with a precision of 0.8, the review line
the one with the best F1. The figures at a line do not rest on that fit, only on the weighed verdicts.

The intervals are the middle 95 % over customers drawn anew, decision by decision (a customer answers a survey once):
the Bayesian bootstrap (Rubin, D.B. (1981), Annals of Statistics 9), with half a yes and half a no more for each
decision, as in Jeffreys' prior, so that twenty verdicts that all agree do not look like certainty. The lines are found
anew each time; how large the decisions are is known.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from heed.contracts import Decision
from heed.errors import HeedError
from heed.triage import Lines

PRECISION = 0.8
LEAST = 20  # verdicts of each decision
LEAST_OF_EACH = 10  # that say yes, and that say no
ROUNDS = 400
STEPS = 1_000  # a line has three digits
_SEED = 1981
_KINDS = {Decision.TICKET: "tickets drawn by lot", Decision.REVIEW: "reviews", Decision.NOTHING: "others drawn by lot"}


class Judged(NamedTuple):
    """An answer with a verdict that may be used. `chances` are its p_negative by each of the scorers compared."""

    decision: Decision
    needs_person: bool
    chances: tuple[float, ...]


class Figure(NamedTuple):
    """A number with its 95 % interval; None and 0 to 1 where nothing can be said."""

    value: float | None
    low: float
    high: float


@dataclass
class Evidence:
    """What the estimate rests on: how many answers each decision has, their chances in STEPS, and the verdicts."""

    sizes: Counter[Decision] = field(default_factory=Counter)
    chances: np.ndarray = field(default_factory=lambda: np.zeros(STEPS + 1))
    judged: list[Judged] = field(default_factory=list)

    def add(self, decision: Decision, chance: float) -> None:
        """Count an answer, by the present scorer's chance."""
        self.sizes[decision] += 1
        self.chances[int(chance * STEPS)] += 1

    def missing(self) -> str:
        """The verdicts that are missing, in words; empty when there are enough."""
        have = Counter(each.decision for each in self.judged)
        said = Counter(each.needs_person for each in self.judged)
        short = {kind: min(LEAST, self.sizes[decision]) - have[decision] for decision, kind in _KINDS.items()}
        short["that a person is needed"] = LEAST_OF_EACH - said[True]
        short["that nobody is needed"] = LEAST_OF_EACH - said[False]
        return ", ".join(f"{number} {_about(kind)}" for kind, number in short.items() if number > 0)


def _about(kind: str) -> str:
    return kind if kind.startswith("that") else f"on {kind}"


class _Sample(NamedTuple):
    """Verdicts with what each stands for."""

    needed: np.ndarray
    chances: np.ndarray  # a column for each scorer
    weights: np.ndarray


class Estimate:
    """The verdicts once as they are, and ROUNDS times drawn anew; HeedError when they are too few."""

    def __init__(self, evidence: Evidence) -> None:
        if missing := evidence.missing():
            raise HeedError(
                f"Too few verdicts for a proposal that is more than chance; missing are {missing}. "
                "Judge what waits in the review queue, or look further back with --days."
            )
        self._evidence = evidence
        self._verdicts: list[tuple[int, np.ndarray, np.ndarray]] = []
        for decision, size in sorted(evidence.sizes.items()):
            of_it = [each for each in evidence.judged if each.decision is decision]
            needed, chances = (
                np.array([each.needs_person for each in of_it]),
                np.array([each.chances for each in of_it]),
            )
            self._verdicts.append((size, needed, chances))
        self._as_is = _joined(
            _Sample(needed, chances, np.full(len(needed), size / len(needed)))
            for size, needed, chances in self._verdicts
        )

    def lines(self) -> tuple[Lines, Figure, Figure]:
        """The lines to propose for the first scorer, and each with its interval; HeedError when there are none."""
        found = self._lines(self._as_is)
        if found is None:
            raise HeedError(
                f"By these verdicts there is no line from which on {PRECISION:.0%} of the tickets need a person: a "
                "model that knows these customers is needed (`heed triage train --verdicts`)."
            )
        never = Lines(1.0, 1.0)
        drawn = np.array([(each.ticket, each.review) for each in (self._lines(s) or never for s in self._drawn())])
        return found, _figure(found.ticket, drawn[:, 0]), _figure(found.review, drawn[:, 1])

    def figures(self, sides: Sequence[tuple[int, float]]) -> list[dict[str, Figure]]:
        """Precision, recall and F1 of each side (a scorer's number, a line), then the second's less the first's."""

        def all_of(sample: _Sample) -> np.ndarray:
            each = [_figures(sample.needed, sample.chances[:, at] >= line, sample.weights) for at, line in sides]
            return np.array([*each, each[1] - each[0]])

        value, drawn = all_of(self._as_is), np.array([all_of(sample) for sample in self._drawn()])
        names = "precision", "recall", "f1"
        return [
            {name: _figure(row[at], drawn[:, number, at]) for at, name in enumerate(names)}
            for number, row in enumerate(value)
        ]

    def _drawn(self) -> Iterator[_Sample]:
        random = np.random.default_rng(_SEED)
        for _ in range(ROUNDS):
            yield _joined(_again(random, *each) for each in self._verdicts)

    def _lines(self, sample: _Sample) -> Lines | None:
        curve = fit(sample.chances[:, 0], sample.needed, sample.weights)
        counts = self._evidence.chances
        needed = counts * curve((np.arange(STEPS + 1) + 0.5) / STEPS)
        # From each step on; a line of 0 would be none.
        answers, hits = counts[::-1].cumsum()[::-1][1:], needed[::-1].cumsum()[::-1][1:]
        fit_for = np.flatnonzero((answers > 0) & (hits >= PRECISION * answers))
        if not len(fit_for):
            return None
        best = int(np.argmax(2 * hits / (answers + needed.sum())))
        ticket = (int(fit_for[0]) + 1) / STEPS
        return Lines(ticket, min((best + 1) / STEPS, ticket))


def fit(chances: np.ndarray, needed: np.ndarray, weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The chance that a person is needed, by p_negative.

    Newton's method; a normal prior of spread 1 around what p_negative itself says, so that it always ends.
    """
    odds = _log_odds(chances)
    weights = weights * (weights.sum() / (weights**2).sum())  # as many as so unequal verdicts are worth
    offset, slope = 0.0, 1.0
    for _ in range(50):
        said = 1 / (1 + np.exp(-(offset + slope * odds)))
        rest, bend = weights * (needed - said), weights * said * (1 - said)
        gradient = rest.sum() - offset, rest @ odds - (slope - 1)
        mixed = bend @ odds
        step = np.linalg.solve([[bend.sum() + 1, mixed], [mixed, bend @ odds**2 + 1]], gradient).clip(-1, 1)
        offset, slope = offset + step[0], slope + step[1]
        if abs(step).max() < 1e-8:
            break
    return lambda each: 1 / (1 + np.exp(-(offset + slope * _log_odds(each))))


def _log_odds(chances: np.ndarray) -> np.ndarray:
    inside: np.ndarray = chances.clip(0.001, 0.999)
    odds: np.ndarray = np.log(inside / (1 - inside))
    return odds


def _again(random: np.random.Generator, size: int, needed: np.ndarray, chances: np.ndarray) -> _Sample:
    """A decision's verdicts, each weighing something else, and half a yes and half a no at the places of any two."""
    places = np.concatenate([np.arange(len(needed)), random.choice(len(needed), 2)])
    weights = random.gamma(np.concatenate([np.ones(len(needed)), [0.5, 0.5]]))
    return _Sample(np.concatenate([needed, [True, False]]), chances[places], size * weights / weights.sum())


def _joined(samples: Iterator[_Sample]) -> _Sample:
    needed, chances, weights = zip(*samples, strict=True)
    return _Sample(np.concatenate(needed), np.concatenate(chances), np.concatenate(weights))


def _figures(needed: np.ndarray, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    hits, chosen, all_needed = weights @ (needed & said), weights @ said, weights @ needed
    whole = np.array([chosen, all_needed, (chosen + all_needed) / 2])
    shares: np.ndarray = np.divide(hits, whole, out=np.full(3, np.nan), where=whole > 0)
    return shares


def _figure(value: float, drawn: np.ndarray) -> Figure:
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return Figure(None, 0.0, 1.0)
    low, high = np.percentile(drawn, [2.5, 97.5])
    # The half yes and no may leave the very end out; the interval never leaves out the estimate.
    return Figure(float(value), min(float(low), float(value)), max(float(high), float(value)))
