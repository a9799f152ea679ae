"""Rated texts to learn from and to measure by.

Guarantees: texts of one customer (or review) are one group, and a group is in one fold, whatever file it is in and
whatever else is read; a file that cannot be used is refused with the reason.
"""

import csv
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from heed.errors import Invalid

FOLDS = 5
NEGATIVE_BELOW = 0.0  # a text is negative when people's mean rating of it is below this
_RATINGS = ("rating", "mean_rating")


@dataclass(frozen=True, slots=True)
class Rated:
    """A text, people's mean rating of it (-4 to 4), and the group that it belongs to."""

    text: str
    rating: float
    group: str

    @property
    def negative(self) -> bool:
        """Whether people rate it negative."""
        return self.rating < NEGATIVE_BELOW

    @property
    def fold(self) -> int:
        """Which of FOLDS parts its group is in."""
        return int.from_bytes(hashlib.sha256(self.group.encode()).digest()[:8]) % FOLDS


def read(path: Path) -> list[Rated]:
    """A TSV file's rows: columns text, rating (or mean_rating), and id, whose part before an underscore is the group.

    Without ids, or with ids that have no underscore, each row is a group of its own, except in files whose names share
    their beginning up to the second underscore (`dev_amazon.tsv`, `dev_amazon_reviews.tsv`): those share their groups.
    """
    family = "_".join(path.stem.split("_")[:2])
    rows = []
    for number, row in enumerate(table(path), 2):
        column = next((name for name in _RATINGS if row.get(name)), None)
        if column is None:
            raise Invalid(f"{path}, line {number}: no rating; a file to learn from has the columns text and rating.")
        try:
            rating = float(row[column])
        except ValueError:
            raise Invalid(f"{path}, line {number}: {row[column]!r} is no rating.") from None
        rows.append(Rated(row["text"], rating, f"{family} {(row.get('id') or str(number)).split('_')[0]}"))
    if not rows:
        raise Invalid(f"{path} has no rows.")
    return rows


def table(path: Path) -> Iterator[dict[str, str]]:
    """A TSV file's rows by the names in its header, cells that are missing empty; `Invalid` says what is wrong with it.
    Quotes are characters like others."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            csv.field_size_limit(1 << 30)
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            if "text" not in header:
                found = ", ".join(header) or "none"
                raise Invalid(f"{path} has no column named text (tab-separated, a header line); its columns: {found}.")
            short = [""] * len(header)
            for cells in reader:
                if cells or len(header) == 1:  # an empty line, where the text is all there is, is an empty text
                    yield dict(zip(header, cells + short, strict=False))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except csv.Error as error:
        raise Invalid(f"{path} cannot be read: {error}.") from None


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something that customers say, in all of its ways, and how people would rate it."""

    rating: float
    ways: tuple[str, ...]


def phrases() -> list[Phrase]:
    """The project's own phrases: `(a|b) c` stands for "a c" and "b c"."""
    lines = files("worker.learning").joinpath("phrases.tsv").read_text(encoding="utf-8").splitlines()
    return [Phrase(float(rating), tuple(_ways(said))) for rating, said in (line.split("\t") for line in lines)]


def _ways(said: str) -> Iterator[str]:
    parts = re.split(r"\(([^)]*)\)", said)  # every second part stood in brackets
    choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]
    for chosen in itertools.product(*choices):
        yield " ".join("".join(chosen).split())
