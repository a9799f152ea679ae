"""What the made-up answers say: a year of a made-up shop, with its rhythm and its bad spells.

Guarantees: pure, the same number of the same year is the same answer, whenever and however often it is asked for, and
answers are in order of time; no text is from anybody (texts.tsv is written for this), every address is one that nobody
can have (example.com).
"""

import csv
import random
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from itertools import accumulate
from uuid import UUID

from heed.contracts import MADE_UP, Contact, Context, Flag, StreamEntry

DAYS = 365
HAPPY, FAIR, UNHAPPY, ANGRY = MOODS = ("happy", "fair", "unhappy", "angry")

# By hour of the day (UTC) and by day of the week, Monday first.
_BY_HOUR = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 12, 11, 10, 10, 11, 12, 14, 16, 16, 13, 8, 4)
_BY_WEEKDAY = (1.15, 1.1, 1.0, 1.0, 0.95, 0.7, 0.8)
_USUAL = (0.60, 0.18, 0.17, 0.05)  # of the moods
_LANGUAGES = {"en": 60, "de": 14, "es": 9, "fr": 9, "pt": 4, "ja": 2, "ar": 2}
_ITEMS = ("kettle", "lamp", "rucksack", "tent", "jacket", "headphones", "bicycle bell", "desk", "blender", "raincoat")
_NAMES = (
    "Alex Meyer",
    "Sam Okafor",
    "Chris Rossi",
    "Kim Novak",
    "Robin Silva",
    "Noor Haddad",
    "Jo Lindqvist",
    "Mika Sato",
)
_PAGES = ("orders/thanks", "orders/thanks", "orders/thanks", "help", "account", "returns")


@dataclass(frozen=True, slots=True)
class Spell:
    """A bad time, by days before the end of the year: what went wrong, and how the moods are meanwhile."""

    begins: float
    ends: float
    topic: str
    moods: tuple[float, float, float, float]
    solving: float  # tickets take so many times as long
    crowd: float  # and there are so many times as many answers


