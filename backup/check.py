"""Checking a backup: all of it is read back, compared with its manifest, and read by pg_restore from end to end."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from backup import programs
from backup.catalogue import Manifest
from backup.place import Place
from backup.watch import Watch
from heed.errors import HeedError


def whole(place: Place, manifest: Manifest, watch: Watch) -> Iterator[bytes]:
    """The dump's bytes; at the end an error if they are not the ones that were written."""
    digest, size = hashlib.sha256(), 0
    for chunk in place.read(manifest.dump):
        digest.update(chunk)
        size += len(chunk)
        watch.moved(len(chunk))
        watch.tick()
        yield chunk
    if (size, digest.hexdigest()) != (manifest.bytes, manifest.sha256):
        raise HeedError(f"{manifest.name} is damaged: its checksum is another than when it was written.")


def check(place: Place, manifest: Manifest, watch: Watch) -> None:
    """`HeedError` says what is wrong with it."""
    watch.step("Checking", manifest.bytes)
    program, _ = restorer(manifest)
    command = [str(program), "--verbose", "--file=/dev/null"]
    with programs.running(command, programs.environment(), table=watch.table, tick=watch.tick, fed=True) as reader:
        for chunk in whole(place, manifest, watch):
            reader.feed(chunk)
        reader.finish()


def restorer(manifest: Manifest) -> tuple[Path, str]:
    """A pg_restore that can read this dump."""
    return programs.find("pg_restore", int(manifest.pg_dump.partition(".")[0]))
