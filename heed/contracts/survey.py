"""`Survey`: what is asked, and which answers count as unhappy. Published to Redis for the form."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from heed.contracts.text import LanguageCode, OptionKey, Slug

OPTIONS_MOST = 5  # as many as faces tell apart at a glance
ORIGINS_MOST = 3_000  # characters; they go into a header, and proxies allow some 4,000 to 8,000 for all


def _origin(value: str) -> str:
    """As browsers send it: a scheme, a host in lower case, a port that is not the scheme's own; no path."""
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError:
        port = -1
    own = {"https": 443, "http": 80}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    beyond = parts.path.removesuffix("/") or parts.query or parts.fragment or parts.username
    if not own or not _HOST.fullmatch(host) or port == -1 or beyond:
        raise ValueError("an origin is a scheme and a host, such as https://shop.example")
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, own) else "")


def _fit_a_header(origins: tuple[str, ...]) -> tuple[str, ...]:
    if sum(len(origin) + 1 for origin in origins) > ORIGINS_MOST:
        raise ValueError(f"together the origins must not be longer than {ORIGINS_MOST} characters")
    return origins


# Nothing that could end a source in a Content-Security-Policy and begin another.
_HOST = re.compile(r"[a-z0-9.-]+|\[[0-9a-f:]+\]")
Origin = Annotated[str, StringConstraints(max_length=255), AfterValidator(_origin)]
Label = Annotated[str, Field(min_length=1, max_length=80)]
Question = Annotated[str, Field(min_length=1, max_length=300)]


class Option(BaseModel):
    """One choice of the vote. `unhappy` options select a submission for a ticket."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: OptionKey
    label: Label
    face: Annotated[str, Field(max_length=8)] = ""
    unhappy: bool = False


def _utc(value: datetime) -> datetime:
    """The same moment in UTC, which every reader can then show."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is too far away") from None


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Texts(BaseModel):
    """A survey's own texts in one more language; an option without a label here keeps its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: Question
    options: Mapping[OptionKey, Label] = {}


class Survey(BaseModel):
    """A question with its two to five options, in `language` and in those of `texts`. It takes answers from `opens_at`
    until `closes_at`. Pages of `origins` may embed the form and send answers. More answers than `burst` in a minute are
    taken and become tickets only when a manager says so (None: never too many).

    `version` counts what was saved under this name, from 1. `color` is the accent of its pages, which keep it readable.

    `threshold` is the p_negative from which words alone select, `review_threshold` the one from which a manager is
    asked; None: where the triage model itself draws the line. Neither is written when it is None, since readers of
    version 0.1.0 want a number or nothing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    slug: Slug
    question: Question
    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=OPTIONS_MOST)]
    rating: bool = True
    unhappy_ratings: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (1, 2)
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    review_threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    language: LanguageCode = "en"
    texts: Mapping[LanguageCode, Texts] = {}
    origins: Annotated[tuple[Origin, ...], Field(max_length=50), AfterValidator(_fit_a_header)] = ()
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$", to_lower=True)] | None = None
    version: Annotated[int, Field(ge=1)] = 1

    def written(self) -> dict[str, Any]:
        """As JSON values, the way that every version reads it."""
        return self.model_dump(mode="json", exclude_none=True)

    def option(self, key: str | None) -> Option | None:
        """The option with this key, or None."""
        return next((option for option in self.options if option.key == key), None)

    def state(self, now: datetime) -> Literal["early", "open", "closed"]:
        """Whether it takes answers at that time."""
        if self.closes_at is not None and now >= self.closes_at:
            return "closed"
        return "early" if self.opens_at is not None and now < self.opens_at else "open"

    def spoken(self, language: str) -> "Survey":
        """The survey in that language where it has texts in it, else as it is."""
        texts = self.texts.get(language)
        if texts is None or language == self.language:
            return self
        options = tuple(
            option.model_copy(update={"label": texts.options.get(option.key, option.label)}) for option in self.options
        )
        return self.model_copy(update={"language": language, "question": texts.question, "options": options})


DEFAULT_SURVEY = Survey(
    slug="default",
    question="How was your experience with us?",
    options=(
        Option(key="good", label="Good", face="🙂"),
        Option(key="bad", label="Bad", face="🙁", unhappy=True),
    ),
)
