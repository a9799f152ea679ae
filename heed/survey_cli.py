"""`heed survey`: see what is asked, and change it.

Guarantees: a definition is taken whole or not at all; what is wrong with it is told by its field, a misspelt field
included; what `show` prints is what `save` takes.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heed.errors import HeedError, Invalid
from heed.settings import load_running

if TYPE_CHECKING:
    from heed.contracts import Survey

# Each command imports what it alone needs, as those of `heed.cli` do.
app = typer.Typer(help="See what is asked, and change it.", no_args_is_help=True)
console = Console(highlight=False)
MOST = 1_000_000  # characters of a definition: enough for every language there is


@app.command("list")
def every() -> None:
    """List the surveys."""
    from heed.cli import database
    from heed.db import engine as db
    from heed.db import surveys

    with database(load_running()) as engine, db.begin(engine) as connection:
        found = surveys.every(connection)
    table = Table("survey", "asks", "options", "languages", "now", box=None, pad_edge=False)
    for each in found:
        options = ", ".join(option.key for option in each.options)
        languages = ", ".join(dict.fromkeys([each.language, *each.texts]))
        state = {"early": "not open yet", "open": "open", "closed": "closed"}[each.state(datetime.now(UTC))]
        table.add_row(each.slug, escape(_one_line(each.question)), options, languages, state)
    console.print(table)


@app.command()
def show(slug: Annotated[str, typer.Argument(help="its name in addresses")]) -> None:
    """Print a survey's definition as JSON, as `save` takes it."""
    from heed.cli import database
    from heed.db import engine as db
    from heed.db import surveys

    with database(load_running()) as engine, db.begin(engine) as connection:
        found = surveys.one(connection, slug)
    if found is None:
        raise HeedError(f"There is no survey {slug}; see: heed survey list")
    sys.stdout.write(json.dumps(found.written(), indent=2, ensure_ascii=False) + "\n")


@app.command()
def save(file: Annotated[Path, typer.Argument(help="a survey's definition as JSON; - reads standard input")]) -> None:
    """Make a survey, or change one."""
    from heed.cli import database
    from heed.db import engine as db
    from heed.db import surveys

    survey = parse(_read(file))
    with database(load_running()) as engine, db.begin(engine) as connection:
        new = surveys.save(connection, survey)
    made = "made" if new else "changed"
    console.print(f"The survey {survey.slug} is {made}; the form shows it within seconds.", soft_wrap=True)


def parse(text: str) -> "Survey":
    """The survey that a text defines; `Invalid` names each field that is wrong."""
    from pydantic import ValidationError

    from heed.contracts import Survey

    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This is not JSON: {error}") from None
    try:
        survey = Survey.model_validate(said)
    except ValidationError as error:
        problems = [(".".join(map(str, found["loc"])), found["msg"]) for found in error.errors()]
    else:
        problems = list(_problems(said, survey))
    if problems:
        lines = [_one_line(f"{field or 'survey'}: {why}") for field, why in problems]
        raise Invalid("\n".join(["The survey is not saved.", *lines]))
    return survey


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(4 * MOST)
        else:
            with file.open("rb") as opened:
                content = opened.read(4 * MOST)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid(f"{file} is not text in UTF-8.") from None
    if len(text) > MOST:
        raise Invalid(f"{file} is too long for a survey.")
    return text


def _problems(said: dict[str, Any], survey: "Survey") -> Iterator[tuple[str, str]]:
    """What a survey that older versions may have written is allowed, and what a person did not mean."""
    from heed.contracts import Option, Survey, Texts

    parts: list[tuple[str, Any, type[Any]]] = [("", said, Survey)]
    parts += [(f"options.{number}.", each, Option) for number, each in enumerate(said["options"])]
    parts += [(f"texts.{language}.", each, Texts) for language, each in said.get("texts", {}).items()]
    for where, part, model in parts:
        for name in part.keys() - model.model_fields.keys():
            yield f"{where}{name}", f"there is no such field; there are: {', '.join(model.model_fields)}"
    keys = [option.key for option in survey.options]
    if len(set(keys)) < len(keys):
        yield "options", f"two options have the key {keys[0]!r}"
    for language, texts in survey.texts.items():
        for key in texts.options:
            if key not in keys:
                yield f"texts.{language}.options.{key}", f"the survey has no such option; it has: {', '.join(keys)}"
    if survey.opens_at and survey.closes_at and survey.closes_at <= survey.opens_at:
        yield "closes_at", "it is not after opens_at"
    for where, text in _texts(said):
        if "\x00" in text:
            yield where, "it contains a NUL character"


def _texts(said: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """All texts in JSON, with where they are."""
    if isinstance(said, str):
        yield where, said
    elif isinstance(said, (dict, list)):
        for name, each in said.items() if isinstance(said, dict) else enumerate(said):
            yield from _texts(each, f"{where}.{name}" if where else str(name))


def _one_line(text: str) -> str:
    """Without what a terminal would take for an order, or could not show."""
    return "".join(each if each.isprintable() else " " for each in text)
