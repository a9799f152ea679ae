"""The languages of the customers' pages: which one a visitor gets, and everything that is said in it.

Guarantees: a page is in one language as a whole, its dates, numbers and plurals too; a visitor's choice wins over what
the browser prefers. The texts are gettext catalogues in frontend/feedback/locales, read once.
"""

import gettext
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from babel import Locale
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request

from heed.web.static import FRONTEND

TEMPLATES = FRONTEND / "feedback"
LOCALES = TEMPLATES / "locales"
COOKIE = "heed_language"
_QUALITIES_MOST = 20  # of an Accept-Language header; browsers send fewer


@dataclass(frozen=True)
class Language:
    """A language that the pages are in; `name` is its own name for itself."""

    code: str
    name: str

    @cached_property
    def locale(self) -> Locale:
        """How this language writes dates and numbers."""
        return Locale.parse(self.code)

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return self.locale.text_direction

    @cached_property
    def texts(self) -> gettext.NullTranslations:
        """The catalogue; English is what the templates say."""
        file = LOCALES / self.code / "LC_MESSAGES" / "feedback.po"
        if self.code == "en":
            return gettext.NullTranslations()
        compiled = io.BytesIO()
        with file.open("rb") as source:
            write_mo(compiled, read_po(source, locale=self.code))
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)

    @cached_property
    def templates(self) -> Environment:
        """The templates, speaking this language."""
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(default=True),
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # The old way: the new one reads `%` in every text as a place for a value, also in a survey's question.
        environment.install_gettext_translations(self.texts, newstyle=False)  # type: ignore[attr-defined]
        environment.filters.update(number=self.number, moment=self.moment)
        environment.globals.update(language=self, languages=LANGUAGES.values())
        return environment

    def says(self, text: str, **values: object) -> str:
        """`text` in this language, with its values put in."""
        return self.texts.gettext(text) % values if values else self.texts.gettext(text)

    def counts(self, one: str, many: str, count: int) -> str:
        """`one` or `many` (or whatever other forms the language has), with `%(count)s` put in."""
        return self.texts.ngettext(one, many, count) % {"count": self.number(count)}

    def number(self, value: int) -> str:
        """A whole number, as it is written here."""
        return str(format_decimal(value, locale=self.locale))

    def moment(self, at: datetime) -> str:
        """A time in UTC; scripts show it in the visitor's own zone."""
        there = at.astimezone(UTC)
        return f"{format_date(there, 'long', self.locale)}, {format_time(there, 'short', locale=self.locale)} UTC"


LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (
        Language("en", "English"),
        Language("de", "Deutsch"),
        Language("es", "Español"),
        Language("fr", "Français"),
        Language("pt", "Português"),
        Language("ja", "日本語"),
        Language("ar", "العربية"),
    )
}
ENGLISH = LANGUAGES["en"]


def chosen(request: Request) -> Language | None:
    """The language that the visitor asked for by the switch, if any."""
    return LANGUAGES.get(request.query_params.get("lang", "")[:2].lower())


def language_of(request: Request) -> Language:
    """The visitor's choice, now or before; else what the browser prefers of what there is; else English."""
    before = LANGUAGES.get(request.cookies.get(COOKIE, ""))
    return chosen(request) or before or _preferred(request.headers.get("accept-language", ""))


def _preferred(header: str) -> Language:
    """By Accept-Language (RFC 9110, 12.5.4), a region's language without the region."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.split(",", _QUALITIES_MOST)[:_QUALITIES_MOST]):
        tag, _, parameter = part.partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            wanted.append((-quality, place, tag.strip().lower().partition("-")[0]))
    return next((LANGUAGES[code] for _, _, code in sorted(wanted) if code in LANGUAGES), ENGLISH)
