"""The worker's triage: does this submission need a person, perhaps, or not; why, and how soon.

Guarantees: the rule is heed.triage's; every decision names the policy and the lines that made it.
"""

from dataclasses import dataclass
from functools import lru_cache

from heed.contracts import Decision, Priority, Reason, StreamEntry, Survey
from heed.triage import Lines, Policy, is_unread, lines_of
from worker.sentiment import Sentiment


@dataclass(frozen=True, slots=True)
class Triaged:
    """`reasons` are empty and `priority` None exactly when the decision is not a ticket. `queued`: a manager is asked,
    about a review, about a text that could not be read, or because it was `sampled` for the live figures.
    """

    decision: Decision
    policy: str
    reasons: tuple[Reason, ...] = ()
    priority: Priority | None = None
    topics: tuple[str, ...] = ()
    queued: bool = False
    sampled: bool = False

    @property
    def selected(self) -> bool:
        """Whether a ticket is to be opened."""
        return self.decision is Decision.TICKET


class Triage:
    """Decides by a policy, with the survey's lines where it draws its own and the model's where not."""

    def __init__(self, policy: Policy, lines: Lines) -> None:
        self._policy, self._lines = policy, lines
        self._named = lru_cache(self._name)

    def _name(self, lines: Lines) -> str:
        return f"{self._policy.name} {lines}"

    def decide(self, survey: Survey, entry: StreamEntry, sentiment: Sentiment) -> Triaged:
        """The decision on a submission that reads like that."""
        lines = lines_of(survey, self._lines)
        policy, sampled = self._named(lines), self._policy.samples(entry.id)
        decision, reasons = self._policy.decide(
            survey,
            lines,
            vote=entry.vote,
            rating=entry.rating,
            comment=entry.comment,
            reply=entry.contact is not None and entry.contact.reply,
            flagged=bool(entry.flags),
            label=sentiment.label,
            chance=sentiment.p_negative,
        )
        if decision is Decision.NOTHING:
            return Triaged(decision, policy, queued=sampled, sampled=sampled)
        topics = self._policy.topics(entry.comment)
        if decision is Decision.REVIEW:
            return Triaged(decision, policy, topics=topics, queued=True, sampled=sampled)
        priority = self._policy.priority(reasons, entry.rating, sentiment.sentences, topics)
        says_unhappy = Reason.OPTION in reasons or Reason.RATING in reasons
        queued = sampled or (says_unhappy and is_unread(sentiment.label, entry.comment))
        return Triaged(decision, policy, reasons, priority, topics, queued, sampled)
