"""What `heed up` shows: each part as it gets ready, then where everything is. Plain lines when it is no terminal.

Guarantees: showing never fails; a link is never broken over two lines.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Facts:
    """What a person needs once all is ready: names and values, and a link that logs them in, where there is a site."""

    lines: Sequence[tuple[str, str]]
    login: str | None


class Terminal(Console):
    """Where people read. When nobody does any more (the pipe is closed), rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Be quiet from now on."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


class Display:
    """Tells the person at the terminal what happens (local.supervisor.Report)."""

    def __init__(self, console: Console, names: Sequence[str], facts: Callable[[], Facts]) -> None:
        self._console = console
        self._rows: dict[str, Spinner | Text] = {name: Text("waiting", "dim") for name in names}
        self._facts = facts
        self._live: Live | None = None

    @contextlib.contextmanager
    def showing(self) -> Iterator[None]:
        """While the parts start: a table that changes, on a terminal."""
        try:
            if self._console.is_terminal:
                self._live = Live(self._table(), console=self._console, refresh_per_second=12)
                self._live.start()
            yield
        finally:
            self._end_table()

    def starting(self, name: str) -> None:
        """Its process is there."""
        if self._live is not None:
            self._rows[name] = Spinner("dots", Text("starting", "yellow"))
            self._live.update(self._table())

    def ready(self, name: str, seconds: float) -> None:
        """It is ready for the first time."""
        if self._live is not None:
            self._rows[name] = Text(f"✓ {seconds:.1f} s", "green")
            self._live.update(self._table())
        else:
            self.say(f"{name} is ready ({seconds:.1f} s)")

    def started(self, seconds: float) -> None:
        """Everything is ready."""
        self._end_table()
        facts = self._facts()
        with contextlib.suppress(OSError):
            if self._console.is_terminal:
                table = Table.grid(padding=(0, 2))
                for name, value in facts.lines:
                    table.add_row(Text(name, "bold"), Text(value, overflow="fold"))
                self._console.print(Panel(table, title="Heed", border_style="green", expand=False))
            else:
                for name, value in facts.lines:
                    self.say(f"{name:<10}{value}")
        if facts.login is not None:
            self.say(f"Log in with one click, once, within the hour: {facts.login}")
        self.say(f"Heed is ready in {seconds:.1f} s. Ctrl-C stops everything.")

    def say(self, sentence: str) -> None:
        """One line."""
        with contextlib.suppress(OSError):
            self._console.print(Text(sentence), soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, state in self._rows.items():
            table.add_row(name, state)
        return table

    def _end_table(self) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()
            self._live = None
