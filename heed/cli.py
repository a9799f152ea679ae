"""The `heed` command. Services add commands by the entry point group `heed.commands`.

Guarantees: what a person can put right is one clear line on standard error and a non-zero exit code, never a
traceback.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from heed import survey_cli, user_cli
from heed.errors import HeedError, Invalid, Later
from heed.settings import Settings, load_running

# Each command imports what it alone needs: `heed up` should wait neither for an ORM nor for an HTTP client.
if TYPE_CHECKING:
    import sqlalchemy as sa

    from heed.load import Outcome

app = typer.Typer(
    help="Heed listens to customers.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
console = Console(highlight=False)
app.add_typer(survey_cli.app, name="survey")
app.add_typer(user_cli.app, name="user")


@app.command()
def migrate() -> None:
    """Bring the database's schema to this version."""
    from heed.db.migrate import migrate as run

    with database(load_running()) as engine:
        console.print(f"The schema is at {run(engine)}.")


@app.command()
def login() -> None:
    """Print a link that logs a manager in to the results site, once, within an hour."""
    from heed.links import make_login_token

    settings = load_running()
    site = str(settings.results_url or f"http://127.0.0.1:{settings.results_port}").rstrip("/")
    sys.stdout.write(f"{site}/login?once={make_login_token(settings.need('secret_key'))}\n")


@app.command("identity-key")
def identity_key() -> None:
    """Print the key with which your server proves who its users are (docs/embed.md)."""
    from heed.identity import identity_key as make

    sys.stdout.write(make(load_running().need("secret_key")) + "\n")


@app.command()
def secrets(folder: Annotated[Path, typer.Argument(help="where to keep them and to hand them out")]) -> None:
    """Make the secrets of a system in containers, each once, and hand each service its own."""
    from heed.secrets import hand_out

    hand_out(folder)
    console.print(f"The secrets are in {folder}.")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="a CSV or TSV file with a header line")],
    survey: Annotated[str, typer.Option(help="the survey that is answered")] = "default",
    column: Annotated[str | None, typer.Option(help="the column of words (else: text or comment)")] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="at most so many a second")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first so many rows")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="requests at once")] = 8,
) -> None:
    """Send each row of a file as a customer's answer, through the public API."""
    from heed import load as loading

    settings = load_running()
    rows = loading.read(file, column, limit)
    for notice in rows.notices:
        console.print(notice, markup=False, soft_wrap=True)
    base = str(settings.feedback_url or f"http://127.0.0.1:{settings.feedback_port}").rstrip("/")
    key = settings.api_key.get_secret_value() if settings.api_key else None
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Sending", total=len(rows.bodies))
        outcome = asyncio.run(
            loading.send(
                rows,
                f"{base}/api/v1/surveys/{survey}/feedback",
                key,
                rate=rate,
                concurrency=concurrency,
                done=lambda: progress.advance(task),
            )
        )
    console.print(_summary(outcome))
    if outcome.accepted != len(rows.bodies):
        raise typer.Exit(1)


def _summary(outcome: "Outcome") -> Table:
    table = Table("", "rows", "", box=None, pad_edge=False)
    timing = f"{outcome.accepted / outcome.elapsed:.0f}/s" if outcome.elapsed else ""
    if outcome.accepted:
        timing += f", p50 {outcome.percentile(0.5) * 1000:.0f} ms, p99 {outcome.percentile(0.99) * 1000:.0f} ms"
    table.add_row("accepted", str(outcome.accepted), timing)
    for status, count in sorted(outcome.statuses.items()):
        if status != 202:
            name = f"refused, {status}" if status else "no answer"
            table.add_row(name, str(count), outcome.reasons.get(status, ""))
    return table


