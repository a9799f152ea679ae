"""Logs are JSON lines without secrets, and a log that cannot be written stops nothing."""

import json
import os
import subprocess
import sys

from conftest import need

SAY = "from heed.telemetry import configure, log; configure('test'); log.info('said', id='x'); print('went on')"


def run(stderr: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SAY], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=30, check=True
    )


def test_lines_are_json() -> None:
    line = json.loads(run(subprocess.PIPE).stderr)
    assert (line["event"], line["service"], line["level"], line["id"]) == ("said", "test", "info", "x")


def test_a_full_disk_stops_nothing() -> None:
    need(os.path.exists("/dev/full"), "/dev/full")
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        assert run(full).stdout == "went on\n"
    finally:
        os.close(full)
