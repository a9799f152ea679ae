"""A day or a week of a survey in plain sentences, each with the figures behind it.

Guarantees: the figures are the overview's; shares and trends are told only of numbers that carry them; nothing is made
of nothing having happened; the cost has a bound, as the overview's has.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from api.results import overview
from api.results.overview_models import NEGATIVES_MOST, Digest, DigestAsked, Figures, Overview, Quote, Said
from api.results.period import FIRST, LAST, Period, local_day, of_days
from api.results.recent import RecentBy
from api.results.words import REASONS
from heed.contracts import Label, first_id
from heed.db import engine as db

QUOTES, QUOTED_MOST = 5, 400
FEW = 20  # of fewer a share says nothing
_DAY = timedelta(days=1)
_CANDIDATES = 50

# The strongest by tenths, so that among those that are as strong the newest come first.
_STRONGEST = sa.text("""
    SELECT id, received_at, comment, vote, rating, p_negative
    FROM (
        SELECT id, received_at, comment, vote, rating, p_negative, flags FROM feedback
        WHERE survey = :survey AND label = :label AND id >= :first AND id < :last ORDER BY id DESC LIMIT :most
    ) AS newest
    WHERE comment <> '' AND flags = '{}' AND p_negative IS NOT NULL
    ORDER BY floor(p_negative * 10) DESC, id DESC LIMIT :candidates
""")


class Digests:
    """Digests as Postgres has them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._recent = RecentBy(self._load, overview.SECONDS, overview.REMEMBERED, overview.TIMES)

    def read(self, slug: str, asked: DigestAsked) -> Digest:
        """The digest, at most a second old; a 404 problem when there is no such survey, a 422 for such a date."""
        kind = DigestAsked.model_validate(asked.model_dump(by_alias=True, include=set(DigestAsked.model_fields)))
        return self._recent.read((slug, kind))

    def _load(self, question: tuple[str, DigestAsked]) -> Digest:
        slug, asked = question
        at = datetime.now(UTC)
        period = period_of(asked, at)
        with db.begin(self._engine) as connection:
            db.one_moment(connection)
            found = overview.load(connection, slug, period, at)
            quotes = _quotes(connection, slug, period)
        length = (period.last - period.first).days + 1
        later, earlier = period.last + _DAY, period.first - length * _DAY
        return Digest(
            title=_title(asked.period, period),
            period=asked.period,
            over=at >= period.now.until,
            said=list(sentences(found, asked.period, over=at >= period.now.until)),
            quotes=quotes,
            earlier=earlier if earlier >= FIRST + _DAY * length else None,
            later=later if later <= min(local_day(at, asked.tz), LAST - _DAY * length) else None,
            overview=found,
        )


def period_of(asked: DigestAsked, at: datetime) -> Period:
    """The day or week that is asked for, by hours or by days."""
    week = asked.period == "week"
    today = local_day(at, asked.tz)
    day = asked.day or today - (7 if week else 1) * _DAY
    if not FIRST < day < LAST:  # so that a week around it can be reckoned with; the period says what is wrong
        return of_days(day, day, None, asked.tz, at)
    first = day - day.weekday() * _DAY if week else day
    return of_days(first, first + (6 if week else 0) * _DAY, "day" if week else "hour", asked.tz, at)


def sentences(found: Overview, period: str, *, over: bool) -> Iterable[Said]:
    """What is to be said of it."""
    now, before = found.now, found.before
    earlier = {"day": "the day before", "week": "the week before"}[period]
    if not over:
        earlier = f"{earlier} up to this time"
    yield _answered(now, before, earlier, over)
    if not now.answers:
        return
    yield _mood(now, before)
    yield _voted(found)
    if now.rated:
        was = "" if before.average_rating is None else f"{before.average_rating:.1f} of 5 {earlier}."
        yield Said(
            text=f"{_many(now.rated, 'customer')} gave a rating, {now.average_rating:.1f} of 5"
            + (" on average." if now.rated > 1 else "."),
            figures=was,
        )
    yield from _tickets(found)


def _answered(now: Figures, before: Figures, earlier: str, over: bool) -> Said:
    figures = f"{_many(before.answers, 'answer')} {earlier}." if before.answers else f"None {earlier}."
    if not now.answers:
        return Said(text="Nobody answered." if over else "Nobody has answered so far.", figures=figures)
    more = now.answers - before.answers
    than = {0: f"as many as {earlier}", 1: f"{more:,} more than {earlier}", -1: f"{-more:,} fewer than {earlier}"}
    compared = f", {than[(more > 0) - (more < 0)]}." if before.answers else "."
    answered = "answered" if over else f"{'has' if now.answers == 1 else 'have'} answered so far"
    return Said(text=f"{_many(now.answers, 'customer')} {answered}{compared}", figures=figures)


