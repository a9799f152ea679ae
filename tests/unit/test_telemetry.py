"""Logs are JSON lines without secrets, and a log that cannot be written stops nothing."""

import json
import os
import subprocess
import sys

from conftest import need

SAY = "from heed.telemetry import configure, log; configure('test'); log.info('said', id='x'); print('went on')"

FAIL = """
import logging, threading
from heed.errors import Later
from heed.telemetry import configure
configure("test")

def fails():
    words = "It broke."
    try:
        {}[words]
    except KeyError as error:
        raise ValueError(words) from error

try:
    fails()
except ValueError:
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
try:
    fails()
except ValueError as error:
    raise Later("Postgres is away") from error
"""


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


def test_an_error_that_nobody_caught_tells_where_and_no_words() -> None:
    ended = subprocess.run([sys.executable, "-c", FAIL], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["Exception in ASGI application", "unexpected", "unexpected"]
    for line in lines:
        assert "It broke" not in str(line)
        assert "in fails" in line["exception"]
        assert "KeyError" in line["exception"]
        assert "ValueError" in line["exception"]
    assert "Later: Postgres is away" in lines[2]["exception"]
