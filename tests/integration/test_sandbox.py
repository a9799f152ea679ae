"""The Zendesk sandbox over HTTP: tickets once and for good, refusals, faults, webhook, agent pages."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from conftest import free_port, wait_for

from heed.settings import Settings
from local.sandbox.app import create_app

AUTH = ("heed@example.com/token", "any-token")
SECRET = "webhook-secret-of-the-tests"


@contextmanager
def process(home: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """`python -m local.sandbox`, ready, as people run it."""
    port = free_port()
    environment = {**os.environ, "HEED_HOME": str(home), "HEED_SANDBOX_PORT": str(port)}
    running = subprocess.Popen([sys.executable, "-m", "local.sandbox"], env=environment)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=AUTH, trust_env=False) as client:
        try:
            wait_for(lambda: answers(client), what="the sandbox")
            yield client, running
        finally:
            running.terminate()
            running.wait(10)


@contextmanager
def serving(folder: Path, clock: Callable[[], float] | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """The same app on a port, in a thread: quicker to start, and with a clock of the test's own."""
    arguments = {} if clock is None else {"clock": clock}
    app = create_app(Settings(**settings), folder / "sandbox.db", **arguments)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=AUTH, trust_env=False) as client:
        try:
            wait_for(lambda: answers(client), what="the sandbox")
            yield client
        finally:
            server.should_exit = True
            thread.join(10)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(tmp_path) as client:
        yield client


def a_ticket(**fields: Any) -> dict[str, Any]:
    requester = {"name": "Ann", "email": "ann@example.org"}
    return {"ticket": {"subject": "It broke", "comment": {"body": "Twice."}, "requester": requester, **fields}}


def create(client: httpx.Client, key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/api/v2/tickets.json", json=a_ticket(**fields), headers=headers)


def stats(client: httpx.Client) -> dict[str, Any]:
    return client.get("/sandbox/stats").json()


def order(client: httpx.Client, fault: str, **fields: Any) -> None:
    assert client.post("/sandbox/faults", json={"fault": fault, **fields}).status_code == 201


def test_kill_9_loses_neither_tickets_nor_keys(tmp_path: Path) -> None:
    with process(tmp_path) as (client, running):
        first = create(client, "key", external_id="e1")
        assert first.status_code == 201
        running.kill()
        running.wait()
    with process(tmp_path) as (client, running):
        assert client.get("/api/v2/tickets/1.json").json()["ticket"]["external_id"] == "e1"
        again = create(client, "key", external_id="e1")
        assert again.headers["x-idempotency-lookup"] == "hit"
        assert again.json()["ticket"]["id"] == first.json()["ticket"]["id"]
        assert stats(client)["tickets"] == 1


def test_zenpy_reads_and_writes(sandbox: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from zenpy import Zenpy
    from zenpy.lib.api_objects import Comment, Ticket, User
    from zenpy.lib.exception import APIException, RecordNotFoundException

    monkeypatch.setenv("ZENPY_FORCE_SCHEME", "http")
    monkeypatch.setenv("ZENPY_FORCE_NETLOC", sandbox.base_url.netloc.decode())
    desk = Zenpy(subdomain="sandbox", email="heed@example.com", token="any", disable_cache=True)
    made = desk.tickets.create(
        Ticket(
            subject="It broke",
            external_id="e1",
            comment=Comment(body="Twice."),
            requester=User(name="Ann", email="Ann@Example.org"),
            tags=["heed"],
            priority="high",
        )
    ).ticket
    assert (made.external_id, made.status, made.priority, list(made.tags)) == ("e1", "new", "high", ["heed"])
    assert made.requester.email == "ann@example.org"
    made.status, made.comment = "solved", Comment(body="A note.", public=False)
    desk.tickets.update(made)
    comments = list(desk.tickets.comments(ticket=made.id))
    assert [(comment.body, comment.public) for comment in comments] == [("Twice.", True), ("A note.", False)]
    assert comments[0].author.name == "Ann"
    assert [ticket.id for ticket in desk.tickets(external_id="e1")] == [made.id]
    export = desk.tickets.incremental(start_time=0)
    assert [(ticket.id, ticket.status) for ticket in export] == [(made.id, "solved")]
    assert list(desk.tickets.incremental(cursor=export.after_cursor)) == []
    assert desk.users.me().email == "heed@example.com"
    assert desk.users.create_or_update(User(name="Ann Reed", email="ANN@example.org")).id == made.requester_id
    assert [user.name for user in desk.users.search(query="ann@example.org")] == ["Ann Reed"]
    with pytest.raises(RecordNotFoundException):
        desk.tickets(id=4711)
    with pytest.raises(APIException, match="RecordInvalid"):
        desk.tickets.create(Ticket(subject="Without words"))


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer", 401),
        ("Bearer something", 200),
        ("Basic " + base64.b64encode(b"a@example.com/token:").decode(), 401),
        ("Basic " + base64.b64encode(b"a@example.com:password").decode(), 401),
        ("Basic " + base64.b64encode(b"a@example.com/token:t").decode(), 200),
        ("Basic not-base64", 401),
    ],
)
def test_credentials(sandbox: httpx.Client, authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("/api/v2/tickets.json", "/api/v2/users/me", "/sandbox/faults"):
        assert httpx.get(sandbox.base_url.join(path), headers=headers, trust_env=False).status_code == status


def test_one_key_makes_one_ticket(sandbox: httpx.Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create(sandbox, "key", external_id="e1"), range(32)))
    assert {answer.status_code for answer in answers} == {201}
    assert sorted(answer.headers["x-idempotency-lookup"] for answer in answers) == ["hit"] * 31 + ["miss"]
    assert len({answer.text for answer in answers}) == 1
    assert (stats(sandbox)["tickets"], stats(sandbox)["comments"]) == (1, 1)


