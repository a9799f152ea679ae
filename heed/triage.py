"""The rule of triage: what a submission's answers and score make of it. The worker decides by it, and the results site
rehearses other lines with it.

Guarantees: pure, the same submission and score give the same; a text that cannot be judged never makes a ticket by
itself, and is never passed over in silence either: unless the customer says that all is well, a manager is asked.
What can be argued about is data (`policy.json`).
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from uuid import UUID

from heed.contracts import Decision, Label, Priority, Reason, SentenceRead, Survey

_PRIORITIES = (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.URGENT)
_HAPPY_RATING = 4
_WORD = re.compile(r"\w+")
_MARKS, _MARKS_MOST = re.compile(r"[.,!?/\-]"), 20


@dataclass(frozen=True, slots=True)
class Lines:
    """Where a model draws its lines on `p_negative`: from `ticket` on a person is needed (precision 0.8 on the data it
    learned from), from `review` on perhaps (the best F1)."""

    ticket: float
    review: float

    def __str__(self) -> str:
        """As they end a decision's `policy`."""
        return f"{self.ticket:g}/{self.review:g}"

    @classmethod
    def of(cls, policy: str) -> "Lines | None":
        """The lines that a decision's `policy` ends in; None for one that names none."""
        ticket, _, review = policy.rpartition(" ")[2].partition("/")
        try:
            return cls(float(ticket), float(review))
        except ValueError:
            return None


class Policy:
    """A policy as its file says it. `name` ends in the beginning of the file's SHA-256."""

    def __init__(self, text: str) -> None:
        said: Mapping[str, Any] = json.loads(text)
        self.name = f"{said['name']}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        self.very_negative: float = said["very negative"]
        self._points: Mapping[str, int] = said["points"]
        self._topics = {name: topic["points"] for name, topic in said["topics"].items()}
        # By the longest of their words, without which a comment cannot name them.
        self._phrases: defaultdict[str, list[tuple[str, re.Pattern[str]]]] = defaultdict(list)
        for name, topic in said["topics"].items():
            for phrase in topic["words"]:
                longest = max(_WORD.findall(phrase), key=len)
                self._phrases[longest].append((name, re.compile(rf"\b{re.escape(phrase)}\b")))
        self._no_answers = frozenset(said["no answers"])
        self.no_answer_most = max(map(len, self._no_answers), default=0) + _MARKS_MOST
        self._sampled_below = round(said["sample"] * 10_000)

    @classmethod
    def shipped(cls) -> "Policy":
        """The policy of this version."""
        return cls(files("heed").joinpath("policy.json").read_text(encoding="utf-8"))

    def is_no_answer(self, comment: str) -> bool:
        """Whether it is what people write who have nothing to say ("None.", "n/a"): however it reads, it is no
        complaint. A smiley makes it one again."""
        if len(comment) > self.no_answer_most:
            return False
        said = _MARKS.sub(" ", comment.replace("’", "'").lower())
        return " ".join(said.split()) in self._no_answers

    def samples(self, submission: UUID) -> bool:
        """Whether the lot falls on this submission; the same each time, since an id's last bits are random."""
        return bool(submission.int % 10_000 < self._sampled_below)

    def topics(self, comment: str) -> tuple[str, ...]:
        """The topics of urgency that the comment names, most urgent first."""
        said = comment.replace("’", "'").lower()
        words = self._phrases.keys() & _WORD.findall(said)
        named = {name for word in words for name, phrase in self._phrases[word] if phrase.search(said)}
        return tuple(name for name in self._topics if name in named)

    def priority(
        self,
        reasons: tuple[Reason, ...],
        rating: int | None,
        sentences: Sequence[SentenceRead],
        topics: tuple[str, ...],
    ) -> Priority:
        """How soon: one level up from normal for each point, from low when nothing but a reply is asked for."""
        signs = [reason for reason in reasons if reason is not Reason.CONTACT]
        level = 1 if signs else 0
        if signs and rating == 1:
            level += self._points["worst rating given"]
        if len(signs) >= 2:
            level += self._points["two signs of unhappiness"]
        if Reason.TEXT in reasons and any(each.rating <= self.very_negative for each in sentences):
            level += self._points["a sentence rated very negative"]
        level += max((self._topics[topic] for topic in topics), default=0)
        return _PRIORITIES[min(level, len(_PRIORITIES) - 1)]

    def decide(
        self,
        survey: Survey,
        lines: Lines,
        *,
        vote: str | None,
        rating: int | None,
        comment: str,
        reply: bool,
        flagged: bool,
        label: str,
        chance: float | None,
    ) -> tuple[Decision, tuple[Reason, ...]]:
        """Ticket for every reason that holds: the words (`chance` is that they are negative), the option, the rating,
        the wish to be contacted. Of what came in a suspicious way a manager says whether it is a ticket."""
        option = survey.option(vote)
        no_answer = chance is not None and chance >= lines.review and self.is_no_answer(comment)
        reasons = []
        if chance is not None and chance >= lines.ticket and not no_answer:
            reasons.append(Reason.TEXT)
        if option is not None and option.unhappy:
            reasons.append(Reason.OPTION)
        if rating is not None and rating in survey.unhappy_ratings:
            reasons.append(Reason.RATING)
        if reply:
            reasons.append(Reason.CONTACT)
        if reasons:
            return (Decision.REVIEW, ()) if flagged else (Decision.TICKET, tuple(reasons))
        happy = (option is not None and not option.unhappy) or (rating or 0) >= _HAPPY_RATING
        perhaps = chance is not None and chance >= lines.review and not no_answer
        if perhaps or ((no_answer or is_unread(label, comment)) and not happy):
            return Decision.REVIEW, ()
        return Decision.NOTHING, ()


def is_unread(label: str, comment: str) -> bool:
    """Whether there are words that the scorer could not judge."""
    return label == Label.UNKNOWN and any(map(str.isalpha, comment))


def lines_of(survey: Survey, model: Lines) -> Lines:
    """The survey's own lines where it has them, else the model's; never a review line above the ticket line."""
    ticket = model.ticket if survey.threshold is None else survey.threshold
    review = model.review if survey.review_threshold is None else survey.review_threshold
    return Lines(ticket, min(review, ticket))
