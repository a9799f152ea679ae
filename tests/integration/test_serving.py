"""What every site is served with, against visitors who speak HTTP badly on purpose."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from conftest import free_port, wait_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from heed.settings import Settings
from heed.web import protocol
from heed.web.guards import BodyLimit
from heed.web.serve import _config

LINES = b"a: b\r\n" * 10_000
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


async def echo(request: Request) -> Response:
    await request.body()
    return JSONResponse({name: value for name, value in request.headers.items() if name.startswith("x-")})


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return PlainTextResponse("".join(f"{name}={value}" for name, value in fields.items()))


@pytest.fixture
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), Route("/form", form, methods=["POST"])])
    app.add_middleware(BodyLimit)
    server = uvicorn.Server(_config(app, Settings(), free_port()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, what="uvicorn")
    yield server.config.port
    server.should_exit = True
    thread.join(10)


def talk(port: int, *parts: bytes) -> bytes:
    """What comes back until the server hangs up; parts are sent as long as it listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as visitor:
        got = b""
        try:
            for part in parts:
                visitor.sendall(part)
            while piece := visitor.recv(65_536):
                got += piece
        except ConnectionError:
            pass  # closed with something of ours unread
        return got


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", LINES),
        (b"GET / HTTP/1.1\r\nHost: x\r\nLong: ", b"x" * 60_000),
        (b"GET /?", b"x" * 60_000),
        (CHUNKED + b"\r\n0\r\n", LINES),
        (CHUNKED + b"\r\n2;", b"x" * 60_000),
        (CHUNKED + b"\r\n", b"1;" + b"x" * 100 + b"\r\na\r\n"),
    ],
)
def test_nobody_sends_headers_without_end(port: int, begin: bytes, more: bytes) -> None:
    begun = time.monotonic()
    answer = talk(port, begin, *[more] * 5_000)
    assert time.monotonic() - begun < 4
    assert b" 200 " not in answer


def test_a_head_that_does_not_come(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert talk(port) == b""
    assert talk(port, b"GET / HT") == b""
    kept = talk(port, whole, b"GET / HTTP/1.1\r\nHo")
    assert kept.count(b" 200 ") == 1


def test_many_requests_and_large_bodies_are_no_flood(port: int) -> None:
    body = b"x" * 70_000
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + body
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = talk(port, *[post] * 5, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3_000, last)
    assert answer.count(b" 200 ") == 3_006


def test_who_hangs_up_early_is_no_error(port: int, caplog: pytest.LogCaptureFixture) -> None:
    for begin in (b"Content-Length: 9\r\n\r\n1234", b"Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as visitor:
            visitor.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + begin)
            time.sleep(0.05)
    assert b" 200 " in talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_trailers_are_no_headers(port: int) -> None:
    answer = talk(port, CHUNKED + b"X-Head: 1\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n")
    assert answer.endswith(b'{"x-head":"1"}')


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (b"multipart/form-data; boundary=x", b"200"),
        (b"multipart/form-data; boundary=x; charset=UTF-8", b"200"),
        (b'multipart/form-data; charset="utf-8"; boundary=x', b"200"),
        (b"multipart/form-data; boundary=x; charset=utf-7", b"415"),
        (b"multipart/form-data; boundary=x; charset=undefined", b"415"),
        (b"multipart/form-data; boundary=x; Charset*=utf-8''utf-7", b"415"),
        (b"multipart/form-data; boundary=x; charset=utf-7\r\nContent-Type: text/plain", b"415"),
    ],
)
def test_forms_are_in_utf8(port: int, kind: bytes, status: bytes) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n+2AA-\r\n--x--\r\n'
    head = b"POST /form HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    answer = talk(port, head % (kind, len(body)) + body)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert status != b"200" or answer.endswith(b"a=+2AA-")


_LOOP = """
import atexit, sys, threading, time
atexit.register(lambda: print([each.name for each in threading.enumerate() if each.name == "ops"]))  # the last to run
from starlette.applications import Starlette
from heed.settings import Settings
from heed.web.serve import serve_in_background
serve_in_background(Starlette(), Settings(ops_port=int(sys.argv[1])))
time.sleep(1)
"""


def test_health_has_ended_before_its_process_does() -> None:
    """Else the process may crash in its last moment, after all its work."""
    done = subprocess.run([sys.executable, "-c", _LOOP, str(free_port())], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
