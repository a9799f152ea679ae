"""A view of the feedback page: which answers it lists, as its address says it.

Guarantees: an address that can be read says the same later and for others, except for a period, which moves with the
time; what cannot be read is refused by name.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from api.results.models import Filter
from api.results.period import check_zone
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.text import Slug

PERIODS = {
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "90d": ("Last 90 days", timedelta(days=90)),
    "12m": ("Last 12 months", timedelta(days=365)),
}
QUERY_MAX = 10_000  # characters of an address: 200 chosen answers, and all else
_PLACES = {"before", "after"}


class View(Filter):
    """A filter with a place in its list. The days from `from` to `to`, both included, are those of the zone `tz`; where
    either is given, `period` does not count."""

    survey: Slug = DEFAULT_SURVEY.slug
    period: Literal["24h", "7d", "30d", "90d", "12m"] | None = None
    first: date | None = Field(None, alias="from")
    last: date | None = Field(None, alias="to")
    tz: Annotated[str, Field(max_length=64), AfterValidator(check_zone)] = "UTC"
    before: UUID | None = None
    after: UUID | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "View":
        """The view that an address asks for; fields that a form left empty ask for nothing. ValidationError."""
        given: dict[str, Any] = {}
        for name, value in pairs:
            if name == "id":
                given.setdefault("id", []).append(value)
            elif value:
                given[name] = value
        view = cls.model_validate(given)
        if view.first or view.last:
            view.period = None
        return view

    def filter(self, now: datetime) -> Filter:
        """Which answers it lists at that moment."""
        zone = ZoneInfo(self.tz)
        since, until = [self.since], [self.until]
        if self.period:
            since.append(now - PERIODS[self.period][1])
        if self.first:
            since.append(_midnight(self.first, zone))
        if self.last:
            until.append(_midnight(self.last, zone, days=1))
        plain = self.model_dump(include=set(Filter.model_fields))
        latest = max((_utc(each) for each in since if each), default=None)
        earliest = min((_utc(each) for each in until if each), default=None)
        return Filter.model_validate({**plain, "since": latest, "until": earliest})

    def query(self, /, **changes: Any) -> str:
        """The address' query with these changes (None: without); elsewhere in the list only where a place is said."""
        dumped = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_PLACES)
        if not (self.first or self.last):
            dumped.pop("tz", None)
        kept = {"survey": self.survey, **dumped, **changes}
        return query_of({name: value for name, value in kept.items() if value not in (None, [])})

    @property
    def whole(self) -> str:
        """The query with its place in the list."""
        return self.query(before=self.before, after=self.after)

    @property
    def narrowed(self) -> set[str]:
        """What of it narrows the survey's answers, by the names in its address."""
        plain = self.model_dump(by_alias=True, exclude_defaults=True, exclude=_PLACES | {"survey", "tz"})
        return {name for name, value in plain.items() if value not in (None, [])}


def query_of(values: dict[str, Any]) -> str:
    """An address' query, in JSON's words for what is true."""
    words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return urlencode(words, doseq=True)


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _midnight(day: date, zone: ZoneInfo, days: int = 0) -> datetime:
    try:
        return datetime.combine(day + timedelta(days=days), time(), zone).astimezone(UTC)
    except OverflowError:  # the calendar's ends
        return datetime.max.replace(tzinfo=UTC) if days else datetime.min.replace(tzinfo=UTC)
