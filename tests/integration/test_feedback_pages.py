"""The customers' pages over plain HTTP, as a browser without scripts uses them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Served

from api.feedback.app import create_app
from heed.settings import Settings
from heed.stream.queue import Queue


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, follow_redirects=True) as client:
        yield client


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.connect(settings)


def key_of(page: httpx.Response) -> str:
    found = re.search(r'name="key" value="([^"]+)"', page.text)
    assert found
    return found[1]


def test_a_whole_visit(http: httpx.Client, queue: Queue) -> None:
    page = http.get("/")
    assert page.status_code == 200
    assert "How was your experience with us?" in page.text
    assert "<script" not in page.text
    given = {"key": key_of(page), "vote": "bad", "rating": "", "comment": "one\r\ntwo", "name": "", "email": ""}
    thanks = http.post("/s/default", data=given)
    assert thanks.status_code == 200
    assert "Thank you" in thanks.text
    assert thanks.url.path.startswith("/r/")
    assert http.get(str(thanks.url)).text == thanks.text  # reloading sends nothing
    assert http.post("/s/default", data=given).url == thanks.url  # nor does the same form sent twice
    assert queue.snapshot().added == 1
    [delivery] = queue.read("test", 1, 0.05)
    assert b'"comment":"one\\ntwo"' in delivery.fields[b"entry"]
    assert b'"source":"form"' in delivery.fields[b"entry"]
    again = http.post("/s/default", data=given | {"key": key_of(http.get("/"))})
    assert again.status_code == 409
    assert "already answered" in again.text
    assert thanks.url.path in again.text
    assert queue.snapshot().added == 1


@pytest.mark.parametrize(
    ("given", "says", "field"),
    [
        ({}, "choose an option", "vote"),
        ({"vote": "maybe"}, "no such option", "vote"),
        ({"vote": "good", "rating": "7"}, "rating", "rating"),
        ({"vote": "good", "rating": "²"}, "rating", "rating"),
        ({"vote": "good", "reply": "yes"}, "give your e-mail", "email"),
        ({"vote": "good", "email": "nonsense"}, "check the e-mail", "email"),
        ({"vote": "good", "name": "n" * 201}, "name under", "name"),
        ({"comment": "x" * 5001}, "comment under", "comment"),
        ({"comment": "a\x00b"}, "NUL", "comment"),
    ],
)
def test_a_refused_form_comes_back(
    http: httpx.Client, queue: Queue, given: dict[str, str], says: str, field: str
) -> None:
    page = http.post("/s/default", data={"comment": "<b>my words</b>"} | given if given else {})
    assert page.status_code == 422
    assert says in page.text
    assert f'href="#{field}"' in page.text
    assert f'id="{field}"' in page.text
    assert "<b>" not in page.text
    if given and "comment" not in given:
        assert "&lt;b&gt;my words&lt;/b&gt;" in page.text
    assert queue.snapshot().added == 0


def test_looking_records_nothing(http: httpx.Client, queue: Queue) -> None:
    page = http.get("/s/default?vote=good&comment=x")
    assert re.search(r'value="good" checked', page.text)
    assert http.head("/s/default").status_code == 200
    assert queue.snapshot().added == 0


def test_what_is_not_there(http: httpx.Client) -> None:
    for path in ("/s/nowhere", "/s/%00", "/r/forged", "/r/" + "x" * 3000):
        page = http.get(path)
        assert page.status_code == 404
        assert "text/html" in page.headers["content-type"]
    assert http.post("/s/nowhere", data={"vote": "good"}).status_code == 404
    person = http.get("/nothing", headers={"Accept": "text/html,*/*"})
    assert (person.status_code, "Go to the form" in person.text) == (404, True)
    assert http.get("/nothing").headers["content-type"] == "application/problem+json"


def test_odd_bodies_are_no_server_errors(http: httpx.Client, queue: Queue) -> None:
    for content, kind in (
        (b"\xff\xfe%%%", "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
        (b"&".join(b"f%d=1" % number for number in range(100)), "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ):
        answer = http.post("/s/default", content=content, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, (content[:20], answer.status_code)
    assert queue.snapshot().added == 0


def test_cookies_and_caching(http: httpx.Client) -> None:
    page = http.get("/")
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in http.get("/").headers
    assert http.get("/static/base.css").status_code == 200
    assert http.get("/static/form.css").status_code == 200
