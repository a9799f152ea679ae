"""How well triage works, estimated from answers that were drawn by lot and judged by people. Pure.

Guarantees: no number from too few verdicts, but how many are missing; the same counts give the same numbers; a 95 %
interval covers the truth in about 95 of 100 cases, also for small numbers and shares near 0 or 1 (tests hold it to it).

Every answer has the same chance to be drawn, whatever was decided, so the drawn ones of each decision (a stratum) are a
random sample of it and their number is an unbiased measure of its size. Within a stratum those that were judged stand
for those that were not, which is right when people take the queue as it comes. That is stratified sampling (Cochran,
W.G. (1977), Sampling Techniques, 3rd ed., chapter 5).

- Precision is a share of one stratum, with Wilson's score interval (Wilson, E.B. (1927), Probable Inference, JASA 22).
- Recall is a ratio over strata of uncertain sizes. Its interval is the middle 95 % of what it could be, drawn from each
  share's Beta posterior with Jeffreys' prior (Brown, Cai & DasGupta (2001), Interval Estimation for a Binomial
  Proportion, Statistical Science 16) and the sizes' Dirichlet posterior.
"""

import random
from collections.abc import Mapping
from functools import lru_cache
from math import sqrt

from api.results.models import Drawn, Estimate
from heed.contracts import Decision

LEAST = 20  # verdicts; fewer say next to nothing
DRAWS = 4_000
_Z = 1.959964  # the normal distribution's 97.5 % point
_SEED = 1927


def precision(sample: Mapping[Decision, Drawn]) -> Estimate:
    """Of the tickets, the share that needed a person."""
    ticket = sample[Decision.TICKET]
    if ticket.judged < LEAST:
        return Estimate(missing=LEAST - ticket.judged)
    low, high = wilson(ticket.needed, ticket.judged)
    return Estimate(value=ticket.needed / ticket.judged, low=low, high=high)


def recall(sample: Mapping[Decision, Drawn]) -> Estimate:
    """Of the answers that needed a person, the share that got a ticket, or a review: what a manager said yes to is
    found."""
    strata = [sample[decision] for decision in (Decision.TICKET, Decision.REVIEW, Decision.NOTHING)]
    ticket, review, nothing = strata
    # Reviews may be rare, and then they weigh little: all of them will do.
    wanted = (LEAST, min(LEAST, review.drawn), LEAST)
    missing = sum(max(want - each.judged, 0) for want, each in zip(wanted, strata, strict=True))
    if missing:
        return Estimate(missing=missing)
    found = sum(each.drawn * each.needed / each.judged for each in (ticket, review) if each.judged)
    missed = nothing.drawn * nothing.needed / nothing.judged
    if not found + missed:
        return Estimate()
    value = found / (found + missed)
    low, high = _middle(tuple((each.drawn, each.judged, each.needed) for each in strata if each.drawn))
    # Where all or none were found the posterior leaves the very end out; the interval never leaves out the estimate.
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share of `hits` of `of`."""
    share, weight = hits / of, _Z * _Z / of
    centre = share + weight / 2
    reach = _Z * sqrt(share * (1 - share) / of + weight / (4 * of))
    return max((centre - reach) / (1 + weight), 0.0), min((centre + reach) / (1 + weight), 1.0)


@lru_cache(maxsize=256)  # the same counts are asked for again and again
def _middle(strata: tuple[tuple[int, int, int], ...]) -> tuple[float, float]:
    """The middle 95 % of recall's posterior; the last of the strata (drawn, judged, needed) is what is missed."""
    chance = random.Random(_SEED)  # noqa: S311 - a figure, not a secret
    shares = []
    for _ in range(DRAWS):
        *found, missed = (
            chance.gammavariate(drawn + 1, 1) * chance.betavariate(needed + 0.5, judged - needed + 0.5)
            for drawn, judged, needed in strata
        )
        shares.append(sum(found) / (sum(found) + missed))
    shares.sort()
    return shares[round(0.025 * DRAWS)], shares[round(0.975 * DRAWS) - 1]
