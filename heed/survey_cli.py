"""`heed survey`: see what is asked, and change it.

Guarantees: a definition is taken whole or not at all (heed.definition); what `show` prints is what `save` takes.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heed.errors import HeedError, Invalid
from heed.settings import load_running

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
    """Make a survey, or change one. With a `version`, as `show` prints it, only while that is the newest; without one
    it takes the place of whatever is there."""
    from heed import definition
    from heed.cli import database
    from heed.db import audit, surveys
    from heed.db import engine as db

    said = parse(_read(file))
    survey = definition.read(said)
    with database(load_running()) as engine, db.begin(engine) as connection:
        if "version" not in said and (newest := surveys.one(connection, survey.slug, hold=True)) is not None:
            survey = survey.model_copy(update={"version": newest.version})
        saved = surveys.save(connection, audit.COMMAND, survey)
    if not saved.new and not saved.changed:
        console.print(f"The survey {survey.slug} is what it was: version {saved.survey.version}.", soft_wrap=True)
        return
    made = "made" if saved.new else f"changed: version {saved.survey.version}"
    console.print(f"The survey {survey.slug} is {made}. The form shows it within seconds.", soft_wrap=True)


def parse(text: str) -> Any:
    """The JSON values of a text; `Invalid` when it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This is not JSON: {error}") from None


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


def _one_line(text: str) -> str:
    """Without what a terminal would take for an order, or could not show."""
    return "".join(each if each.isprintable() else " " for each in text)
