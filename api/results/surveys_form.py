"""Between a survey's definition and the fields of the page that changes it.

Guarantees: whatever is sent under whatever name is read as text of a known field or ignored; each thing that is wrong
is said in plain words, once, with the field to go to; a definition that goes to the page and comes back is the same.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import FormData

from heed.contracts import Survey
from heed.contracts.survey import OPTIONS_MOST
from heed.definition import BURST_MOST, Wrong
from heed.web.languages import LANGUAGES

Given = Mapping[str, str]
UNHAPPY = "unhappy_ratings."  # and the rating
_CHECKED = "yes"
_PARTS = ("key", "label", "face")  # of an option
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")

_SAYS = {
    "slug": "The name is 1 to 63 of a to z, 0 to 9 and -, and does not begin with -.",
    "question": "Ask something, in at most 300 characters.",
    "label": "Each option needs a label of at most 80 characters.",
    "key": "A key is 1 to 32 of a to z, 0 to 9, - and _, and begins with a letter or a digit.",
    "face": "A face is at most 8 characters, such as 🙂.",
    "threshold": "The ticket line is above 0 and at most 100 %. Leave it empty for the model's own.",
    "review_threshold": "The review line is above 0 and at most 100 %. Leave it empty for the model's own.",
    "language": "Choose the language that the question is in.",
    "origins": "An origin is a scheme and a host, such as https://shop.example; all have at most 3,000 characters.",
    "opens_at": "Give the day and the time when it opens, or leave both empty.",
    "closes_at": "It closes after it opens. Give the day and the time, or leave both empty.",
    "burst": f"A burst is a whole number from 1 to {BURST_MOST:,}. Leave it empty for no limit.",
    "color": "A colour is # and six of 0 to 9 and a to f, such as #0b6b53.",
}


def given_by(form: FormData) -> dict[str, str]:
    """The fields as text; files are ignored."""
    # Browsers send line breaks as CR LF.
    given = {name: value.replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str)}
    return _closed_up(given)


def _closed_up(given: dict[str, str]) -> dict[str, str]:
    """The same without the options of which nothing is said: those behind them close up."""
    said = [
        number
        for number in range(OPTIONS_MOST)
        if any(given.get(f"options.{number}.{part}", "").strip() for part in _PARTS)
    ]
    where = {str(old): str(new) for new, old in enumerate(said)}
    closed = {f"options.{number}.{part}": "" for number in range(2) for part in _PARTS}
    for name, value in given.items():
        before, options, rest = name.partition("options.")
        number, dot, part = rest.partition(".")
        if not options:
            closed[name] = value
        elif number in where:
            closed[f"{before}{options}{where[number]}{dot}{part}"] = value
    return closed


def definition_of(given: Given, slug: str) -> dict[str, Any]:
    """The JSON values that the fields say, for heed.definition."""

    def said(name: str) -> str:
        return given.get(name, "").strip()

    # Two are always asked for; of the others those of which something is said.
    many = max([2, *(int(name.split(".")[1]) + 1 for name in given if re.fullmatch(r"options\.[0-4]\.key", name))])
    keys = [said(f"options.{number}.key") for number in range(many)]
    defined: dict[str, Any] = {
        "slug": slug,
        "question": said("question"),
        "options": [
            {
                "key": key,
                "label": said(f"options.{number}.label"),
                "face": said(f"options.{number}.face"),
                "unhappy": f"options.{number}.unhappy" in given,
            }
            for number, key in enumerate(keys)
        ],
        "rating": "rating" in given,
        "unhappy_ratings": [rating for rating in range(1, 6) if f"{UNHAPPY}{rating}" in given],
        "threshold": _share(said("threshold")),
        "review_threshold": _share(said("review_threshold")),
        "language": said("language"),
        "texts": {},
        "origins": said("origins").split(),
        "opens_at": _moment(said("opens_at")),
        "closes_at": _moment(said("closes_at")),
        "burst": said("burst") or None,
        "color": said("color").lower() or None,
    }
    for code in {name.split(".")[1] for name in given if name.startswith("texts.") and name.count(".") > 1}:
        labels = {key: said(f"texts.{code}.options.{number}") for number, key in enumerate(keys)}
        texts = {
            "question": said(f"texts.{code}.question"),
            "options": {key: each for key, each in labels.items() if each},
        }
        if texts["question"] or texts["options"]:
            defined["texts"][code] = texts
    return defined


def fields_of(survey: Survey) -> dict[str, str]:
    """The fields that say this survey."""
    fields = {
        "slug": survey.slug,
        "version": str(survey.version),
        "question": survey.question,
        "threshold": percent(survey.threshold),
        "review_threshold": percent(survey.review_threshold),
        "language": survey.language,
        "origins": "\n".join(survey.origins),
        "opens_at": _field(survey.opens_at),
        "closes_at": _field(survey.closes_at),
        "burst": str(survey.burst or ""),
        "color": survey.color or "",
    }
    for number, option in enumerate(survey.options):
        where = f"options.{number}."
        fields |= {f"{where}key": option.key, f"{where}label": option.label, f"{where}face": option.face}
        fields |= {f"{where}unhappy": _CHECKED} if option.unhappy else {}
    fields |= {"rating": _CHECKED} if survey.rating else {}
    fields |= {f"{UNHAPPY}{rating}": _CHECKED for rating in survey.unhappy_ratings}
    for code, texts in survey.texts.items():
        fields[f"texts.{code}.question"] = texts.question
        for number, option in enumerate(survey.options):
            fields[f"texts.{code}.options.{number}"] = texts.options.get(option.key, "")
    return fields


def sentences(wrongs: Collection[Wrong], given: Given) -> list[dict[str, str]]:
    """What is wrong, each once, with the field that it is about."""
    found: dict[str, dict[str, str]] = {}
    for wrong in wrongs:
        field, message = _sentence(wrong, given)
        found.setdefault(field, {"field": field, "message": message})
    return list(found.values())


def percent(share: float | None) -> str:
    """A share as a field says it, in percent."""
    return "" if share is None else f"{share * 100:.10g}"


def share(text: str) -> Any:
    """The share that a field says; what is no number stays as it is, to be refused."""
    return _share(text.strip())


def _sentence(wrong: Wrong, given: Given) -> tuple[str, str]:
    parts = wrong.field.split(".")
    if "NUL" in wrong.why:
        message = "This has a character that cannot be kept. Remove it."
    elif wrong.field == "options":
        return "options.0.key", f"The option {wrong.why.partition(' ')[0]} has to stay: answers chose it."
    elif "two options" in wrong.why:
        message = "Another option has this key."
    elif parts[0] == "texts":
        language = LANGUAGES[parts[1]].name if len(parts) > 1 and parts[1] in LANGUAGES else "this language"
        message = f"{language}: ask in at most 300 characters, and keep labels to at most 80."
    else:
        last = parts[-1] if parts[0] == "options" else parts[0]
        message = _SAYS.get(last, f"This cannot be taken: {wrong.why}")
        if wrong.field == "slug" and ("already" in wrong.why or "another name" in wrong.why):
            message = wrong.why
    field = wrong.field if wrong.field in given else parts[0]
    if parts[0] == "texts":
        field = ".".join([*parts[:2], "question"])
    return field, message


def _share(text: str) -> Any:
    if not text:
        return None
    try:
        return round(float(text.replace(",", ".")) / 100, 12)
    except ValueError:
        return text


def _moment(text: str) -> str | None:
    """A browser's local time, which the page has in UTC."""
    return f"{text}Z" if _LOCAL.fullmatch(text) else text or None


def _field(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").removesuffix(":00")
