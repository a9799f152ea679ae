"""Stops what a supervisor left behind. A watcher stands beside each supervisor and outlives it.

Guarantees: when the supervisor is killed, every part is stopped within a few seconds, Valkey and Postgres (which
cannot follow a parent by themselves) included, and the data folder stays locked until that is done.
Run as `python -m local.watcher HOME`, the supervisor holding the other end of standard input.
"""

import os
import signal
import sys
from pathlib import Path

import psutil

from local.home import Home

PATIENCE_SECONDS = 10.0


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all that descends from it, at once."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def stop_leftovers(home: Home) -> None:
    """Stop the parts that an earlier supervisor started and could not stop."""
    left = []
    for entry in home.processes().values():
        try:
            process = psutil.Process(entry["pid"])
            if abs(process.create_time() - entry["created"]) > 1:
                continue  # the number was given to somebody else
            process.send_signal(entry["signal"])
            process.send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            continue
        left.append(process)
    _, alive = psutil.wait_procs(left, PATIENCE_SECONDS)
    for process in alive:
        kill_tree(process)
    home.stopped()


def main() -> None:
    """Wait for the supervisor's end, then clean up after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the supervisor, never before
    home = Home(Path(sys.argv[1]))
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop_leftovers(home)


if __name__ == "__main__":
    main()
