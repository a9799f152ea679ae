"""The catalogues say everything that the customers' pages say, and the right visitor gets each."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from starlette.requests import Request

from heed.web.languages import ENGLISH, LANGUAGES, LOCALES, language_of

ROOT = Path(__file__).parents[2]
KEYWORDS = {"_": None, "says": None, "counts": (1, 2)}  # as `make texts` has them
TRANSLATED = [code for code in LANGUAGES if code != "en"]


@pytest.fixture(scope="module")
def said() -> set[str | tuple[str, ...]]:
    """Every text of the templates and of the pages' code."""
    with (LOCALES / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file, "babel.cfg")
    found: set[str | tuple[str, ...]] = set()
    for _file, _line, text, *_ in extract_from_dir(ROOT, methods, options, keywords=KEYWORDS):
        found.add(text)
    assert len(found) > 60
    return found


def catalogue(code: str) -> Catalog:
    with (LOCALES / code / "LC_MESSAGES" / "feedback.po").open("rb") as file:
        return read_po(file, locale=code)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_misses_nothing(code: str, said: set[str | tuple[str, ...]]) -> None:
    texts = {message.id: message for message in catalogue(code) if message.id}
    assert said - texts.keys() == set(), "run `make texts` and translate these"
    assert texts.keys() - said == set(), "run `make texts`: nothing says these any more"
    for message in texts.values():
        forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
        assert all(forms), f"{code} does not say {message.id!r}"
        assert not message.fuzzy, f"{code} is not sure of {message.id!r}"


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_value_has_its_place(code: str) -> None:
    for message in catalogue(code):
        if message.id and not message.pluralizable:
            assert re.findall(r"%\(\w+\)s", str(message.string)) == re.findall(r"%\(\w+\)s", str(message.id))
    for count in range(120):
        said = LANGUAGES[code].counts("Please send it again in %(count)s second.", "…seconds.", count)
        assert "%" not in said


def test_plurals_are_the_languages_own() -> None:
    def forms(code: str) -> int:
        one, many = "Please send it again in %(count)s second.", "Please send it again in %(count)s seconds."
        said = (LANGUAGES[code].counts(one, many, count) for count in range(200))
        return len({re.sub(r"\d+", "#", text) for text in said})

    assert forms("en") == forms("de") == 2
    assert forms("ja") == 1
    assert forms("ar") >= 4


@pytest.mark.parametrize(
    ("header", "cookie", "query", "wanted"),
    [
        ("de-CH,de;q=0.9,en;q=0.8", "", "", "de"),
        ("xx,ja;q=0.5,fr;q=0.7", "", "", "fr"),
        ("fil;q=1,pt-BR;q=0.5", "", "", "pt"),
        ("arn-CL, ES-cl;q=0.8", "", "", "es"),  # Mapudungun is not Arabic
        ("de;q=0,es;q=0.1", "", "", "es"),
        ("zh", "", "", "en"),
        ("", "", "", "en"),
        ("*", "", "", "en"),
        ("de;q=x, fr", "", "", "fr"),
        ("de;q=nan, fr", "", "", "fr"),
        (",".join(["xx"] * 5000), "", "", "en"),
        ("de", "fr", "", "fr"),
        ("de", "nonsense", "", "de"),
        ("de", "fr", "lang=ar", "ar"),
        ("de", "fr", "lang=pt-BR", "pt"),
        ("de", "fr", "lang=%00", "fr"),
    ],
)
def test_which_language(header: str, cookie: str, query: str, wanted: str) -> None:
    headers = [(b"accept-language", header.encode()), (b"cookie", f"heed_language={cookie}".encode())]
    request = Request({"type": "http", "headers": headers, "query_string": query.encode()})
    assert language_of(request).code == wanted


def test_english_needs_no_catalogue() -> None:
    assert ENGLISH.says("Send") == "Send"
    assert ENGLISH.number(5000) == "5,000"