def test_what_a_key_remembers(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with serving(tmp_path, clock=lambda: now[0]) as client:
        assert create(client, "key", comment={"body": " "}).status_code == 422  # a failure is not remembered
        assert create(client, "key").headers["x-idempotency-lookup"] == "miss"
        other = create(client, "key", subject="Something else")
        assert (other.status_code, other.json()["error"]) == (400, "IdempotentRequestError")
        assert create(client, "k" * 256).status_code == 400
        now[0] += 2 * 60 * 60 - 1
        assert create(client, "key").headers["x-idempotency-lookup"] == "hit"
        now[0] += 1
        assert create(client, "key").headers["x-idempotency-lookup"] == "miss"
        assert stats(client)["tickets"] == 2
        assert "x-idempotency-lookup" not in create(client).headers


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"comment": None}, "comment"),
        ({"comment": {}}, "comment"),
        ({"comment": {"body": " \n"}}, "comment"),
        ({"comment": {"body": 5}}, "comment"),
        ({"comment": {"body": "x" * 65_536}}, "comment"),
        ({"comment": {"body": "x", "public": "no"}}, "comment"),
        ({"comment": "words"}, "comment"),
        ({"requester": {"name": "A", "email": "not an address"}}, "requester"),
        ({"requester": {"email": "nameless@example.org"}}, "requester"),
        ({"requester": None, "requester_id": 99}, "requester"),
        ({"priority": "asap"}, "priority"),
        ({"status": "done"}, "status"),
        ({"subject": "x" * 151}, "subject"),
        ({"subject": "&" * 31}, "subject"),
        ({"external_id": "x" * 256}, "external_id"),
        ({"tags": [1]}, "tags"),
    ],
)
def test_refusals_name_the_field(sandbox: httpx.Client, fields: dict[str, Any], wrong: str) -> None:
    refused = create(sandbox, **fields)
    assert refused.status_code == 422
    assert refused.json()["error"] == "RecordInvalid"
    assert set(refused.json()["details"]) == {wrong}
    assert (stats(sandbox)["tickets"], stats(sandbox)["users"]) == (0, 0)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"ticket": 1}', b'{"x": NaN}', b'{"x": "\\ud800"}', b"[" * 100_000, b"\xff"]
)
def test_malformed_bodies_are_400(sandbox: httpx.Client, body: bytes) -> None:
    assert sandbox.post("/api/v2/tickets.json", content=body).status_code == 400


