"""The public API over HTTP, against a real queue: what is taken is queued once, everything else gets a clear answer."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
import redis
from conftest import API_KEY, Served, wait_for

from api.feedback.app import create_app
from api.feedback.surveys import Surveys
from heed.contracts import DEFAULT_SURVEY
from heed.contracts.entry import parse_entry
from heed.settings import Settings
from heed.stream import surveys
from heed.stream.admission import connect
from heed.stream.queue import Queue

URL = "/api/v1/surveys/default/feedback"


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url) as client:
        yield client


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.connect(settings)


def post(http: httpx.Client, body: Any, **headers: str) -> httpx.Response:
    """One request without the cookies of those before it."""
    http.cookies.clear()
    return http.post(URL, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_taken(http: httpx.Client, queue: Queue) -> None:
    answer = post(http, {"vote": "bad", "rating": 2, "comment": "Späte Lieferung 😡", "contact": None})
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert set(body) == {"id", "receipt", "client"}
    assert UUID(body["id"]).version == 7
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    [delivery] = queue.read("test", 10, 0.1)
    entry = json.loads(delivery.fields[b"entry"])
    assert entry["id"] == body["id"]
    assert (entry["vote"], entry["rating"], entry["comment"]) == ("bad", 2, "Späte Lieferung 😡")
    assert http.get(body["receipt"]).status_code == 200


def test_a_client_votes_once(http: httpx.Client, queue: Queue) -> None:
    first = post(http, {"vote": "good"}).json()
    by_header = post(http, {"vote": "bad"}, X_Heed_Client=first["client"])
    http.cookies.clear()
    by_cookie = http.post(URL, json={"vote": "bad"}, headers={"Cookie": f"heed_client={first['client']}"})
    for second in (by_header, by_cookie):
        assert second.status_code == 409
        assert second.headers["content-type"] == "application/problem+json"
        assert second.json()["id"] == first["id"]
        assert second.json()["receipt"] == first["receipt"]
    assert queue.snapshot().added == 1


def test_the_same_request_again_gets_the_first_answer(http: httpx.Client, queue: Queue) -> None:
    body = {"vote": "bad", "comment": "late"}
    first = post(http, body, Idempotency_Key="k-1")
    # The answer may have been lost, and the client's token with it.
    again = post(http, body, Idempotency_Key="k-1")
    with_token = post(http, body, Idempotency_Key="k-1", X_Heed_Client=first.json()["client"])
    assert first.status_code == again.status_code == with_token.status_code == 202
    assert first.json() == again.json() == with_token.json()
    assert queue.snapshot().added == 1
    other_words = post(http, {"vote": "good"}, Idempotency_Key="k-1", X_Heed_Client=first.json()["client"])
    other_key = post(http, body, Idempotency_Key="k-2", X_Heed_Client=first.json()["client"])
    assert other_words.status_code == other_key.status_code == 409


def test_the_same_request_again_after_the_survey_changed(
    http: httpx.Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.feedback.surveys.FRESH_SECONDS", 0.0)
    body = {"vote": "bad", "rating": 2, "comment": "The answer to this was lost."}
    first = post(http, body, idempotency_key="k")
    options = (DEFAULT_SURVEY.options[0], DEFAULT_SURVEY.options[1].model_copy(update={"key": "poor"}))
    for change in ({"rating": False}, {"options": options}):
        with redis.Redis.from_url(redis_url) as client:
            surveys.publish(client, [DEFAULT_SURVEY.model_copy(update={"version": 2, **change})])
        wait_for(lambda: post(http, body).status_code == 422, what="the changed survey")
        again = post(http, body, idempotency_key="k")
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert post(http, body, idempotency_key="another").status_code == 422


def test_at_once_and_many_times(http: httpx.Client, queue: Queue) -> None:
    def send(_: int) -> httpx.Response:
        return http.post(URL, json={"vote": "bad"}, headers={"Idempotency-Key": "same"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(64)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert queue.snapshot().added == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b'"\\ud800"', ""),
        (b'{"comment": "\\u0000"}', "comment"),
        (b'{"comment": "\\ud800"}', ""),
        (b'{"rating": NaN}', "rating"),
        (b'{"rating": 1e999}', "rating"),
        (b'{"rating": 9}', "rating"),
        (b'{"vote": "maybe"}', "vote"),
        (b'{"comment": "' + b"x" * 5001 + b'"}', "comment"),
        (b'{"vote": "good", "contact": {"email": "nonsense"}}', "contact.email"),
        (b"\xff\xfe", ""),
        (b"[" * 10_000, ""),
    ],
)
def test_refused_with_a_reason(http: httpx.Client, queue: Queue, body: bytes, field: str) -> None:
    answer = http.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["message"]
    assert queue.snapshot().added == 0


def test_other_refusals(http: httpx.Client, queue: Queue) -> None:
    assert http.post("/api/v1/surveys/nowhere/feedback", json={"vote": "good"}).status_code == 404
    assert http.post("/api/v1/surveys/%00/feedback", json={"vote": "good"}).status_code == 404
    assert http.get(URL).status_code == 405
    assert http.post(URL, data={"vote": "good"}).status_code == 415
    assert post(http, {"vote": "good"}, X_Heed_Client="forged").status_code == 422
    assert post(http, {"vote": "good"}, Idempotency_Key="k" * 256).status_code == 422
    assert post(http, {"vote": "good"}, Idempotency_Key="").status_code == 422
    assert post(http, {"vote": "good"}, Authorization="Bearer wrong").status_code == 401
    for path in (URL, "/nowhere", "/r/forged"):
        assert http.get(path).headers["content-security-policy"]
    assert queue.snapshot().added == 0


def test_a_body_over_the_cap_is_refused_while_it_streams(http: httpx.Client) -> None:
    declared = http.post(URL, content=b"x" * 200_000, headers={"Content-Type": "application/json"})
    assert declared.status_code == 413

    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65_536
            yield b"x" * 65_536

    try:
        streamed = http.post(URL, content=endless(), headers={"Content-Type": "application/json"})
        assert streamed.status_code == 413
    except httpx.WriteError:
        pass  # the connection was closed on us, which is the point
    assert sent < 50_000_000


def test_rate_limit_counts_an_address_over_all_partitions(settings: Settings, serve: Callable[[Any], Served]) -> None:
    limited = settings.model_copy(update={"rate_limit": 5, "partitions": 4})
    with httpx.Client(base_url=serve(create_app(limited)).url) as http:
        statuses = [post(http, {"vote": "good"}).status_code for _ in range(8)]
        assert statuses == [202] * 5 + [429] * 3
        refused = post(http, {"vote": "good"})
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        by_key = post(http, {"vote": "good"}, Authorization=f"Bearer {API_KEY}")
        assert by_key.status_code == 202
        assert "set-cookie" not in by_key.headers
    assert Queue.connect(limited).snapshot().added == 6


def test_a_repeat_is_answered_whatever_the_limit(settings: Settings, serve: Callable[[Any], Served]) -> None:
    limited = settings.model_copy(update={"rate_limit": 1, "partitions": 4})
    with httpx.Client(base_url=serve(create_app(limited)).url) as http:
        first = post(http, {"vote": "good"}, **{"Idempotency-Key": "one"})
        headers = {"Idempotency-Key": "one", "X-Heed-Client": first.json()["client"]}
        for _ in range(3):
            http.cookies.clear()
            again = post(http, {"vote": "good"}, **headers)
            assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
            assert post(http, {"vote": "bad"}, **headers | {"Idempotency-Key": "two"}).status_code == 409
        http.cookies.clear()
        assert post(http, {"vote": "good"}).status_code == 429
    assert Queue.connect(limited).snapshot().added == 1


def test_a_full_queue_answers_503_and_recovers(settings: Settings, serve: Callable[[Any], Served]) -> None:
    small = settings.model_copy(update={"queue_cap": 2})
    queue = Queue.connect(small)
    with httpx.Client(base_url=serve(create_app(small)).url) as http:
        assert [post(http, {"vote": "good"}).status_code for _ in range(3)] == [202, 202, 503]
        assert int(post(http, {"vote": "good"}).headers["retry-after"]) > 0
        queue.done(queue.read("test", 10, 0.1))
        assert post(http, {"vote": "good"}).status_code == 202


def test_out_of_memory_answers_503_and_locks_nobody_out(http: httpx.Client, queue: Queue, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    assert queue.memory() == 0  # nothing limits it
    client.config_set("maxmemory", "1000000000")
    assert 0 < queue.memory() < 0.5
    client.config_set("maxmemory", "1")
    try:
        assert queue.memory() > 1
        assert post(http, {"vote": "good"}, Idempotency_Key="k").status_code == 503
    finally:
        client.config_set("maxmemory", "0")
    assert queue.snapshot().added == 0
    assert post(http, {"vote": "good"}, Idempotency_Key="k").status_code == 202
    client.close()


def test_without_redis_503_and_the_form_still_shows(settings: Settings, serve: Callable[[Any], Served]) -> None:
    away = Settings.model_validate(settings.model_dump() | {"redis_url": "redis://127.0.0.1:1/0"})
    with httpx.Client(base_url=serve(create_app(away)).url) as http:
        answer = post(http, {"vote": "good"})
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert http.get("/").status_code == 200
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 503
        # Whether there is a survey of that name cannot be known: to deny it could cost an answer.
        answer = http.post(URL.replace("default", "shop"), json={"vote": "good"})
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert http.get("/s/shop").status_code == 503
        kept = http.post("/s/shop", data={"vote": "good", "comment": "<i>words</i>"})
        assert (kept.status_code, "&lt;i&gt;words&lt;/i&gt;" in kept.text) == (503, True)
        preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        assert http.options(URL.replace("default", "shop"), headers=preflight).status_code == 503


def test_with_redis_hanging_the_form_shows_and_an_answer_is_not_kept_waiting(
    settings: Settings, serve: Callable[[Any], Served]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        hanging = Settings.model_validate(settings.model_dump() | {"redis_url": address})
        with httpx.Client(base_url=serve(create_app(hanging)).url, timeout=10) as http:
            began = time.monotonic()
            assert http.get("/").status_code == 200
            assert time.monotonic() - began < 2
            assert post(http, {"vote": "good"}).status_code == 503
            assert time.monotonic() - began < 8


def test_of_odd_names_nothing_is_remembered(settings: Settings) -> None:
    async def look() -> None:
        redis = connect(settings)
        surveys = Surveys(redis)
        for slug in ("x" * 64, "../x", "X", "", "a b"):
            assert await surveys.get(slug) is None
        assert surveys._known == {}
        assert await surveys.get("unknown") is None
        assert set(surveys._known) == {"unknown"}
        await redis.aclose()

    asyncio.run(look())


def test_a_restarted_redis_is_found_again(http: httpx.Client, queue: Queue, redis_url: str) -> None:
    """No customer meets the connections that died with it."""
    assert post(http, {"vote": "good"}).status_code == 202
    client = redis.Redis.from_url(redis_url)
    client.script_flush()
    client.client_kill_filter(_type="normal", skipme=True)
    client.close()
    assert [post(http, {"vote": "good"}).status_code for _ in range(3)] == [202, 202, 202]


def test_an_answer_that_the_network_lost_enters_once(settings: Settings, serve: Callable[[Any], Served]) -> None:
    """The connection breaks after Redis did its work and before the answer is back."""
    cut = threading.Event()
    with relaying(settings.need("redis_url"), cut) as address:
        behind = Settings.model_validate(settings.model_dump() | {"redis_url": address})
        with httpx.Client(base_url=serve(create_app(behind)).url) as http:
            assert post(http, {"vote": "good"}).status_code == 202
            cut.set()
            taken = post(http, {"vote": "bad"})
            assert not cut.is_set(), "the answer was lost"
    assert taken.status_code == 202
    entries = Queue.connect(settings).read("test", 10, 0.1)
    assert [parse_entry(entry.fields).vote for entry in entries] == ["good", "bad"]
    assert str(parse_entry(entries[1].fields).id) == taken.json()["id"]


@contextmanager
def relaying(redis_url: str, cut: threading.Event) -> Iterator[str]:
    """A way to Redis that loses one answer, and the connection with it, when `cut` is set."""
    target = urlsplit(redis_url)

    def pump(source: socket.socket, sink: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if back and cut.is_set():
                    cut.clear()
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection((target.hostname or "", target.port or 0))
                for arguments in ((near, far, False), (far, near, True)):
                    threading.Thread(target=pump, args=arguments, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_openapi_and_health(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    operation = document["paths"]["/api/v1/surveys/{slug}/feedback"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Submission")
    assert "Submission" in document["components"]["schemas"]
    assert http.get("/readyz").json() == {"status": "ok", "checks": {"redis": "ok"}}
    post(http, {"vote": "good"})
    assert 'heed_admissions_total{outcome="accepted"}' in http.get("/metrics").text


def test_a_trickled_body_is_given_up(settings: Settings, serve: Callable[[Any], Served], monkeypatch: Any) -> None:
    monkeypatch.setattr("heed.web.guards.BodyLimit.__init__.__defaults__", (80 * 1024, 0.3))
    served = serve(create_app(settings))
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
        connection.sendall(head.encode())
        assert b" 408 " in connection.recv(1000).partition(b"\r\n")[0]
