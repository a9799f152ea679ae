"""JSON Schemas of the contracts, exported for readers in other languages."""

import json
from pathlib import Path

from pydantic import BaseModel

from heed.contracts.entry import StreamEntry
from heed.contracts.event import NegativeFeedback
from heed.contracts.reading import Reading
from heed.contracts.submission import Submission
from heed.contracts.survey import Survey

FOLDER = Path(__file__).with_name("schemas")
EXPORTED: dict[str, type[BaseModel]] = {
    "submission.json": Submission,
    "stream-entry-v1.json": StreamEntry,
    "negative-feedback-v1.json": NegativeFeedback,
    "reading-v1.json": Reading,
    "survey.json": Survey,
}


def rendered(model: type[BaseModel]) -> str:
    """The model's JSON Schema (draft 2020-12) as the text of its file."""
    return json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def export() -> None:
    """Write every schema file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, model in EXPORTED.items():
        (FOLDER / name).write_text(rendered(model), encoding="utf-8")