def test_odd_requests_never_break_it(sandbox: httpx.Client) -> None:
    for path, status in (
        ("/api/v2/tickets/x", 400),
        (f"/api/v2/tickets/{2**70}", 400),
        ("/api/v2/tickets/4711", 404),
        ("/api/v2/tickets/4711/comments", 404),
        ("/api/v2/nowhere", 404),
        ("/api/v2/tickets?page=0", 400),
        ("/api/v2/tickets?page[size]=²", 400),
        ("/api/v2/tickets?page[size]=5&page[after]=???", 400),
        ("/api/v2/incremental/tickets/cursor", 400),
        ("/api/v2/incremental/tickets/cursor?cursor=eA==", 400),
        ("/api/v2/users/search", 400),
    ):
        assert sandbox.get(path).status_code == status, path
    assert sandbox.get("/api/v2/tickets/4711").json() == {"error": "RecordNotFound", "description": "Not found"}


def test_requesters_are_found_by_address_in_any_case(sandbox: httpx.Client) -> None:
    first = create(sandbox, requester={"name": "Ann", "email": "Ann@Example.org"}).json()["ticket"]
    second = create(sandbox, requester={"email": "ANN@example.ORG"}).json()["ticket"]
    third = create(sandbox, requester=None, requester_id=first["requester_id"]).json()["ticket"]
    assert first["requester_id"] == second["requester_id"] == third["requester_id"]
    user = sandbox.get(f"/api/v2/users/{first['requester_id']}.json").json()["user"]
    assert (user["name"], user["email"], user["role"]) == ("Ann", "ann@example.org", "end-user")


def test_users_are_created_or_updated(sandbox: httpx.Client) -> None:
    def save(**user: str) -> httpx.Response:
        return sandbox.post("/api/v2/users/create_or_update.json", json={"user": user})

    made = save(name="Ann", email="ann@example.org")
    assert made.status_code == 201
    same = save(name="Ann Reed", email="ANN@example.org", external_id="7")
    assert (same.status_code, same.json()["user"]["id"]) == (200, made.json()["user"]["id"])
    assert sandbox.get("/api/v2/users/search.json?external_id=7").json()["users"][0]["name"] == "Ann Reed"
    assert save(name="Bob", email="bob@example.org").status_code == 201
    assert save(external_id="7", email="bob@example.org").status_code == 422


def test_updates(sandbox: httpx.Client) -> None:
    create(sandbox, tags=["one", "Two three"])

    def put(**fields: Any) -> httpx.Response:
        return sandbox.put("/api/v2/tickets/1.json", json={"ticket": fields})

    assert sandbox.get("/api/v2/tickets/1").json()["ticket"]["tags"] == ["one", "three", "two"]
    changed = put(status="pending", priority="low", additional_tags=["four"], remove_tags=["one"]).json()["ticket"]
    assert (changed["status"], changed["priority"], changed["tags"]) == ("pending", "low", ["four", "three", "two"])
    assert put(tags=["only"], comment={"body": "Sorry.", "public": True}).json()["ticket"]["tags"] == ["only"]
    assert put(status="gone").status_code == 422
    assert put(status=None).status_code == 422
    comments = sandbox.get("/api/v2/tickets/1/comments.json").json()
    assert [(comment["body"], comment["public"]) for comment in comments["comments"]] == [
        ("Twice.", True),
        ("Sorry.", True),
    ]
    assert put(status="closed").status_code == 200
    assert put(status="open").status_code == 422
    assert sandbox.put("/api/v2/tickets/2.json", json={"ticket": {"status": "open"}}).status_code == 404


