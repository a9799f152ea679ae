"""What backups there are: each is a dump and, written last, its manifest.

Guarantees: without a manifest there is no backup, and one whose dump is not there in full is none either; deleting
takes the manifest first, so that nothing ever looks like a backup that is not one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from backup.place import Place
from heed.errors import Invalid
from heed.telemetry import log

LATEST = "latest"
_BEGINS = "heed-"
_DUMP, _MANIFEST = ".dump", ".json"
_CLOCKS_DIFFER = timedelta(minutes=1)  # those of two machines, while neither is wrong


class Counts(BaseModel):
    """What Postgres held; and what the queue had ever accepted at about that time, if Redis answered."""

    feedback: int
    quarantine: int
    outbox: int
    tickets: dict[str, int]
    accepted: int | None


class Manifest(BaseModel):
    """One backup. It holds counts and no customer's words."""

    v: Literal[1] = 1
    name: str
    taken_at: AwareDatetime
    heed: str
    revision: str
    postgres: str
    pg_dump: str
    bytes: int
    sha256: str
    counts: Counts

    @property
    def dump(self) -> str:
        """The dump's file."""
        return dump_of(self.name)


def name_of(taken_at: datetime) -> str:
    """A name that sorts by time."""
    return f"{_BEGINS}{taken_at:%Y%m%dT%H%M%S}.{taken_at.microsecond // 1000:03}Z"


def dump_of(name: str) -> str:
    """The file that a backup's dump goes to."""
    return f"{name}{_DUMP}"


def backups(place: Place) -> list[Manifest]:
    """Every backup, newest first."""
    files = place.files()
    found = []
    for file in files:
        if file.startswith(_BEGINS) and file.endswith(_MANIFEST):
            try:
                manifest = Manifest.model_validate_json(b"".join(place.read(file)))
            except ValidationError:
                log.warning("manifest-unreadable", file=file)
                continue
            if file != f"{manifest.name}{_MANIFEST}":  # a copy of one that is counted by itself
                log.warning("manifest-renamed", file=file)
                continue
            if files.get(manifest.dump) != manifest.bytes:
                log.warning("backup-incomplete", name=manifest.name)
                continue
            found.append(manifest)
    return sorted(found, key=lambda manifest: manifest.taken_at, reverse=True)


def pick(place: Place, name: str) -> Manifest:
    """The backup of this name, or the latest."""
    there = backups(place)
    if not there:
        raise Invalid(f"There is no backup in {place.name}.")
    if name == LATEST:
        latest = there[0]
        if latest.taken_at > datetime.now(UTC) + _CLOCKS_DIFFER:
            raise Invalid(
                f"{latest.name} is from the future: a clock is or was wrong, so which is the latest is not certain. "
                "Choose one by its name; see what there is: heed backup --list"
            )
        return latest
    for manifest in there:
        if manifest.name == name:
            return manifest
    raise Invalid(f"There is no backup {name} in {place.name}; see what there is: heed backup --list")


def save(place: Place, manifest: Manifest) -> None:
    """The dump is there: make it a backup."""
    with place.write(f"{manifest.name}{_MANIFEST}") as write:
        write(manifest.model_dump_json(indent=2).encode() + b"\n")


def retire(place: Place, keep: int, new: Manifest) -> Iterator[str]:
    """Delete all but the newest `keep`; the name of each that goes.

    Never `new` itself, nor one with more than twice its answers: where most of them are gone, somebody has yet to find
    that out, and then needs the older ones.
    """
    for manifest in backups(place)[keep:]:
        if manifest.name == new.name:
            continue
        if manifest.counts.feedback > 2 * new.counts.feedback:
            log.warning("old-backup-kept", name=manifest.name, answers=manifest.counts.feedback)
            continue
        place.delete(f"{manifest.name}{_MANIFEST}")
        place.delete(manifest.dump)
        yield manifest.name


def sweep(place: Place) -> None:
    """Delete what runs that died left; only while no other runs."""
    place.sweep()
    files = place.files()
    for orphan in _orphans(files):
        place.delete(orphan)
        log.info("leftover-deleted", file=orphan)


def _orphans(files: dict[str, int]) -> Iterator[str]:
    for file in files:
        if file.startswith(_BEGINS) and file.endswith(_DUMP) and file.removesuffix(_DUMP) + _MANIFEST not in files:
            yield file