def _mood(now: Figures, before: Figures) -> Said:
    negative, read = now.sentiment.negative, _read(now)
    if not read:
        return Said(text="Nobody wrote words that could be read.")
    figures = f"Words that could be read: {read:,}; negative {negative:,}, neutral {now.sentiment.neutral:,}, "
    figures += f"positive {now.sentiment.positive:,}."
    was = f" ({percent(before.negative_share)} before)" if before.negative_share is not None else ""
    if read < FEW:
        if read == 1:
            return Said(text=f"The one who wrote was {'' if negative else 'not '}unhappy.", figures=figures)
        unhappy = {0: "none was", 1: "one was"}.get(negative, f"{negative} were")
        return Said(
            text=f"Of the {read} who wrote, {unhappy} unhappy. That is too few to speak of shares.", figures=figures
        )
    if _read(before) < FEW:
        was = ""
    return Said(text=f"{percent(now.negative_share)} of those who wrote were unhappy{was}.", figures=figures)


def _voted(found: Overview) -> Said:
    labels = {option.key: option.label for option in found.options}

    def votes(figures: Figures) -> dict[str, int]:
        return {key: figures.votes.get(key, 0) for key in found.now.votes if key != "none"}

    def told(counts: dict[str, int]) -> str:
        *others, last = [f"{count:,} for “{labels.get(key, key)}”" for key, count in counts.items()]
        return f"{', '.join(others)} and {last}"

    now, before = votes(found.now), votes(found.before)
    if not sum(now.values()):
        return Said(text="Nobody voted.")
    figures = f"Before: {told(before)}." if sum(before.values()) else ""
    return Said(text=f"{_many(sum(now.values()), 'vote')}: {told(now)}.", figures=figures)


def _tickets(found: Overview) -> Iterable[Said]:
    now, tickets = found.now, found.now.tickets
    if not now.selected:
        yield Said(text="No answer asked for a ticket.")
        return
    reasons = sorted(((count, REASONS[reason]) for reason, count in found.reasons.items() if count), reverse=True)
    asked = f"{_many(now.selected, 'answer')} asked for a ticket"
    asked += f" ({found.before.selected:,} before)." if found.before.answers else "."
    yield Said(text=asked, figures=_begun("; ".join(f"{why}: {count:,}" for count, why in reasons)))
    if not tickets.looked_at:  # they are not among the newest
        return
    of = f"of the newest {tickets.looked_at:,} of these, " if tickets.looked_at < now.selected else ""
    has = f"{tickets.opened:,} {'has' if tickets.opened == 1 else 'have'} a ticket by now"
    if not tickets.opened:
        text = "none has a ticket yet"
    elif not tickets.solved:
        text = f"{has}; none is solved yet"
    else:
        text = f"{has}, and {tickets.solved:,} {'is' if tickets.solved == 1 else 'are'} solved"
    took = [
        f"the median {what} was {duration(seconds)}"
        for what, seconds in (
            ("time until the ticket was there", tickets.seconds_to_ticket),
            ("time until it was solved", tickets.seconds_to_solution),
        )
        if seconds is not None
    ]
    yield Said(text=_begun(of + text), figures=_begun("; ".join(took)))


def _quotes(connection: sa.Connection, slug: str, period: Period) -> list[Quote]:
    about = {"survey": slug, "label": Label.NEGATIVE, "most": NEGATIVES_MOST, "candidates": _CANDIDATES}
    ids = {"first": first_id(period.now.since), "last": first_id(period.now.until)}
    seen: set[str] = set()
    quotes: list[Quote] = []
    for row in connection.execute(_STRONGEST, {**about, **ids}):
        words = " ".join(row.comment.split())
        if not words or words.casefold() in seen or len(quotes) == QUOTES:
            continue
        seen.add(words.casefold())
        quotes.append(
            Quote(
                id=row.id,
                received_at=period.local(row.received_at),
                words=_shortened(words),
                cut=len(words) > QUOTED_MOST,
                vote=row.vote,
                rating=row.rating,
                p_negative=row.p_negative,
            )
        )
    return quotes


def _shortened(words: str) -> str:
    if len(words) <= QUOTED_MOST:
        return words
    kept = words[:QUOTED_MOST]
    return kept.rpartition(" ")[0] or kept


def _title(kind: str, period: Period) -> str:
    first, last = period.first, period.last
    if kind == "day":
        return f"{first:%A}, {_written(first)}"
    begins = f"{first.day}" if (first.year, first.month) == (last.year, last.month) else f"{first.day} {first:%B}"
    begins = begins if first.year == last.year else f"{begins} {first.year}"
    return f"Week of {begins} to {_written(last)}"


def _written(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _begun(text: str) -> str:
    """As a sentence; nothing stays nothing."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _read(figures: Figures) -> int:
    return figures.sentiment.negative + figures.sentiment.neutral + figures.sentiment.positive


def _many(count: int, one: str) -> str:
    return f"One {one}" if count == 1 else f"{count:,} {one}s"


def percent(share: float | None) -> str:
    """A share; what is not all never reads 100 %, what is not nothing never 0 %."""
    if share is None:
        return "–"
    if 0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1 else f"{share * 100:.0f} %"


def duration(seconds: float) -> str:
    """A duration in the largest unit that says enough."""
    if seconds < 1:
        return "less than a second"
    for below, unit, name in ((90, 1, "second"), (5_400, 60, "minute"), (129_600, 3_600, "hour")):
        if seconds < below:
            return _some(round(seconds / unit), name)
    return _some(round(seconds / 86_400), "day")


def _some(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