def test_lists_by_external_id_and_by_both_ways_of_paging(sandbox: httpx.Client) -> None:
    for number in range(5):
        create(sandbox, external_id=f"e{number // 2}")
    found = sandbox.get("/api/v2/tickets.json?external_id=e1").json()
    assert [ticket["id"] for ticket in found["tickets"]] == [3, 4]
    assert stats(sandbox)["duplicates"] == ["e0", "e1"]
    seen, url = [], "/api/v2/tickets.json?page[size]=2"
    while url:
        page = sandbox.get(url).json()
        seen += [ticket["id"] for ticket in page["tickets"]]
        url = page["links"]["next"] if page["meta"]["has_more"] else ""
    assert seen == [1, 2, 3, 4, 5]
    seen, url = [], "/api/v2/tickets?per_page=2"
    while url:
        page = sandbox.get(url).json()
        assert page["count"] == 5
        seen += [ticket["id"] for ticket in page["tickets"]]
        url = page["next_page"]
    assert seen == [1, 2, 3, 4, 5]


def test_incremental_exports_miss_no_change(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with serving(tmp_path, clock=lambda: now[0]) as client:
        path = "/api/v2/incremental/tickets/cursor.json"
        empty = client.get(path, params={"start_time": 0}).json()
        assert (empty["tickets"], empty["end_of_stream"]) == ([], True)
        for _ in range(3):
            create(client)
        page = client.get(path, params={"cursor": empty["after_cursor"], "per_page": 2}).json()
        assert ([ticket["id"] for ticket in page["tickets"]], page["end_of_stream"]) == ([1, 2], False)
        client.put("/api/v2/tickets/1.json", json={"ticket": {"status": "solved"}})
        page = client.get(page["after_url"]).json()
        assert [(ticket["id"], ticket["status"]) for ticket in page["tickets"]] == [(3, "new"), (1, "solved")]
        assert client.get(page["after_url"]).json()["tickets"] == []

        recent = client.get(path, params={"start_time": int(now[0])})
        assert (recent.status_code, recent.json()["error"]) == (422, "StartTimeTooRecent")

        now[0] += 100
        create(client)
        by_time = client.get("/api/v2/incremental/tickets.json?start_time=0").json()
        assert [ticket["id"] for ticket in by_time["tickets"]] == [2, 3, 1]  # the running second is left out
        assert (by_time["count"], by_time["end_of_stream"]) == (3, True)
        now[0] += 100
        by_time = client.get(by_time["next_page"]).json()
        assert [ticket["id"] for ticket in by_time["tickets"]] == [4]


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("429", 429, "APIRateLimitExceeded"),
        ("429-date", 429, "APIRateLimitExceeded"),
        ("429-bare", 429, "APIRateLimitExceeded"),
        ("500", 500, "InternalError"),
        ("503", 503, "InternalError"),
        ("401", 401, "Couldn't authenticate you"),
        ("403", 403, "Forbidden"),
        ("422", 422, "RecordInvalid"),
        ("422-invalid", 422, "invalid"),
    ],
)
def test_faults_that_answer_with_an_error(sandbox: httpx.Client, fault: str, status: int, error: str) -> None:
    order(sandbox, fault, times=2, seconds=7, on="create")
    assert sandbox.get("/api/v2/tickets.json").status_code == 200  # not what was ordered
    for _ in range(2):
        failed = create(sandbox)
        assert failed.status_code == status
        assert f'"{error}"' in failed.text
        assert "x-rate-limit-remaining" in failed.headers
    if fault == "429":
        assert failed.headers["retry-after"] == "7"
    if fault == "429-date":
        assert parsedate_to_datetime(failed.headers["retry-after"])
    if fault == "429-bare":
        assert "retry-after" not in failed.headers
    assert stats(sandbox)["tickets"] == 0
    assert create(sandbox).status_code == 201


