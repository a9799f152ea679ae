"""`Place`: where backups lie, a folder or S3. Knows files, not what is in them.

Guarantees: a file is there whole or not at all, whenever its writer died; what was reported as written is on disk;
whatever goes wrong is `Later` with a sentence for people.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from heed.errors import Invalid
from heed.settings import Settings

CHUNK = 1 << 20


class Place(Protocol):
    """What backups need of a place. `name` is for people."""

    name: str

    def check(self) -> str | None:
        """Readiness: None when files can be read and written here, else a sentence."""

    def files(self) -> dict[str, int]:
        """Every whole file and its size."""

    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes, piece by piece."""

    def write(self, name: str) -> AbstractContextManager[Callable[[bytes], None]]:
        """Take the bytes of a new file, which is there when the block ends; an error in the block leaves nothing."""

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no mistake."""

    def sweep(self) -> None:
        """Delete what writers that died left half-written; only while no other writes."""


def connect(settings: Settings) -> Place:
    """The place that HEED_BACKUP_TO names; connects when first used."""
    to = settings.backup_to
    if to is None:
        raise Invalid("HEED_BACKUP_TO does not say where backups lie: name a folder or s3://bucket/prefix.")
    if to.startswith("s3://"):
        from backup.s3 import S3  # boto3 takes its time to load, and a folder needs none

        bucket, _, prefix = to.removeprefix("s3://").partition("/")
        if not bucket:
            raise Invalid(f"HEED_BACKUP_TO names no bucket: {to}")
        return S3(bucket, prefix, settings)
    from backup.folder import Folder

    return Folder(Path(to).expanduser().absolute())