SPELLS = (
    # A new carrier: a fortnight in which parcels come late or not at all.
    Spell(82, 68, "delivery", (0.24, 0.14, 0.42, 0.20), solving=3.5, crowd=1.4),
    # An update of the app after which many cannot log in, for three days.
    Spell(22, 19, "app", (0.36, 0.14, 0.38, 0.12), solving=1.5, crowd=1.3),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A made-up answer. `unhappy` is what a person would say of it; a ticket, if it gets one, is `opened_at` and solved
    `solving` later."""

    entry: StreamEntry
    at: datetime
    unhappy: bool
    opened_at: datetime
    solving: timedelta


class Year:
    """`answers` answers in the year until `until`."""

    def __init__(self, until: datetime, answers: int, survey: str) -> None:
        self._until, self._answers, self._survey = until, answers, survey
        self._from = until - timedelta(days=DAYS)
        hours = [self._from + timedelta(hours=hour) for hour in range(DAYS * 24)]
        self._reached = list(accumulate(self._crowd(at) for at in hours))

    def answer(self, number: int) -> Made:
        """The answer of this number, from 0 to `answers` - 1."""
        digest = sha256(f"heed demo {self._until.isoformat()} {self._answers} {number}".encode()).digest()
        chance = random.Random(digest)  # noqa: S311 - nothing here is secret
        at = self._time(number, chance.random())
        spell = self._spell(at)
        mood = chance.choices(MOODS, spell.moods if spell else _USUAL)[0]
        unhappy = mood in (UNHAPPY, ANGRY)
        language = chance.choices(list(_LANGUAGES), list(_LANGUAGES.values()))[0]
        wants_reply = unhappy and chance.random() < (0.35 if mood == ANGRY else 0.15)
        name = chance.choice(_NAMES)
        vote, rating = self._vote(mood, chance), self._rating(mood, chance)
        comment = self._comment(mood, language, spell, chance)
        if not (vote or rating or comment):  # nobody can send nothing
            rating = 3
        email = f"{name.lower().replace(' ', '.')}@example.com"
        entry = StreamEntry(
            id=_id(at, digest),
            survey=self._survey,
            client=digest[16:].hex(),
            source=MADE_UP,
            vote=vote,
            rating=rating,
            comment=comment,
            contact=Contact(name=name, email=email, reply=True) if wants_reply else None,
            context=Context(
                url=f"https://shop.example/{chance.choice(_PAGES)}",
                app=self._app(at),
                ref="mail" if chance.random() < 0.3 else None,
                language=language,
            ),
            flags=(Flag.FAST,) if chance.random() < 0.004 else (),
        )
        solving = timedelta(hours=chance.lognormvariate(2.2, 0.9) * (spell.solving if spell else 1))
        return Made(entry, at, unhappy, at + timedelta(seconds=chance.uniform(2, 9)), solving)

    def _crowd(self, at: datetime) -> float:
        """How many answers this hour gets, as a weight: a growing shop, its day and its week, and presents."""
        days_left = (self._until - at) / timedelta(days=1)
        spell = self._spell(at)
        presents = 1.7 if (at.month, at.day) >= (11, 20) and (at.month, at.day) <= (12, 23) else 1.0
        growth = 1.4 - 0.8 * days_left / DAYS
        return _BY_HOUR[at.hour] * _BY_WEEKDAY[at.weekday()] * growth * presents * (spell.crowd if spell else 1)

    def _spell(self, at: datetime) -> Spell | None:
        days_left = (self._until - at) / timedelta(days=1)
        return next((spell for spell in SPELLS if spell.ends < days_left <= spell.begins), None)

    def _time(self, number: int, chance: float) -> datetime:
        """In order of their numbers: each has an equal share of the year's crowd, and falls somewhere into it."""
        wanted = (number + chance) / self._answers * self._reached[-1]
        hour = min(bisect_left(self._reached, wanted), len(self._reached) - 1)
        before = self._reached[hour - 1] if hour else 0.0
        part = (wanted - before) / (self._reached[hour] - before)
        return self._from + timedelta(hours=hour, milliseconds=int(min(max(part, 0), 0.9999) * 3_600_000))

    @staticmethod
    def _vote(mood: str, chance: random.Random) -> str | None:
        weights = {HAPPY: (94, 1, 5), FAIR: (66, 10, 24), UNHAPPY: (6, 82, 12), ANGRY: (1, 95, 4)}[mood]
        return chance.choices(("good", "bad", None), weights)[0]

    @staticmethod
    def _rating(mood: str, chance: random.Random) -> int | None:
        if chance.random() < 0.4:
            return None
        low, high = {HAPPY: (4, 5), FAIR: (3, 4), UNHAPPY: (1, 3), ANGRY: (1, 1)}[mood]
        return chance.randint(low, high)

    def _comment(self, mood: str, language: str, spell: Spell | None, chance: random.Random) -> str:
        """None from many of the happy; one sentence, or two of the same mood. It may be all that they said."""
        if chance.random() > {HAPPY: 0.6, FAIR: 0.65, UNHAPPY: 0.88, ANGRY: 0.97}[mood]:
            return ""
        fitting = self._texts[language, mood]
        if spell and mood in (UNHAPPY, ANGRY) and chance.random() < 0.8:
            fitting = [each for each in fitting if each[0] == spell.topic] or fitting
        said = chance.sample(fitting, min(2 if chance.random() < 0.25 else 1, len(fitting)))
        days, hours = chance.randint(3, 16), chance.randint(2, 20)
        item = chance.choice(_ITEMS) if language == "en" else "alles"
        return " ".join(text.format(item=item, days=days, hours=hours) for _topic, text in said)

    def _app(self, at: datetime) -> str:
        return f"3.{int((at - self._from) / timedelta(days=60))}.0"

    @cached_property
    def _texts(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        return texts()


def texts() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """By language and mood: topic and text, with {item}, {days} and {hours} to be filled in."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    lines = files("worker.demo").joinpath("texts.tsv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        found.setdefault((row["language"], row["mood"]), []).append((row["topic"], row["text"]))
    return found


def _id(at: datetime, digest: bytes) -> UUID:
    """A UUIDv7 of that time, its random bits from the digest."""
    milliseconds = int(at.timestamp() * 1000)
    bits = int.from_bytes(digest[:10], "big")
    return UUID(
        int=(milliseconds << 80) | (0x7 << 76) | ((bits >> 62 & 0xFFF) << 64) | (0b10 << 62) | (bits & (2**62 - 1))
    )