def test_faults_that_look_like_success(sandbox: httpx.Client) -> None:
    for fault in ("html", "redirect", "wrong", "empty"):
        order(sandbox, fault, on="create")
    assert create(sandbox).headers["content-type"].startswith("text/html")
    moved = create(sandbox)
    assert (moved.status_code, moved.headers["location"]) == (302, "/api/v2/tickets.json")
    assert create(sandbox, external_id="mine").json()["ticket"]["external_id"] != "mine"
    empty = create(sandbox)
    assert (empty.status_code, empty.json()) == (201, {})
    assert stats(sandbox)["tickets"] == 0


def test_a_late_answer_is_lost_and_the_ticket_is_not(sandbox: httpx.Client) -> None:
    order(sandbox, "late", seconds=30, on="create")
    with pytest.raises(httpx.ReadTimeout):
        sandbox.post("/api/v2/tickets", json=a_ticket(), headers={"Idempotency-Key": "key"}, timeout=0.3)
    order(sandbox, "late", seconds=0, on="create")
    with pytest.raises(httpx.RemoteProtocolError):
        create(sandbox, "key")
    assert create(sandbox, "key").headers["x-idempotency-lookup"] == "hit"
    assert stats(sandbox)["tickets"] == 1


def test_a_slow_call_does_nothing_until_it_answers(sandbox: httpx.Client) -> None:
    order(sandbox, "slow", seconds=0.5, on="any")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(create, sandbox)
        wait_for(lambda: stats(sandbox)["requests"] == 1)
        assert stats(sandbox)["tickets"] == 0
        assert slow.result().status_code == 201


def test_faults_are_listed_and_cleared(sandbox: httpx.Client) -> None:
    order(sandbox, "500", times=3, on="update")
    assert sandbox.get("/sandbox/faults").json()["faults"] == [
        {"fault": "500", "times": 3, "seconds": 1.0, "on": "update"}
    ]
    assert sandbox.post("/sandbox/faults", json={"fault": "flood"}).status_code == 400
    assert sandbox.delete("/sandbox/faults").json() == {"faults": []}
    create(sandbox)
    assert sandbox.put("/api/v2/tickets/1.json", json={"ticket": {"status": "open"}}).status_code == 200


