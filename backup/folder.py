"""A folder as the place for backups, such as a mounted volume. Its files are for their owner alone.

The folder is not made here: where a volume is not mounted, backups must not fill the disk below it unnoticed.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backup.place import CHUNK
from heed.errors import Later

_PART = ".heed-part"  # of a file that is being written


class Folder:
    """See `Place`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def check(self) -> str | None:
        """None when the folder is there and open to us."""
        if not self._path.is_dir():
            return f"there is no folder {self._path}; make it: install -d -m 700 {self._path}"
        if not os.access(self._path, os.R_OK | os.W_OK | os.X_OK):
            return f"the folder {self._path} cannot be written to"
        return None

    def files(self) -> dict[str, int]:
        """See `Place`."""
        with self._told():
            return {
                entry.name: entry.stat().st_size
                for entry in os.scandir(self._path)
                if entry.is_file() and not entry.name.endswith(_PART)
            }

    def read(self, name: str) -> Iterator[bytes]:
        """See `Place`."""
        with self._told(), (self._path / name).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """See `Place`."""
        part = self._path / f".{name}{_PART}"
        with self._told():
            file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        try:

            def write(data: bytes) -> None:
                with self._told():
                    file.write(data)

            yield write
            with self._told():
                file.flush()
                os.fsync(file.fileno())
                part.rename(self._path / name)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        finally:
            with contextlib.suppress(OSError):  # of a full disk, which the error above tells of
                file.close()
        self._sync()

    def delete(self, name: str) -> None:
        """See `Place`."""
        with self._told():
            (self._path / name).unlink(missing_ok=True)
        self._sync()

    def sweep(self) -> None:
        """See `Place`."""
        with self._told():
            for part in self._path.glob(f".*{_PART}"):
                part.unlink(missing_ok=True)

    def _sync(self) -> None:
        """Put the folder's own entries on disk."""
        with self._told():
            folder = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Later(f"The folder {self._path}: {error.strerror}") from error
