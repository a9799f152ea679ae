"""`heed demo`, as a person runs it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from heed.errors import HeedError
from heed.settings import load_running

if TYPE_CHECKING:
    from worker.demo.fill import Demo

# The rest is imported when the command runs: the other commands of `heed` should not wait for it.
console = Console(highlight=False, soft_wrap=True)
MOST = 200_000


def demo(
    answers: Annotated[int, typer.Option(min=1, max=MOST, help="how many, over a year")] = 5_000,
    remove: Annotated[bool, typer.Option("--remove", help="take all of it away again")] = False,
) -> None:
    """Fill a survey `demo` with a year of made-up answers, to try the results site with; no ticket is opened."""
    from heed.db import engine as db
    from heed.db import schema
    from worker.demo.fill import Demo
    from worker.sentiment.choose import scorer

    settings = load_running()
    engine = db.connect(settings, "demo")
    try:
        problem = schema.check(engine)
        if problem:
            raise HeedError(f"Postgres: {problem}")
        made = Demo(engine, scorer(settings))
        site = str(settings.results_url or f"http://127.0.0.1:{settings.results_port}").rstrip("/")
        if remove:
            _remove(made)
        else:
            _fill(made, answers, site)
    finally:
        engine.dispose()


def _fill(made: "Demo", answers: int, site: str) -> None:
    filled = made.begin(datetime.now(UTC), answers)
    added = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Making up answers", total=filled.answers, completed=filled.done)
        for step in made.fill(filled):
            added += step
            progress.advance(task, step)
    if added:
        console.print(f"{added:,} made-up answers are in the survey `demo`: {site}/s/demo", markup=False)
    else:
        console.print(
            f"The survey `demo` is there already, with {filled.answers:,} made-up answers up to "
            f"{filled.until:%Y-%m-%d}; nothing is added: {site}/s/demo",
            markup=False,
        )
        if answers != filled.answers:
            console.print("For another number, take these away first.")
    console.print("Take them away again: heed demo --remove", markup=False)


def _remove(made: "Demo") -> None:
    gone = made.remove()
    if gone is None:
        console.print("There are no made-up answers; nothing is removed.")
    else:
        console.print(f"{gone:,} made-up answers are gone, and everything that was made of them.")