def test_rate_limit(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    with serving(tmp_path, clock=lambda: now, sandbox_rate_limit=2) as client:
        remaining = [client.get("/api/v2/users/me.json") for _ in range(3)]
        assert [answer.status_code for answer in remaining] == [200, 200, 429]
        assert [answer.headers["x-rate-limit-remaining"] for answer in remaining] == ["1", "0", "0"]
        assert remaining[0].headers["x-rate-limit"] == "2"
        assert int(remaining[2].headers["retry-after"]) in range(1, 61)


@dataclass
class Receiver:
    """A webhook's receiver: answers what it is told to and keeps what it heard."""

    url: str
    answers: list[int] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(got.answers.pop(0) if got.answers else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got = Receiver(f"http://127.0.0.1:{server.server_port}/webhook")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield got
    server.shutdown()
    thread.join()
    server.server_close()


def test_webhook_tells_of_each_new_status_signed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500, 503]  # the third try succeeds
    settings = {"sandbox_webhook_url": receiver.url, "zendesk_webhook_secret": SECRET}
    with serving(tmp_path, **settings) as client:
        create(client, external_id="e1")
        for fields in ({"priority": "low"}, {"status": "solved"}, {"status": "solved"}, {"status": "open"}):
            assert client.put("/api/v2/tickets/1.json", json={"ticket": fields}).status_code == 200
        wait_for(lambda: len(receiver.heard) == 4, what="two messages, the first of them three times")
    told = [json.loads(body) for _, body in receiver.heard]
    solved = {"ticket_id": 1, "external_id": "e1", "status": "solved"}
    assert told == [solved, solved, solved, {**solved, "status": "open"}]
    for headers, body in receiver.heard:
        signed = headers["x-zendesk-webhook-signature-timestamp"].encode() + body
        expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["x-zendesk-webhook-signature"] == expected


def test_webhook_that_reaches_nobody_disturbs_nobody(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    with serving(tmp_path, sandbox_webhook_url=nobody, zendesk_webhook_secret=SECRET) as client:
        create(client)
        assert client.put("/api/v2/tickets/1.json", json={"ticket": {"status": "solved"}}).status_code == 200


def test_agent_pages_show_tickets_as_they_were_written(sandbox: httpx.Client) -> None:
    assert sandbox.get("/").headers["location"] == "/agent/"
    assert "No tickets yet" in sandbox.get("/agent/").text
    create(sandbox, subject="<script>1</script>", comment={"body": "One\n<img src=x> & two"}, tags=["heed"])
    sandbox.put("/api/v2/tickets/1", json={"ticket": {"comment": {"body": "For us only", "public": False}}})
    listed, page = sandbox.get("/agent/"), sandbox.get("/agent/tickets/1")
    for text in (listed.text, page.text):
        assert "&lt;script&gt;1&lt;/script&gt;" in text
        assert "<script" not in text
        assert "Sandbox." in text
    assert "One\n&lt;img src=x&gt; &amp; two" in page.text
    assert page.text.count("Internal note</span>") == 1
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "No solved tickets" in sandbox.get("/agent/?status=solved").text
    assert "/agent/tickets/1" in sandbox.get("/agent/?status=new").text
    assert sandbox.get("/agent/tickets/2").status_code == 404
    assert sandbox.get("/agent/static/sandbox.css").status_code == 200


def test_agents_answer_and_solve(sandbox: httpx.Client) -> None:
    create(sandbox)
    here = {"Origin": str(sandbox.base_url).rstrip("/")}
    form = {"body": "Done.\r\nSorry.", "kind": "internal", "status": "solved"}
    answered = sandbox.post("/agent/tickets/1", data=form, headers=here)
    assert (answered.status_code, answered.headers["location"]) == (303, "/agent/tickets/1")
    assert sandbox.post("/agent/tickets/1", data={"status": "pending"}, headers=here).status_code == 303
    assert sandbox.get("/api/v2/tickets/1").json()["ticket"]["status"] == "pending"
    comments = sandbox.get("/api/v2/tickets/1/comments").json()["comments"]
    assert [(comment["body"], comment["public"]) for comment in comments[1:]] == [("Done.\nSorry.", False)]
    sandbox.put("/api/v2/tickets/1", json={"ticket": {"status": "closed"}})
    late = sandbox.post("/agent/tickets/1", data={"body": "Too late", "status": "open"}, headers=here)
    assert (late.status_code, "closed prevents ticket update" in late.text) == (422, True)


def test_agents_tag_a_false_alarm(sandbox: httpx.Client) -> None:
    create(sandbox, tags=["heed"])
    here = {"Origin": str(sandbox.base_url).rstrip("/")}
    assert "False alarm</button>" in sandbox.get("/agent/tickets/1").text
    for _ in range(2):
        form = {"body": "", "kind": "public", "false_alarm": "true"}
        assert sandbox.post("/agent/tickets/1", data=form, headers=here).status_code == 303
    [ticket] = sandbox.get("/api/v2/incremental/tickets/cursor", params={"start_time": 0}).json()["tickets"]
    assert (ticket["tags"], ticket["status"]) == (["heed", "heed_false_alarm"], "new")
    assert "False alarm</button>" not in sandbox.get("/agent/tickets/1").text
    sandbox.put("/api/v2/tickets/1", json={"ticket": {"remove_tags": ["heed_false_alarm"]}})
    assert sandbox.get("/api/v2/tickets/1").json()["ticket"]["tags"] == ["heed"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_forms_from_elsewhere_change_nothing(sandbox: httpx.Client, headers: dict[str, str]) -> None:
    create(sandbox)
    assert sandbox.post("/agent/tickets/1", data={"status": "solved"}, headers=headers).status_code == 403
    assert sandbox.get("/api/v2/tickets/1").json()["ticket"]["status"] == "new"
