"""Exports from a real server process: of any size in the same memory, each answer once, in both kinds of file."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa
from conftest import API_KEY, SECRET, Served, free_port, wait_for
from results_data import answer

from api.results.app import create_app
from heed.contracts import Contact, Context, Label, new_id
from heed.db.tables import audit
from heed.settings import Settings

LIST = "/api/v1/feedback"
KEY = {"Authorization": f"Bearer {API_KEY}"}
MANY = 200_000
GROWTH_MOST = 16 * 2**20  # the comments alone are 60 MB


@pytest.fixture
def process(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    """The results site as it runs, and its address."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEED_")}
    environment |= {
        "HEED_RESULTS_PORT": str(port),
        "HEED_SECRET_KEY": SECRET,
        "HEED_API_KEY": API_KEY,
        "HEED_DATABASE_URL": settings.need("database_url"),
        "HEED_REDIS_URL": settings.need("redis_url"),
    }
    started = subprocess.Popen([sys.executable, "-m", "api.results"], env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(ready, 60, "the results site")
    yield url, psutil.Process(started.pid)
    started.terminate()
    started.wait(20)


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, headers=KEY) as client:
        yield client


def rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.removeprefix("\ufeff"), newline="")))


@pytest.mark.timeout(400)
def test_a_large_export_takes_no_more_memory_than_a_small_one(
    process: tuple[str, psutil.Process], engine: sa.Engine
) -> None:
    url, site = process
    with (
        engine.begin() as connection
    ):  # without what is slow and of no use here: the index of words, checks of each row
        connection.execute(sa.text("SET LOCAL statement_timeout = '120s'"))
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("DROP INDEX ix_feedback_words"))
        connection.execute(
            sa.text("""
            INSERT INTO feedback (id, survey, client, source, comment, reply, received_at, label, compound, scores,
                                  scorer, selected, reasons, policy)
            SELECT CAST(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0') AS uuid),
                   'default', 'c' || n, 'api', repeat('words ', 50) || n, false, now(), 'neutral', 0, '{}', 'none',
                   false, '{}', 'none'
            FROM generate_series(1, :many) AS n"""),
            {"many": MANY},
        )
    for kind, number in (
        ("csv", lambda line: int(line.split(b"words ")[-1].split(b",")[0])),
        ("jsonl", lambda line: int(json.loads(line)["comment"].rpartition(" ")[2])),
    ):
        few = list(numbers(url, {"format": kind, "until": "2023-11-14T22:13:25Z"}, number))
        assert 1000 < len(few) < MANY / 10  # so that what is made once is there
        before = peak = site.memory_info().rss
        seen = bytearray(MANY + 1)
        for count, each in enumerate(numbers(url, {"format": kind}, number)):
            seen[each] += 1
            if count % 2000 == 0:
                peak = max(peak, site.memory_info().rss)
        assert seen == bytearray([0]) + bytearray([1]) * MANY, kind
        assert peak - before < GROWTH_MOST, f"{kind}: {(peak - before) / 2**20:.0f} MB more"
        print(f"{kind}: {(peak - before) / 2**20:.1f} MB more than the {before / 2**20:.0f} MB before")
    assert [line.detail["rows"] for line in ended(engine, 4)][1::2] == [MANY, MANY]


def ended(engine: sa.Engine, number: int) -> list[Any]:
    """The audit's lines of `number` exports that ended, as soon as they are there."""
    query = sa.select(audit.c.action, audit.c.detail).where(audit.c.action == "export-ended").order_by("id")

    def lines() -> list[Any]:
        with engine.begin() as connection:
            return list(connection.execute(query))

    wait_for(lambda: len(lines()) >= number, what="the ends of exports")
    return lines()


def numbers(url: str, params: dict[str, str], number: Callable[[bytes], int]) -> Iterator[int]:
    """The numbers of the answers in an export, as they come."""
    with httpx.stream("GET", f"{url}{LIST}", params=params, headers=KEY, timeout=60) as answered:
        assert answered.status_code == 200
        rest = b""
        for part in answered.iter_raw():
            *lines, rest = (rest + part).split(b"\n")
            yield from (number(line) for line in lines if b"words" in line)
        assert rest == b""


def test_json_lines_are_the_items_of_the_list(http: httpx.Client, engine: sa.Engine) -> None:
    contact, context = Contact(name="Ann", email="ann@example.com", reply=True), Context(language="de")
    answer(engine, "two\nlines\u2028 =1+1 💥", vote="bad", label=Label.NEGATIVE, p_negative=0.9, contact=contact)
    answer(engine, "plain", context=context, flags=("fast",))
    file = http.get(LIST, params={"format": "jsonl"})
    assert file.headers["content-type"] == "application/x-ndjson"
    assert file.headers["content-disposition"] == 'attachment; filename="feedback.jsonl"'
    assert [json.loads(line) for line in file.content.split(b"\n")[:-1]] == http.get(LIST).json()["items"]
    assert file.content.endswith(b"\n")
    assert http.get(LIST, params={"format": "jsonl", "q": "nowhere"}).content == b""


def test_chosen_answers_alone(http: httpx.Client, engine: sa.Engine) -> None:
    ids = [str(answer(engine, f"number {number}")) for number in range(5)]
    chosen = [ids[1], ids[3], str(new_id())]
    file = http.get(LIST, params={"format": "csv", "id": chosen, "survey": "default"})
    assert [row["id"] for row in rows(file.text)] == [ids[3], ids[1]]
    file = http.get(LIST, params={"format": "csv", "after": ids[1], "before": ids[4]})
    assert [row["id"] for row in rows(file.text)] == [ids[3], ids[2]]
    everything = [*ids, *(str(new_id()) for _ in range(195))]
    assert len(rows(http.get(LIST, params={"format": "csv", "id": everything}).text)) == 5
    with engine.begin() as connection:
        begun = connection.execute(sa.select(audit.c.detail).where(audit.c.action == "export").order_by("id")).scalars()
        assert [(detail.get("chosen"), detail["format"]) for detail in begun] == [
            (3, "csv"),
            (None, "csv"),
            (200, "csv"),
        ]


def test_what_was_searched_for_is_not_in_the_audit(http: httpx.Client, engine: sa.Engine) -> None:
    answer(engine, "My secret plan")
    assert len(rows(http.get(LIST, params={"format": "csv", "q": "secret plans"}).text)) == 1
    [end] = ended(engine, 1)
    assert end.detail == {"rows": 1, "complete": True}
    with engine.begin() as connection:
        [begun] = connection.execute(sa.select(audit.c.detail).where(audit.c.action == "export")).scalars()
    assert begun == {"format": "csv", "searched": True}


def test_the_verdict_is_in_the_file(http: httpx.Client, engine: sa.Engine) -> None:
    ids = [str(answer(engine, "x", vote="bad")) for _ in range(3)]
    for answer_id, verdict in zip(ids, (True, False), strict=False):
        http.post(f"{LIST}/{answer_id}/verdict", json={"needs_person": verdict})
    told = {row["id"]: row["verdict"] for row in rows(http.get(LIST, params={"format": "csv"}).text)}
    assert told == dict(zip(ids, ("needs a person", "needs nobody", ""), strict=True))
