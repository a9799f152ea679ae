"""The system's secrets: what there is, how each is made, and which service may read which.

Guarantees: a secret is made once and then kept; files are readable by their owner alone, but for those that a service
in a container has to read under a user of its own: each lies in a folder that only its service is given.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from heed.errors import HeedError

# What every system needs, wherever it runs.
SECRETS: Mapping[str, Callable[[], str]] = {
    "HEED_SECRET_KEY": lambda: secrets.token_hex(32),
    "HEED_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
    "HEED_API_KEY": lambda: secrets.token_urlsafe(24),
    "HEED_ZENDESK_WEBHOOK_SECRET": lambda: secrets.token_hex(24),
}
# What the servers in containers need besides: they listen on a network, if only on an inner one.
_SERVERS: Mapping[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(24),
    "REDIS_PASSWORD": lambda: secrets.token_hex(24),
}
_READERS: Mapping[str, tuple[str, ...]] = {
    "feedback": ("HEED_SECRET_KEY", "HEED_API_KEY", "HEED_REDIS_URL", "HEED_DATABASE_URL"),
    "results": ("HEED_SECRET_KEY", "HEED_API_KEY", "HEED_ADMIN_PASSWORD", "HEED_REDIS_URL", "HEED_DATABASE_URL"),
    "worker": ("HEED_REDIS_URL", "HEED_DATABASE_URL"),
    "ticketing": ("HEED_DATABASE_URL", "HEED_ZENDESK_WEBHOOK_SECRET"),
    "sandbox": ("HEED_ZENDESK_WEBHOOK_SECRET",),
    "postgres": ("POSTGRES_PASSWORD",),
    "redis": ("REDIS_PASSWORD", "redis.conf"),
}


def hand_out(folder: Path) -> None:
    """Make what is missing in `folder`/kept, and give each service what it may read in `folder`/<service>.

    Doing it again changes nothing. Deleting a file in `kept` and doing it again renews that secret.
    """
    try:
        vault = folder / "kept"
        vault.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(vault):
            _hand_out(folder, vault)
    except OSError as error:
        raise HeedError(f"The secrets cannot be kept in {folder}: {error.strerror}.") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at once wait for each other: each would make secrets of its own."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hand_out(folder: Path, vault: Path) -> None:
    kept = {file.name: file.read_text(encoding="utf-8") for file in vault.iterdir() if not file.name.startswith(".")}
    for name, make in {**SECRETS, **_SERVERS}.items():
        if not kept.get(name):
            kept[name] = make()
            _write(vault / name, kept[name], 0o400)
    given = kept | {
        "HEED_DATABASE_URL": f"postgresql://heed:{kept['POSTGRES_PASSWORD']}@postgres:5432/heed",
        "HEED_REDIS_URL": f"redis://:{kept['REDIS_PASSWORD']}@redis:6379/0",
        "redis.conf": f"requirepass {kept['REDIS_PASSWORD']}\n",
    }
    for reader, names in _READERS.items():
        own = folder / reader
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o755)
        for name in names:
            _write(own / name, given[name], 0o444)


def _write(file: Path, text: str, mode: int) -> None:
    """Whole or not at all: a service may start, or this process end, at any moment."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        os.fchmod(descriptor, mode)  # whatever the umask
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    part.replace(file)