@app.command()
def books(json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """Show the books: is everything that was accepted somewhere, has everything selected a ticket?"""
    from heed.books import in_words, take
    from heed.stream.queue import Queue

    settings = load_running()
    with database(settings) as engine:
        taken = take(engine, Queue.connect(settings))
    if json:
        sys.stdout.write(taken.model_dump_json(indent=2) + "\n")
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        for name in (
            "accepted",
            "stored",
            "quarantined",
            "queued",
            "lost",
            "selected",
            "ticketed",
            "in_flight",
            "failed",
        ):
            value = getattr(taken, name)
            if name != "lost" or value:
                table.add_row(name.replace("_", " "), "unknown" if value is None else str(value))
        console.print(table)
        for each in taken.settlements:
            said = f"Settled on {each.at:%Y-%m-%d at %H:%M} UTC: {in_words(each)}; reason: {each.reason}"
            console.print(said, markup=False, soft_wrap=True)
        for problem in taken.problems:
            console.print(problem, markup=False, soft_wrap=True)
        closed = {
            True: "The books balance.",
            False: "The books do not balance.",
            None: "The books cannot be closed now.",
        }
        console.print(closed[taken.balanced])
    if not taken.balanced:
        raise typer.Exit(1)


@app.command()
def settle(
    reason: Annotated[str, typer.Argument(help="why the books differ, such as: restored from last night's backup")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """After a recovery: write off what was lost, count in what an earlier queue accepted."""
    from heed import books
    from heed.contracts.text import storable
    from heed.stream.queue import Queue

    try:
        reason = storable(reason.strip())
    except ValueError as error:
        raise Invalid(f"The reason cannot be kept: {error}") from None
    if not reason:
        raise Invalid("Say why the books differ; it stays in them.")
    settings = load_running()
    with database(settings) as engine:
        queue = Queue.connect(settings)
        found = books.difference(engine, queue)
        if found.lost or found.earlier:
            console.print(f"To settle: {books.in_words(found)}.")
            if not yes:
                typer.confirm("Settle it? It stays in the books for good", abort=True)
            found = books.settle(engine, queue, reason, found)
            console.print(f"Settled: {books.in_words(found)}.")
        taken = books.take(engine, queue)
    if taken.balanced:
        console.print("The books balance.")
        return
    for problem in taken.problems:
        console.print(problem, markup=False, soft_wrap=True)
    console.print("The books do not balance yet; once the queue is empty, do it again.")
    raise typer.Exit(1)


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="quarantine numbers and feedback ids; none: all")] = None,
    tickets: Annotated[bool, typer.Option("--tickets", help="failed tickets")] = False,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="what is in quarantine")] = False,
    everything: Annotated[bool, typer.Option("--all", help="both")] = False,
) -> None:
    """Try again what failed: submissions in quarantine, tickets that the desk refused."""
    from heed.db import audit, ledger
    from heed.db import engine as db
    from heed.db import quarantine as held

    if bool(ids) == (tickets or quarantine or everything):
        raise Invalid("Say what to try again: ids, or one of --quarantine, --tickets and --all.")
    numbers, uuids = _ids(ids) if ids else (None, None)
    with database(load_running()) as engine, db.begin(engine) as connection:
        submissions = held.ask_replay(connection, numbers) if ids or quarantine or everything else 0
        refused = ledger.replay_failed(connection, uuids) if ids or tickets or everything else 0
        asked = {"submissions": submissions, "tickets": refused}
        audit.note(connection, audit.COMMAND, audit.Action.REPLAY, "", **asked)
    console.print(f"Trying again: {submissions} from quarantine, {refused} tickets.")


def _ids(ids: list[str]) -> tuple[list[int], list[UUID]]:
    """Quarantine numbers and feedback ids, told apart by their form."""
    try:
        return [int(each) for each in ids if each.isdecimal()], [UUID(each) for each in ids if not each.isdecimal()]
    except ValueError:
        raise Invalid("An id is a number from the quarantine or the UUID of a submission.") from None


@contextmanager
def database(settings: Settings) -> Iterator["sa.Engine"]:
    """Postgres for one command; what goes wrong with it is told in a sentence."""
    from sqlalchemy.exc import ProgrammingError

    from heed.db import engine as db

    engine = db.connect(settings, "cli")
    try:
        yield engine
    except db.RETRYABLE as error:
        raise Later(f"Postgres: {db.first_line(error)}") from error
    except ProgrammingError as error:  # such as a table that is not there
        raise HeedError(f"Postgres: {db.first_line(error)}; is the schema this version's? See: heed migrate") from error
    finally:
        engine.dispose()


def _contributed(point: EntryPoint) -> Callable[..., None] | typer.Typer:
    """The command (or group of commands) of an entry point; where its service is not installed, one that says so."""
    try:
        loaded: Callable[..., None] | typer.Typer = point.load()
    except ImportError as error:
        missing = str(error)

        def absent() -> None:
            """Not installed here."""
            raise HeedError(f"`heed {point.name}` is not installed here: {missing}.")

        return absent
    return loaded


def main() -> None:
    """Run the command line."""
    for point in entry_points(group="heed.commands"):
        command = _contributed(point)
        if isinstance(command, typer.Typer):  # several in a group
            app.add_typer(command, name=point.name)
        else:
            app.command(point.name)(command)
    try:
        app()
    except HeedError as error:
        sys.stderr.write(f"heed: {error}\n")
        sys.exit(1)
