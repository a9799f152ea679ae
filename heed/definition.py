"""A survey's definition as a person gives it.

Guarantees: it is taken whole or not at all; everything that is wrong is told by its field, what a person cannot have
meant included: a misspelt field, two options of one name, an end before the beginning.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from heed.contracts import Option, Survey, Texts
from heed.errors import Invalid

BURST_MOST = 1_000_000


class Wrong(NamedTuple):
    """What is wrong with which field; `field` is empty for the whole."""

    field: str
    why: str


class NotASurvey(Invalid):
    """It is not saved, for these reasons."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        self.wrongs = [Wrong(_one_line(wrong.field), _one_line(wrong.why)) for wrong in wrongs]
        lines = [f"{wrong.field or 'survey'}: {wrong.why}" for wrong in self.wrongs]
        super().__init__("\n".join(["The survey is not saved.", *lines]))


def read(said: Any) -> Survey:
    """The survey that JSON values define; NotASurvey names each field that is wrong."""
    try:
        survey = Survey.model_validate(said)
    except ValidationError as error:
        raise NotASurvey([Wrong(".".join(map(str, found["loc"])), found["msg"]) for found in error.errors()]) from None
    if wrongs := list(_wrongs(said, survey)):
        raise NotASurvey(wrongs)
    return survey


def _wrongs(said: dict[str, Any], survey: Survey) -> Iterator[Wrong]:
    """What a survey that older versions may have written is allowed, and what a person did not mean."""
    parts: list[tuple[str, Any, type[BaseModel]]] = [("", said, Survey)]
    parts += [(f"options.{number}.", each, Option) for number, each in enumerate(said["options"])]
    parts += [(f"texts.{language}.", each, Texts) for language, each in said.get("texts", {}).items()]
    for where, part, model in parts:
        for name in part.keys() - model.model_fields.keys():
            yield Wrong(f"{where}{name}", f"there is no such field; there are: {', '.join(model.model_fields)}")
        for name in ("question", "label"):
            if name in part and not part[name].strip():
                yield Wrong(f"{where}{name}", "it is empty")
    keys = [option.key for option in survey.options]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            yield Wrong(f"options.{number}.key", f"two options have the key {key!r}")
    for language, texts in survey.texts.items():
        for key in texts.options:
            if key not in keys:
                yield Wrong(
                    f"texts.{language}.options.{key}", f"the survey has no such option; it has: {', '.join(keys)}"
                )
    if survey.opens_at and survey.closes_at and survey.closes_at <= survey.opens_at:
        yield Wrong("closes_at", "it is not after opens_at")
    if survey.burst is not None and survey.burst > BURST_MOST:
        yield Wrong("burst", f"it is more than {BURST_MOST}")
    for where, text in _texts(said):
        if "\x00" in text:
            yield Wrong(where, "it contains a NUL character")


def _texts(said: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """All texts in JSON, with where they are."""
    if isinstance(said, str):
        yield where, said
    elif isinstance(said, (dict, list)):
        for name, each in said.items() if isinstance(said, dict) else enumerate(said):
            yield from _texts(each, f"{where}.{name}" if where else str(name))


def _one_line(text: str) -> str:
    """Without what a terminal would take for an order, and what neither it nor JSON could show."""
    return "".join(each if each.isprintable() else " " for each in text)
