"""`python -m bench` runs every benchmark and prints one table; `--texts FILE` takes the texts from a TSV of yours.

A ratio compares two things measured in turns on the same machine in the same minute, so it means the same on a fast
machine and on a slow one. Exit code 1 when a ratio misses its target.
"""

import argparse
import csv
import platform
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import admission, drain, results, system
from bench.figures import Figure
from bench.servers import Servers

SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "comments.tsv"


def texts_of(path: Path) -> list[str]:
    """The column `text` of a TSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["text"]]


def main() -> int:
    """Run, print, and say whether every target is met."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--texts", type=Path, default=SAMPLE, help="TSV with a column `text`")
    path = parser.parse_args().texts
    texts = texts_of(path)
    console = Console()
    console.print(f"{len(texts)} texts of {path.name}, Python {platform.python_version()}, {platform.machine()}")
    figures: list[Figure] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heed-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with console.status("starting Postgres and Valkey") as status, Servers(Path(folder)) as servers:
            for run in (admission.run, drain.run, results.run):
                figures += run(servers, texts, status.update)
        with console.status("starting the system") as status:
            figures += system.run(Path(folder) / "system", texts, status.update)
    table = Table("what", "Heed", "compared with", "ratio", "target", "", title="Heed's benchmarks")
    for figure in figures:
        table.add_row(*figure.cells())
    console.print(table)
    console.print(f"in {time.monotonic() - started:.0f} s")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
