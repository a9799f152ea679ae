"""Scoring a file without a database: TSV in, TSV out, a line for each row, in order.

Guarantees: constant memory; every row of the file gives one line, whatever it holds.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TextIO

from pydantic_core import to_json

from heed.contracts import DEFAULT_SURVEY, Driver, StreamEntry, new_id
from worker.learning.data import table
from worker.sentiment import Scorer, Sentiment
from worker.triage import Policy, Triage

COLUMNS = ("p_negative", "decision", "label", "rating", "coverage", "language", "drivers")
_BATCH = 500


def write(file: Path, scorer: Scorer, out: TextIO) -> None:
    """Score the file's texts. `p_negative` is 0 and `rating` empty where the label is unknown; `drivers` is a JSON
    array of [term, start, end, points] whose points add up to `rating`."""
    triage = Triage(Policy.shipped(), scorer.lines)
    blank = StreamEntry(id=new_id(), survey=DEFAULT_SURVEY.slug, client="0" * 32)
    out.write("\t".join(COLUMNS) + "\n")
    reader = table(file)
    while rows := list(islice(reader, _BATCH)):
        texts = [row["text"] for row in rows]
        lines = []
        for text, sentiment in zip(texts, scorer.score(texts), strict=True):
            entry = blank.model_copy(update={"comment": text})
            lines.append(_line(sentiment, triage.decide(DEFAULT_SURVEY, entry, sentiment).decision))
        out.writelines(lines)


def _line(sentiment: Sentiment, decision: str) -> str:
    rating = "" if sentiment.rating is None else f"{sentiment.rating:.6f}"
    cells = (
        f"{sentiment.p_negative or 0:.6f}",
        decision,
        sentiment.label,
        rating,
        f"{sentiment.coverage:.3f}",
        sentiment.language or "",
        _json(sentiment.drivers),
    )
    return "\t".join(cells) + "\n"


def _json(drivers: Iterable[Driver]) -> str:
    return to_json(list(drivers)).decode()
