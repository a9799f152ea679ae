"""Ports of the one-machine system: those that people know, which must be free, and those that nobody needs to know.

Guarantees: a taken port is named before anything is started, with who holds it and what to set instead.
"""

import random
import socket
from collections.abc import Mapping

import psutil

from heed.errors import HeedError

# Below the range that systems take for outgoing connections. Within it, a client that tries and tries to reach a
# part that is down would one day be given that very port, connect to itself, and keep the part from coming back.
_HIDDEN = range(20_000, 32_000)


def check(wanted: Mapping[str, int], bind: str) -> None:
    """Raise HeedError for the first of the ports (by the variable that sets it) that cannot be listened on."""
    owners: dict[int, str] = {}
    for variable, port in wanted.items():
        if port in owners:
            raise HeedError(f"{owners[port]} and {variable} are both {port}; set one of them to another port.")
        owners[port] = variable
        if not _free(bind, port):
            raise HeedError(
                f"Port {port} is taken{_holder(port)}. Stop that program, or set {variable} to another port."
            )


def choose(count: int) -> list[int]:
    """So many different free ports on loopback."""
    found: list[int] = []
    for port in random.sample(_HIDDEN, len(_HIDDEN)):
        if len(found) == count:
            return found
        if _free("127.0.0.1", port):
            found.append(port)
    raise HeedError("There are no free ports left on this machine.")


def reached_at(bind: str) -> str:
    """Where this machine itself reaches what listens on `bind`."""
    return "127.0.0.1" if bind == "0.0.0.0" else bind  # noqa: S104 - compared


def _free(bind: str, port: int) -> bool:
    # Some systems let one listen on 127.0.0.1 beside somebody who listens on every address, so ask first.
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((reached_at(bind), port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """ " by <program> (process <pid>)", as far as this system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    if psutil.MACOS and port in (5000, 7000):
        return " (on a Mac by AirPlay Receiver: System Settings, General, AirDrop & Handoff)"
    return ""
