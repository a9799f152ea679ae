"""`heed triage`: score a file, measure scorers, train a model."""

import json
import sys
import time
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from rich.console import Console
from rich.table import Table

from heed.contracts import Decision
from heed.errors import HeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.resources.abc import Traversable

    import sqlalchemy as sa

    from heed.settings import Settings
    from worker.learning.evaluate import Figures
    from worker.learning.lines import Figure
    from worker.learning.suggest import Suggestion
    from worker.sentiment import Scorer

# Each command imports what it alone needs: scikit-learn is not there where only `score` is wanted.
app = typer.Typer(help="Score texts, measure scorers, train them, and learn from verdicts.", no_args_is_help=True)
console = Console(highlight=False, stderr=True)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="a TSV file with a header line and a column named text")],
    output: Annotated[Path | None, typer.Option(help="where to write (else: standard output)")] = None,
    scorer: Annotated[str, typer.Option(help="light, vader, a model's file, or a folder with an ONNX model")] = "light",
) -> None:
    """Score and decide each row of a file, as if it came without a vote; writes TSV, a line for each row, in order."""
    from worker.learning.score import write

    if output and output.exists() and output.samefile(file):
        raise HeedError(f"{output} is the file to score; name another to write.")
    with _open(output) as out:
        write(file, _scorer(scorer), out)


@app.command()
def evaluate(
    files: Annotated[list[Path], typer.Argument(help="TSV files with the columns text and rating (or mean_rating)")],
    scorer: Annotated[
        list[str] | None, typer.Option(help="another to measure: a model's file or a folder with an ONNX model")
    ] = None,
    out_json: Annotated[Path | None, typer.Option("--json", help="where to write all figures")] = None,
    pictures: Annotated[Path | None, typer.Option(help="a folder for the diagrams (SVG and PNG)")] = None,
    seed: Annotated[int, typer.Option(help="of the intervals")] = 1,
) -> None:
    """Measure VADER and the default scorer side by side: precision, recall, PR-AUC, calibration, speed, by file."""
    _needs_train()
    from worker.learning import evaluate as measuring
    from worker.learning.data import read
    from worker.learning.train import Recipe
    from worker.sentiment.light import SHIPPED

    rows = {file.name: read(file) for file in files}
    if len(rows) < len(files):
        raise HeedError("Two of the files have the same name; give each its own.")
    scorers = {"vader": _scorer("vader"), "light": _scorer("light"), **{each: _scorer(each) for each in scorer or ()}}
    recipe = Recipe.shipped()
    learned_from = recipe.files
    seen = {file.name for file in files if measuring.learned_from(file, learned_from)}
    unseen = {}
    with _progress() as say:
        if seen:
            folder = next(file.parent for file in files if file.name in seen)
            unseen = measuring.unseen(folder, {name: rows[name] for name in seen}, say)
        found: list[Figures] = []
        for path, (file, rated) in zip(files, rows.items(), strict=True):
            for name, each in scorers.items():
                say(f"{name} on {file}")
                said = measuring.by_scorer(each, rated)
                if name == "light" and file in unseen:
                    found.append(measuring.figures(file, "light, unseen", rated, unseen[file].at_rate(said.rate), seed))
                else:
                    model: Traversable = SHIPPED if name == "light" else Path(name)
                    flattered = model.name.endswith(".json") and measuring.has_seen(model, path)
                    title = f"{name}, seen" if flattered else name
                    found.append(measuring.figures(file, title, rated, said, seed))
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(_figures(found))
    if seen:
        console.print(
            "light, unseen: each text judged by what the same recipe learned without its review (5 parts), since the "
            "shipped model has learned from these files.",
            soft_wrap=True,
        )
    if any(each.scorer.endswith(", seen") for each in found):
        console.print("seen: the model has learned from this very file, so its figures flatter it.", soft_wrap=True)
    if out_json:
        out_json.write_text(json.dumps([each.as_json() for each in found], indent=1) + "\n", encoding="utf-8")
    if pictures:
        from worker.learning.pictures import draw

        draw(found, pictures)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="the folder with the recipe's files")],
    out: Annotated[Path, typer.Option(help="where to write the model")] = Path("light.json"),
    card: Annotated[Path | None, typer.Option(help="where to write its card (Markdown)")] = None,
    verdicts: Annotated[bool, typer.Option("--verdicts", help="learn from this deployment's verdicts too")] = False,
    seed: Annotated[int | None, typer.Option(help="of everything that is drawn by lot (else: the recipe's)")] = None,
) -> None:
    """Learn a model from rated texts and, if told so, from the verdicts of managers and agents."""
    _needs_train()
    from worker.learning.card import write as write_card
    from worker.learning.train import Corpus, Recipe
    from worker.learning.train import train as learn

    started = time.monotonic()
    if verdicts:
        from heed.settings import load_running
        from worker.learning.verdicts import rated

        with _engine(load_running()) as engine:
            own = rated(engine)
        console.print(f"{len(own.rows)} texts with a verdict are learned from; a fifth of the customers is kept apart.")
        corpus = Corpus.load(Recipe.shipped(seed), data, own.rows)
        corpus.sources["verdicts"] = own.until
    else:
        corpus = Corpus.load(Recipe.shipped(seed), data)
    with _progress() as say:
        content, judged = learn(corpus, say)
    out.write_bytes(content)
    if card:
        write_card(card, content, corpus, judged)
    console.print(f"{out}: {len(content):,} bytes, learned in {time.monotonic() - started:.0f} s.")


