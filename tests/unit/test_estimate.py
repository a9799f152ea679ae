"""The estimates of triage's precision and recall: against published intervals, integrals, and simulated truth."""

import random
from math import exp, lgamma, log

import pytest

from api.results import estimate
from api.results.estimate import LEAST, precision, recall, wilson
from api.results.models import Drawn, Estimate
from heed.contracts import Decision


def sample(*strata: tuple[int, int, int]) -> dict[Decision, Drawn]:
    """Ticket, review, nothing: (drawn, judged, needed)."""
    return {
        decision: Drawn(drawn=drawn, judged=judged, needed=needed)
        for decision, (drawn, judged, needed) in zip(Decision, strata, strict=True)
    }


# Newcombe, R.G. (1998), Two-sided confidence intervals for the single proportion, Statistics in Medicine 17, table I.
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(of - hits, of) == (pytest.approx(1 - high, abs=5e-5), pytest.approx(1 - low, abs=5e-5))


def test_too_few_verdicts_are_no_number() -> None:
    few = sample((40, LEAST - 3, 10), (5, 2, 1), (900, 4, 0))
    assert precision(few) == Estimate(missing=3)
    assert recall(few) == Estimate(missing=3 + 3 + LEAST - 4)
    assert precision(sample((0, 0, 0), (0, 0, 0), (0, 0, 0))).missing == LEAST


def test_nobody_needed_a_person() -> None:
    none = sample((30, 30, 0), (0, 0, 0), (500, 100, 0))
    assert recall(none) == Estimate()
    assert precision(none).value == 0


def test_recall_weighs_the_strata() -> None:
    # 90 of 100 drawn tickets needed, 30 of 60 reviews, and 2 of the 50 judged of 1,000: 40 missed.
    found = recall(sample((100, 50, 45), (60, 40, 20), (1000, 50, 2)))
    assert found.value == pytest.approx(120 / 160)
    assert found.low is not None
    assert found.high is not None
    assert 0.35 < found.low < 0.55
    assert 0.9 < found.high < 0.97
    again = recall(sample((100, 50, 45), (60, 40, 20), (1000, 50, 2)))
    estimate._middle.cache_clear()
    assert recall(sample((100, 50, 45), (60, 40, 20), (1000, 50, 2))) == again == found


def test_the_interval_holds_the_estimate_at_the_ends() -> None:
    everything = recall(sample((100, 100, 90), (0, 0, 0), (1000, 500, 0)))
    assert (everything.value, everything.high) == (1, 1)
    assert everything.low is not None
    assert everything.low < 0.99
    assert recall(sample((20, 20, 0), (0, 0, 0), (1000, 500, 50))).low == 0


def test_recall_is_a_beta_when_all_are_judged() -> None:
    """With every drawn answer judged the posterior has a closed form: Beta(found + 1, missed + 0.5)."""
    found = recall(sample((60, 60, 48), (30, 30, 12), (900, 900, 20)))
    assert found.low is not None
    assert found.high is not None
    assert beta_cdf(found.low, 61, 20.5) == pytest.approx(0.025, abs=0.01)
    assert beta_cdf(found.high, 61, 20.5) == pytest.approx(0.975, abs=0.01)


def beta_cdf(x: float, a: float, b: float, steps: int = 20_000) -> float:
    scale = lgamma(a + b) - lgamma(a) - lgamma(b)
    points = ((step + 0.5) / steps * x for step in range(steps))
    return sum(exp(scale + (a - 1) * log(p) + (b - 1) * log(1 - p)) for p in points) * x / steps


# Of 100 answers so many are tickets, reviews, nothing; of each so many need a person; so many are drawn, and judged.
@pytest.mark.parametrize(
    ("sizes", "needs", "drawn", "judged"),
    [
        ((0.12, 0.06, 0.82), (0.8, 0.45, 0.03), 1000, 0.6),
        ((0.30, 0.10, 0.60), (0.9, 0.5, 0.1), 250, 1.0),
        ((0.15, 0.05, 0.80), (0.75, 0.4, 0.005), 1500, 0.7),
    ],
)
def test_intervals_cover_the_truth(
    sizes: tuple[float, ...], needs: tuple[float, ...], drawn: int, judged: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "DRAWS", 800)
    chance = random.Random(7)
    found, missed = sizes[0] * needs[0] + sizes[1] * needs[1], sizes[2] * needs[2]
    truth = found / (found + missed)
    runs = 400
    covered = {"precision": 0, "recall": 0}
    for _ in range(runs):
        strata = [[0, 0, 0] for _ in Decision]
        for place in chance.choices(range(3), sizes, k=drawn):
            is_judged = chance.random() < judged
            strata[place][0] += 1
            strata[place][1] += is_judged
            strata[place][2] += is_judged and chance.random() < needs[place]
        drawn_now = sample(*((a, b, c) for a, b, c in strata))
        for name, figure, true in (
            ("precision", precision(drawn_now), needs[0]),
            ("recall", recall(drawn_now), truth),
        ):
            assert figure.low is not None, drawn_now
            assert figure.high is not None
            covered[name] += figure.low <= true <= figure.high
    # 95 % of 400 runs, within three standard deviations of chance; a little too wide is honest, too narrow is not.
    assert all(0.917 <= count / runs <= 0.99 for count in covered.values()), covered
