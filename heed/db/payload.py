"""A queue entry as the quarantine keeps it: as text, and as its fields again.

Guarantees: nothing that comes makes a function here fail; JSON is read as the contract reads it; what can be replayed
comes back with what admission had flagged, and without its words it can be replayed still.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from heed.contracts.ids import SubmissionId

# Of an entry: what says neither what the customer wrote nor who it was.
_KEPT = ("v", "id", "survey", "client", "source", "vote", "rating", "flags", "flag")
_ID = TypeAdapter(SubmissionId)


def as_text(fields: Mapping[bytes, bytes]) -> str:
    """The `entry` field of a stream entry, into which goes its `flag`, or all of its fields when it has none, as text
    Postgres can hold."""
    text = _text(fields[b"entry"] if b"entry" in fields else b"\n".join(k + b"=" + v for k, v in fields.items()))
    entry = _read(text) if b"flag" in fields else {}
    return to_json(entry | {"flag": _text(fields[b"flag"])}).decode() if entry else text


def as_fields(payload: str) -> dict[bytes, bytes]:
    """The stream entry's fields again, from what `as_text` kept."""
    entry = _read(payload)
    fields = {b"v": str(entry.get("v", "?")).encode(), b"entry": payload.encode()}
    return fields | {b"flag": str(entry["flag"]).encode()} if "flag" in entry else fields


def submission_of(payload: str) -> UUID | None:
    """Whose it is, as far as it can be read."""
    try:
        return _ID.validate_python(_read(payload).get("id"))
    except ValidationError:
        return None


def without_words(payload: str) -> str:
    """What holds no words of it; nothing of one that cannot be read."""
    entry = _read(payload)
    return to_json({name: entry[name] for name in _KEPT if name in entry}).decode() if entry else ""


def _read(payload: str) -> dict[str, Any]:
    """The JSON object that it is; empty when it is none."""
    try:
        entry = from_json(payload)
    except ValueError:  # nested too deeply, too
        return {}
    return entry if isinstance(entry, dict) else {}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
