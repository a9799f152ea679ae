"""Lines from verdicts: near the true ones, with intervals that cover them; nothing from too few."""

import numpy as np
import pytest

from heed.contracts import Decision
from heed.errors import HeedError
from heed.triage import Lines
from worker.learning import lines
from worker.learning.lines import Estimate, Evidence, Judged
from worker.learning.suggest import decided

NOW = Lines(0.65, 0.4)


def truth(chances: np.ndarray, offset: float, slope: float) -> np.ndarray:
    """The chance that a person is needed, in a deployment whose customers are not those the model learned from."""
    needed: np.ndarray = 1 / (1 + np.exp(-(offset + slope * np.log(chances / (1 - chances)))))
    return needed


def deployment(random: np.random.Generator, offset: float, slope: float) -> tuple[Evidence, dict[str, float]]:
    """Verdicts on 8 of 100 answers and 8 of 10 reviews of a deployment, and what is true of it."""
    chances = random.beta(0.5, 1.2, 4000).clip(0.002, 0.998)
    needed = truth(chances, offset, slope)
    evidence = Evidence()
    for chance, share in zip(chances, needed, strict=True):
        decision = decided(chance, NOW)
        evidence.add(decision, chance)
        if random.random() < 0.08 or (decision is Decision.REVIEW and random.random() < 0.8):
            evidence.judged.append(Judged(decision, random.random() < share, (chance,)))
    order = np.argsort(-chances)
    hits, many = needed[order].cumsum(), np.arange(1, 4001)
    ticket = chances[order][np.flatnonzero(hits >= 0.8 * many).max()]
    review = chances[order][np.argmax(2 * hits / (many + hits[-1]))]
    selected = chances >= NOW.ticket
    figures = {"precision": needed[selected].mean(), "recall": needed[selected].sum() / needed.sum()}
    return evidence, {"ticket": ticket, "review": min(review, ticket), **figures}


@pytest.mark.parametrize(("offset", "slope"), [(0.0, 1.0), (0.8, 1.2), (-0.6, 0.8)])
def test_intervals_cover_the_truth(monkeypatch: pytest.MonkeyPatch, offset: float, slope: float) -> None:
    monkeypatch.setattr(lines, "ROUNDS", 100)
    random = np.random.default_rng(7)
    covered = dict.fromkeys(("ticket", "review", "precision", "recall"), 0)
    rest = []
    for _ in range(50):
        evidence, true = deployment(random, offset, slope)
        estimate = Estimate(evidence)
        found, ticket, review = estimate.lines()
        said = {"ticket": ticket, "review": review, **estimate.figures([(0, NOW.ticket), (0, found.ticket)])[0]}
        for name in covered:
            covered[name] += said[name].low <= true[name] <= said[name].high
        rest.append((found.ticket - true["ticket"], found.review - true["review"]))
    assert min(covered.values()) >= 43, covered
    assert np.abs(np.mean(rest, axis=0)).max() < 0.04
    assert np.std(rest, axis=0).max() < 0.12


def test_the_same_verdicts_give_the_same_numbers() -> None:
    evidence, _ = deployment(np.random.default_rng(1), 0.0, 1.0)
    assert Estimate(evidence).lines() == Estimate(evidence).lines()


def judged(decision: Decision, yes: int, no: int, chance: float, answers: int) -> Evidence:
    evidence = Evidence()
    for _ in range(answers):
        evidence.add(decision, chance)
    evidence.judged += [Judged(decision, at < yes, (chance,)) for at in range(yes + no)]
    return evidence


def together(*parts: Evidence) -> Evidence:
    whole = Evidence()
    for part in parts:
        whole.sizes += part.sizes
        whole.chances += part.chances
        whole.judged += part.judged
    return whole


def test_what_stands_for_many_weighs_as_much() -> None:
    tickets = judged(Decision.TICKET, 20, 5, 0.9, 100)
    reviews = judged(Decision.REVIEW, 30, 30, 0.5, 60)
    others = judged(Decision.NOTHING, 1, 19, 0.1, 1000)
    ticket, review, difference = Estimate(together(tickets, reviews, others)).figures([(0, 0.65), (0, 0.4)])
    assert ticket["precision"].value == pytest.approx(0.8)
    assert ticket["recall"].value == pytest.approx(80 / (80 + 30 + 50))
    assert review["precision"].value == pytest.approx(110 / 160)
    assert review["recall"].value == pytest.approx(110 / 160)
    assert difference["recall"].value == pytest.approx(30 / 160)


def test_twenty_that_agree_are_no_certainty() -> None:
    tickets = judged(Decision.TICKET, 20, 0, 0.9, 1000)
    others = judged(Decision.NOTHING, 0, 20, 0.1, 1000)
    [found, *_] = Estimate(together(tickets, others)).figures([(0, 0.65), (0, 0.4)])
    assert found["precision"].value == 1
    assert 0.75 < found["precision"].low < 0.95
    assert 0.75 < found["recall"].low < 0.95


def test_too_few_verdicts_are_counted_kind_by_kind() -> None:
    tickets = judged(Decision.TICKET, 3, 5, 0.9, 100)
    reviews = judged(Decision.REVIEW, 2, 3, 0.5, 7)
    others = judged(Decision.NOTHING, 1, 40, 0.1, 500)
    with pytest.raises(HeedError) as error:
        Estimate(together(tickets, reviews, others))
    assert (
        "missing are 12 on tickets drawn by lot, 2 on reviews, 4 that a person is needed. Judge what waits in the "
        "review queue, or look further back with --days." in str(error.value)
    )
    with pytest.raises(HeedError, match="10 that a person is needed, 10 that nobody is needed"):
        Estimate(Evidence())


def test_scores_that_say_nothing_are_no_ground_for_a_line() -> None:
    tickets = judged(Decision.TICKET, 2, 58, 0.9, 100)
    others = judged(Decision.NOTHING, 30, 30, 0.1, 500)
    with pytest.raises(HeedError, match="no line from which on 80%"):
        Estimate(together(tickets, others)).lines()
