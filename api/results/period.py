"""Periods of local time and the buckets that they fall into. Pure.

Guarantees: a period's buckets begin at local hours, days, weeks (Monday) or months, follow each other without a gap or
an overlap, also where a clock is put forward or back, and are at most BUCKETS_MOST; what cannot be asked for is a 422
problem that says why.

What is counted is counted by whole hours (UTC), so an hour belongs to the local day in which it begins. That is the
same thing except where a zone is off by half an hour or a quarter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from heed.web.problems import Problem

Preset = Literal["24h", "7d", "30d", "90d", "12m"]
Group = Literal["hour", "day", "week", "month"]

BUCKETS_MOST = 750
DAYS_MOST = 400
FIRST, LAST = date(2000, 1, 1), date(2199, 12, 31)  # dates that can be asked for
_DAYS: dict[Preset, int] = {"7d": 7, "30d": 30, "90d": 90}
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# By default the first that makes no more bars than can be told apart.
_SENSIBLE: tuple[tuple[int, Group], ...] = ((2, "hour"), (45, "day"), (190, "week"), (DAYS_MOST, "month"))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time from whole hour to whole hour; `until` is not in it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch, the one before it that it is compared with, and where its buckets begin (the first at its beginning).

    `first` and `last` are its local days. A stretch that is still going on is compared with as much of the one before:
    a Monday at noon with the Monday before until noon.
    """

    zone: str
    group: Group
    now: Stretch
    before: Stretch
    starts: tuple[datetime, ...]
    first: date
    last: date

    def local(self, moment: datetime) -> datetime:
        """The moment as the zone's clocks show it, with their distance to UTC then."""
        shown = moment.astimezone(_zone(self.zone))
        return shown.replace(tzinfo=timezone(shown.utcoffset() or timedelta()))


def check_zone(name: str) -> str:
    """The name of a time zone; ValueError when there is none of that name."""
    if name not in _zones():
        raise ValueError("there is no such time zone; use a name such as Europe/Berlin or UTC")
    return name


def local_day(moment: datetime, zone: str) -> date:
    """The day that the zone's calendars show."""
    return moment.astimezone(_zone(zone)).date()


def of_preset(preset: Preset, group: Group | None, zone: str, at: datetime) -> Period:
    """The period that ends with the hour, day or month in which `at` is."""
    today = local_day(at, zone)
    if preset == "24h":
        hour = _whole_hour(at - _HOUR + timedelta(microseconds=1))  # the one that is running
        stretch = Stretch(hour - 23 * _HOUR, hour + _HOUR)
        before = Stretch(stretch.since - _DAY, stretch.since)
        first = local_day(stretch.since, zone)
        return _period(zone, group or "hour", stretch, before, first, today)
    if preset == "12m":
        first, end, earlier = _month(today, -11), _month(today, 1), _month(today, -23)
        return _of_days(first, end - _DAY, earlier, group or "month", zone, at)
    return of_days(today - (_DAYS[preset] - 1) * _DAY, today, group, zone, at)


def of_days(first: date, last: date, group: Group | None, zone: str, at: datetime) -> Period:
    """The local days from `first` to `last`, both included."""
    if first > last:
        raise Problem(422, "The period ends before it begins; swap `from` and `to`.", kind="invalid")
    if not FIRST <= first <= last <= LAST:
        raise Problem(422, f"Days can be from {FIRST} to {LAST}.", kind="invalid")
    days = (last - first).days + 1
    if days > DAYS_MOST:
        detail = f"This period has {days} days, and at most {DAYS_MOST} can be shown at once; choose a shorter one."
        raise Problem(422, detail, kind="invalid")
    sensible = next(name for most, name in _SENSIBLE if days <= most)
    return _of_days(first, last, first - days * _DAY, group or sensible, zone, at)


def _of_days(first: date, last: date, earlier: date, group: Group, zone: str, at: datetime) -> Period:
    since, until, before = (_begin(day, zone) for day in (first, last + _DAY, earlier))
    passed = _whole_hour(at)
    # Of the one before as much as has passed of this one.
    end = since if passed >= until else min(before + max(passed - since, timedelta()), since)
    return _period(zone, group, Stretch(since, until), Stretch(before, end), first, last)


def _period(zone: str, group: Group, now: Stretch, before: Stretch, first: date, last: date) -> Period:
    starts = tuple(_starts(now, group, zone))
    if len(starts) > BUCKETS_MOST:
        detail = (
            f"This period has {len(starts):,} bars of one {group} each, and at most {BUCKETS_MOST} can be shown; "
            "choose a longer `group` or a shorter period."
        )
        raise Problem(422, detail, kind="invalid")
    return Period(zone, group, now, before, starts, first, last)


def _starts(stretch: Stretch, group: Group, zone: str) -> Iterator[datetime]:
    yield stretch.since
    if group == "hour":
        yield from (stretch.since + count * _HOUR for count in range(1, (stretch.until - stretch.since) // _HOUR))
        return
    # A day that a zone left out when it changed sides of the date line begins and ends at once.
    last, day = stretch.since, local_day(stretch.since, zone)
    while True:
        day = _next(day, group)
        start = _begin(day, zone)
        if start >= stretch.until:
            return
        if start > last:
            yield start
            last = start


def _next(day: date, group: Group) -> date:
    if group == "week":
        return day + (7 - day.weekday()) * _DAY
    return _month(day, 1) if group == "month" else day + _DAY


def _month(day: date, months: int) -> date:
    """The first day of the month that is so many months later."""
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _begin(day: date, zone: str) -> datetime:
    """The first whole hour that begins in this local day, where midnight may be left out or come twice."""
    return _whole_hour(datetime.combine(day, time(), _zone(zone)).astimezone(UTC))


def _whole_hour(moment: datetime) -> datetime:
    """The moment itself if an hour begins then, else the beginning of the next."""
    begun = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return begun if begun == moment else begun + _HOUR


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: str) -> tzinfo:
    return ZoneInfo(name)


PRESETS: tuple[Preset, ...] = get_args(Preset)
GROUPS: tuple[Group, ...] = get_args(Group)
