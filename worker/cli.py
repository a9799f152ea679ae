"""`heed rescore`, as a person runs it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from heed.contracts import Label
from heed.errors import HeedError, Invalid
from heed.settings import load_running

if TYPE_CHECKING:
    from worker.rescore import Rescore, Summary

# The rest is imported when the command runs: the other commands of `heed` should not wait for it.
console = Console(highlight=False)


def rescore(
    tickets: Annotated[bool, typer.Option("--tickets", help="then open tickets for what was overlooked")] = False,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="with --tickets: only for what came since (UTC)")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Score all feedback anew with this version's scorer; former scores are kept, decisions stay."""
    from heed.db import engine as db
    from heed.db import schema
    from worker.rescore import Rescore, alone
    from worker.sentiment.choose import scorer

    if since is not None and not tickets:
        raise Invalid("--since says for what tickets are opened: give --tickets with it.")
    settings = load_running()
    chosen = scorer(settings)
    engine = db.connect(settings, "rescore")
    try:
        with alone(engine):
            problem = schema.check(engine)
            if problem:
                raise HeedError(f"Postgres: {problem}")
            run = Rescore(engine, chosen, settings.batch_size)
            with _progress() as progress:
                task = progress.add_task("Scoring", total=run.total())
                for rows in run.score():
                    progress.advance(task, rows)
            _tell(run.summary, chosen.name)
            if tickets:
                _tickets(run, since and since.replace(tzinfo=UTC), yes)
    finally:
        engine.dispose()


def _tickets(run: "Rescore", since: datetime | None, yes: bool) -> None:
    found = sum(1 for _ in run.overlooked(since))
    if not found:
        console.print("No ticket is to be opened.")
        return
    console.print(f"By their words {found} answers need a person now and have no ticket; nobody has judged them.")
    if not yes:
        typer.confirm(f"Open {found} tickets?", abort=True)
    with _progress() as progress:
        task = progress.add_task("Opening tickets", total=found)
        opened = 0
        for each in run.overlooked(since):
            opened += run.select(each)
            progress.advance(task)
    console.print(f"{opened} tickets are on their way.")


def _tell(summary: "Summary", scorer: str) -> None:
    console.print(f"{summary.scored} answers have a new score, by {scorer}.", markup=False, soft_wrap=True)
    if summary.scored:
        labels = Table("label", "before", "now", box=None, pad_edge=False)
        for label in Label:
            labels.add_row(label, str(summary.before[label]), str(summary.now[label]))
        console.print(labels)
    for (then, now), answers in sorted(summary.decisions.items()):
        console.print(f"{answers} decided {then} would be {now} by today's lines; what was decided stays.")
    if summary.waiting:
        console.print(f"{summary.waiting} keep their score while their tickets are on the way; run it again later.")
    if summary.unscored:
        first = ", ".join(summary.unscored_ids)
        console.print(f"{summary.unscored} could not be scored and stay as they are: {first}", soft_wrap=True)


class _Rate(ProgressColumn):
    """Answers a second."""

    def render(self, task: Task) -> Text:
        """Nothing until it is known."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
