"""Scoring a file without a database: TSV in, TSV out, a line for each row, in order.

Guarantees: constant memory; every row of the file gives one line, whatever it holds.
"""

from itertools import islice
from pathlib import Path
from typing import TextIO

from heed.contracts import DEFAULT_SURVEY, StreamEntry, new_id
from heed.triage import Policy
from worker.learning.data import table
from worker.sentiment import Scorer, Sentiment
from worker.triage import Triage

COLUMNS = ("p_negative", "decision", "label", "rating", "coverage", "language", "drivers")
DRIVERS = 8  # shown of each text, and the sum of the others
_BATCH = 500
_UNIT = 10_000  # numbers are written with four decimals


def write(file: Path, scorer: Scorer, out: TextIO) -> None:
    """Score the file's texts. `p_negative` is 0 and `rating` empty where the label is unknown; `drivers` is a JSON
    array of [term, start, end, points], the strongest first and the sum of the others last; they add up to `rating`."""
    triage = Triage(Policy.shipped(), scorer.lines)
    entry = StreamEntry(id=new_id(), survey=DEFAULT_SURVEY.slug, client="0" * 32)
    out.write("\t".join(COLUMNS) + "\n")
    reader = table(file)
    while rows := list(islice(reader, _BATCH)):
        texts = [row["text"] for row in rows]
        lines = []
        for text, sentiment in zip(texts, scorer.score(texts), strict=True):
            entry.comment = text
            lines.append(_line(sentiment, triage.decide(DEFAULT_SURVEY, entry, sentiment).decision))
        out.writelines(lines)


def _line(sentiment: Sentiment, decision: str) -> str:
    known = sentiment.rating is not None
    whole = round((sentiment.rating or 0.0) * _UNIT)
    cells = (
        f"{sentiment.p_negative or 0:.6f}",
        decision,
        sentiment.label,
        f"{whole / _UNIT:.4f}" if known else "",
        f"{sentiment.coverage:.3f}",
        sentiment.language or "",
        _drivers(sentiment, whole) if known else "[]",
    )
    return "\t".join(cells) + "\n"


def _drivers(sentiment: Sentiment, whole: int) -> str:
    """As a JSON array, rounded such that they add up to the rounded rating. Terms hold nothing that JSON escapes."""
    shown = []
    for term, start, end, points in sentiment.strongest(DRIVERS):
        if term == "others":
            continue
        rounded = round(points * _UNIT)
        whole -= rounded
        place = "null,null" if start is None else f"{start},{end}"
        shown.append(f'["{term}",{place},{rounded / _UNIT:.4f}]')
    if whole:
        shown.append(f'["others",null,null,{whole / _UNIT:.4f}]')
    return f"[{','.join(shown)}]"
