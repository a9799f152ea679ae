"""What `heed backup` and `heed restore` show: on a terminal progress, elsewhere JSON log lines.

Guarantees: SIGTERM and Ctrl-C clean up like any other failure.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Column, Table

from backup.catalogue import Manifest
from backup.watch import Watch
from heed import telemetry
from heed.settings import Settings

console = Console(highlight=False)


def overview(there: Sequence[Manifest]) -> None:
    """A table of backups."""
    name = Column("name", no_wrap=True)  # whole, however narrow the terminal is: `heed restore` wants it
    table = Table(name, "age", "size", "answers", "tickets", "quarantine", "schema", box=None, pad_edge=False)
    for each in there:
        numbers = (each.counts.feedback, sum(each.counts.tickets.values()), each.counts.quarantine)
        table.add_row(each.name, age(each), decimal(each.bytes), *map(str, numbers), each.revision)
    console.print(table)


def told(manifest: Manifest) -> str:
    """What is in a backup."""
    held = manifest.counts
    return f"{held.feedback} answers, {sum(held.tickets.values())} tickets, {decimal(manifest.bytes)}"


def age(manifest: Manifest) -> str:
    """How old it is."""
    since = max(datetime.now(UTC) - manifest.taken_at, timedelta())
    hours, seconds = divmod(round(since.total_seconds()), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min {seconds % 60} s"


def say(sentence: str) -> None:
    """A sentence for people."""
    console.print(sentence, markup=False, soft_wrap=True)


class _Terminal(Watch):
    """Shows each step with its bytes, and the table it has come to."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def step(self, what: str, total: int | None = None) -> None:
        """A line of its own for each step."""
        self._step = what
        self._task = self._progress.add_task(what, total=total)

    def table(self, name: str) -> None:
        """Name it in the step's line."""
        self._progress.update(self._task, description=f"{self._step} {name.removeprefix('public.')}")

    def moved(self, count: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, count)


@contextmanager
def watching(settings: Settings) -> Iterator[Watch]:
    """Who looks on for the block."""
    signal.signal(signal.SIGTERM, _ended)
    if not console.is_terminal:
        telemetry.configure("backup", settings.log_level)
        yield Watch()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        yield _Terminal(progress)


def _ended(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
