"""The triage decision: does this submission need a person, perhaps, or not; why, and how soon.

Guarantees: pure, the same submission and score give the same; a text that cannot be judged never makes a ticket by
itself, and is never passed over in silence either: unless the customer says that all is well, a manager is asked.
What can be argued about is data (`policy.json`), and every decision names the policy and the lines that made it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from heed.contracts import Decision, Label, Priority, Reason, StreamEntry, Survey
from worker.sentiment import Lines, Sentiment

_PRIORITIES = (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.URGENT)
_HAPPY_RATING = 4
_MARKS, _MARKS_MOST = re.compile(r"[.,!?/\-]"), 20


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


class Policy:
    """A policy as its file says it. `name` ends in the beginning of the file's SHA-256."""

    def __init__(self, text: str) -> None:
        said: Mapping[str, Any] = json.loads(text)
        self.name = f"{said['name']}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        self.very_negative: float = said["very negative"]
        self._points: Mapping[str, int] = said["points"]
        self._topics = {name: topic["points"] for name, topic in said["topics"].items()}
        self._words = {
            name: [(word, re.compile(rf"\b{re.escape(word)}\b")) for word in topic["words"]]
            for name, topic in said["topics"].items()
        }
        self._no_answers = frozenset(said["no answers"])
        self._no_answer_most = max(map(len, self._no_answers), default=0) + _MARKS_MOST
        self._sampled_below = round(said["sample"] * 10_000)

    @classmethod
    def shipped(cls) -> "Policy":
        """The policy of this version."""
        return cls(files("worker").joinpath("policy.json").read_text(encoding="utf-8"))

    def is_no_answer(self, comment: str) -> bool:
        """Whether it is what people write who have nothing to say ("None.", "n/a"): however it reads, it is no
        complaint. A smiley makes it one again."""
        if len(comment) > self._no_answer_most:
            return False
        said = _MARKS.sub(" ", comment.replace("’", "'").lower())
        return " ".join(said.split()) in self._no_answers

    def samples(self, submission: UUID) -> bool:
        """Whether the lot falls on this submission; the same each time, since an id's last bits are random."""
        return bool(submission.int % 10_000 < self._sampled_below)

    def topics(self, comment: str) -> tuple[str, ...]:
        """The topics of urgency that the comment names, most urgent first."""
        said = comment.replace("’", "'").lower()
        # Most comments hold none of the words, and that is told faster without their borders.
        return tuple(
            name
            for name, words in self._words.items()
            if any(word in said and border.search(said) for word, border in words)
        )

    def priority(
        self, reasons: tuple[Reason, ...], rating: int | None, sentiment: Sentiment, topics: tuple[str, ...]
    ) -> Priority:
        """How soon: one level up from normal for each point, from low when nothing but a reply is asked for."""
        signs = [reason for reason in reasons if reason is not Reason.CONTACT]
        level = 1 if signs else 0
        if signs and rating == 1:
            level += self._points["worst rating given"]
        if len(signs) >= 2:
            level += self._points["two signs of unhappiness"]
        if Reason.TEXT in reasons and any(each.rating <= self.very_negative for each in sentiment.sentences):
            level += self._points["a sentence rated very negative"]
        level += max((self._topics[topic] for topic in topics), default=0)
        return _PRIORITIES[min(level, len(_PRIORITIES) - 1)]


class Triage:
    """Decides by a policy, with the survey's lines where it draws its own and the model's where not."""

    def __init__(self, policy: Policy, lines: Lines) -> None:
        self._policy, self._lines = policy, lines
        self._drawn = lru_cache(self._draw)

    def _draw(self, ticket: float | None, review: float | None) -> tuple[Lines, str]:
        """A survey's lines, and the policy's name with them."""
        lines = _lines(ticket, review, self._lines)
        return lines, f"{self._policy.name} {lines.ticket:g}/{lines.review:g}"

    def decide(self, survey: Survey, entry: StreamEntry, sentiment: Sentiment) -> Triaged:
        """Ticket for every reason that holds: the words, the option, the rating, the wish to be contacted. Of what came
        in a suspicious way a manager says whether it is a ticket."""
        lines, policy = self._drawn(survey.threshold, survey.review_threshold)
        chance = sentiment.p_negative
        option = survey.option(entry.vote)
        unhappy_option = option is not None and option.unhappy
        unhappy_rating = entry.rating is not None and entry.rating in survey.unhappy_ratings
        reasons = []
        no_answer = chance is not None and chance >= lines.review and self._policy.is_no_answer(entry.comment)
        if chance is not None and chance >= lines.ticket and not no_answer:
            reasons.append(Reason.TEXT)
        if unhappy_option:
            reasons.append(Reason.OPTION)
        if unhappy_rating:
            reasons.append(Reason.RATING)
        if entry.contact is not None and entry.contact.reply:
            reasons.append(Reason.CONTACT)
        sampled = self._policy.samples(entry.id)
        unread = sentiment.label is Label.UNKNOWN and any(map(str.isalpha, entry.comment))
        if reasons and entry.flags:
            topics = self._policy.topics(entry.comment)
            return Triaged(Decision.REVIEW, policy, topics=topics, queued=True, sampled=sampled)
        if reasons:
            topics = self._policy.topics(entry.comment)
            priority = self._policy.priority(tuple(reasons), entry.rating, sentiment, topics)
            queued = sampled or (unread and (unhappy_option or unhappy_rating))
            return Triaged(Decision.TICKET, policy, tuple(reasons), priority, topics, queued, sampled)
        happy = (option is not None and not option.unhappy) or (entry.rating or 0) >= _HAPPY_RATING
        if (chance is not None and chance >= lines.review and not no_answer) or ((unread or no_answer) and not happy):
            topics = self._policy.topics(entry.comment)
            return Triaged(Decision.REVIEW, policy, topics=topics, queued=True, sampled=sampled)
        return Triaged(Decision.NOTHING, policy, queued=sampled, sampled=sampled)


def lines_of(survey: Survey, model: Lines) -> Lines:
    """The survey's own lines where it has them, else the model's; never a review line above the ticket line."""
    return _lines(survey.threshold, survey.review_threshold, model)


def _lines(ticket: float | None, review: float | None, model: Lines) -> Lines:
    ticket = model.ticket if ticket is None else ticket
    return Lines(ticket, min(model.review if review is None else review, ticket))