@app.command()
def suggest(
    survey: Annotated[str, typer.Option(help="its slug")] = "default",
    days: Annotated[int, typer.Option(min=1, max=3650, help="how far back to look")] = 30,
    model: Annotated[Path | None, typer.Option(help="compare this model of `heed triage train` instead")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="write the proposed lines into the survey")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Propose a survey's lines from its verdicts, or a model, with what would have changed; changes nothing itself."""
    _needs_train()
    from heed.settings import load_running
    from worker.learning import suggest as suggesting
    from worker.sentiment.choose import scorer

    settings = load_running()
    present = suggesting.Present.of(scorer(settings), settings.scorer)
    with _engine(settings) as engine:
        if model:
            found = suggesting.suggest_model(engine, survey, days, present, model)
        else:
            found = suggesting.suggest_lines(engine, survey, days, present)
        _tell(found, days)
        lines = found.proposed.lines
        if model:
            if accept:
                out = Console(highlight=False)
                out.print("A model is not adopted from here, since each worker reads its own. For all workers set")
                out.print(f"  HEED_SCORER={model.resolve()}", markup=False, soft_wrap=True)
                out.print("restart them, then run `heed rescore`, and `heed triage suggest` for the lines.")
        elif accept and lines == found.present.lines:
            console.print("The proposed lines are those that the survey has; nothing was written.")
        elif accept:
            if not yes:
                typer.confirm(f"Set the lines of {survey} to {lines.ticket:g} and {lines.review:g}?", abort=True)
            suggesting.accept(engine, found)
            console.print("Written. Workers decide by it within seconds; what was decided stays.")


def _scorer(name: str) -> "Scorer":
    from heed.settings import Settings
    from worker.sentiment.choose import scorer

    return scorer(Settings(scorer=name))


def _needs_train() -> None:
    try:
        import scipy  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError:
        raise HeedError(
            "This needs scikit-learn: install heed with the extra `train` (pip install heed[train])."
        ) from None


def _figures(found: "list[Figures]") -> Table:
    names = "file", "scorer", "texts", "PR-AUC", "at the ticket line: P", "R", "F1", "R at P .8", "ECE", "texts/s"
    table = Table(*names, box=None, pad_edge=False)
    for each in found:
        low, high = each.pr_auc_interval
        table.add_row(
            each.file,
            each.scorer,
            f"{each.texts:,}",
            f"{each.pr_auc:.3f} ({low:.2f} to {high:.2f})",
            f"{each.precision:.2f}",
            f"{each.recall:.2f}",
            f"{each.f1:.2f}",
            f"{each.recall_at_80:.2f}",
            f"{each.ece:.3f}",
            f"{each.texts_per_second:,.0f}" if each.texts_per_second else "",
        )
    return table


def _tell(found: "Suggestion", days: int) -> None:
    out = Console(highlight=False)
    out.print(
        f"{found.answers:,} answers of the last {days} days were decided by their words alone; "
        f"{found.verdicts:,} verdicts on them can be used.",
        soft_wrap=True,
    )
    if found.left_out:
        out.print(
            f"{found.left_out:,} more have another scorer's score and are left out; `heed rescore` takes them in.",
            soft_wrap=True,
        )
    table = Table("", "line", "precision", "recall", "F1", box=None, pad_edge=False)
    sides = (("present", found.present), ("proposed", found.proposed))
    for number, name in enumerate(("ticket", "review")):
        for title, side in sides:
            line = side.lines.review if number else side.lines.ticket
            figures = side.review if number else side.ticket
            table.add_row(f"{name}, {title}", f"{line:g}", *map(_shown, figures.values()))
        table.add_row("  difference", "", *map(_shown, found.difference[number].values()))
    out.print(table)
    if found.ticket_line and found.review_line:
        out.print(
            f"The lines lie with 95 % confidence between {found.ticket_line.low:.3f} and {found.ticket_line.high:.3f} "
            f"(ticket) and between {found.review_line.low:.3f} and {found.review_line.high:.3f} (review).",
            soft_wrap=True,
        )
        lines, ticket, review = found.present.lines, found.ticket_line, found.review_line
        if ticket.low <= lines.ticket <= ticket.high and review.low <= lines.review <= review.high:
            out.print("So do the present lines: these verdicts are no reason to move them.")
    else:
        out.print(f"present: {found.present.scorer}; proposed: {found.proposed.scorer}", markup=False, soft_wrap=True)
        if found.survey.threshold is not None or found.survey.review_threshold is not None:
            out.print("The survey has lines of its own, made for the present scorer; the new one would go by them too.")
    for name, decision in (("tickets", Decision.TICKET), ("reviews", Decision.REVIEW)):
        for way in ("more", "fewer"):
            out.print(f"{found.changes.counts[way, decision]:,} {name} {way}")
            for each, comment in found.changes.examples.get((way, decision), ()):
                out.print(f"  {each}  {comment}", markup=False, soft_wrap=True)


def _shown(figure: "Figure") -> str:
    return "" if figure.value is None else f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


@contextmanager
def _engine(settings: "Settings") -> "Iterator[sa.Engine]":
    from heed.db import engine as db
    from heed.db import schema

    engine = db.connect(settings, "triage", statement_seconds=60)
    try:
        if problem := schema.check(engine):
            raise HeedError(f"Postgres: {problem}")
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _open(output: Path | None) -> "Iterator[TextIO]":
    try:
        if output is None:
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8")  # whatever the terminal's is
            yield sys.stdout
            sys.stdout.flush()
        else:
            with output.open("w", encoding="utf-8", newline="") as file:
                yield file
    except BrokenPipeError:
        raise  # who reads it has seen enough
    except OSError as error:
        raise HeedError(f"{output or 'The output'} cannot be written: {error.strerror}.") from None


@contextmanager
def _progress() -> "Iterator[Callable[[str], None]]":
    with console.status("Reading") as status:
        yield status.update
