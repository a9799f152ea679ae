"""The `heed` command as a person runs it: files loaded through the real feedback site, books, replay, clear errors."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from conftest import Served, free_port
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.feedback.app import create_app
from heed import load
from heed.contracts import QuarantineKind, QuarantineReason
from heed.db import quarantine
from heed.errors import Invalid
from heed.settings import Settings

COMMENTS = Path(__file__).parents[1] / "data" / "comments.tsv"


@pytest.fixture
def heed(settings: Settings, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `heed` beside the test's own Postgres and Valkey."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {
            "HEED_HOME": str(tmp_path),
            "HEED_DATABASE_URL": settings.need("database_url"),
            "HEED_REDIS_URL": settings.need("redis_url"),
            "HEED_API_KEY": settings.need("api_key"),
            "COLUMNS": "200",
        }
        return subprocess.run(
            [sys.executable, "-m", "heed", *map(str, arguments)],
            env={**os.environ, **known, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def queued(settings: Settings) -> list[dict[str, Any]]:
    """Every entry on the stream."""
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        return [json.loads(fields[b"entry"]) for _, fields in client.xrange("heed:{0}:queue")]


class LosesAnswers:
    """A network that loses the first answer to each request, after the site has taken it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seen: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Request(scope).headers.get("idempotency-key") if scope["type"] == "http" else None
        if key is None or key in self.seen:
            await self.app(scope, receive, send)
            return
        self.seen.add(key)

        async def lose(_message: Message) -> None:
            pass

        await self.app(scope, receive, lose)
        await Response(status_code=503, headers={"Retry-After": "0"})(scope, receive, send)


def test_every_row_is_taken_once_though_answers_get_lost(
    settings: Settings, serve: Callable[[Any], Served], heed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    site = serve(LosesAnswers(create_app(settings.model_copy(update={"rate_limit": 5}))))
    done = heed("load", COMMENTS, HEED_FEEDBACK_URL=site.url)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = queued(settings)
    rows = [line.split("\t") for line in COMMENTS.read_text(encoding="utf-8").splitlines()[1:]]
    sent = [(text, vote or None, int(rating) if rating else None) for text, vote, rating in rows]
    taken = [(entry["comment"], entry["vote"], entry["rating"]) for entry in entries]
    assert sorted(taken, key=str) == sorted(sent, key=str)
    assert len({entry["client"] for entry in entries}) == len(rows)

    again = heed("load", COMMENTS, "--limit", 3, "--rate", 100, HEED_FEEDBACK_URL=site.url)
    assert again.returncode == 0, "another run of the same file is new customers"
    assert len(queued(settings)) == len(rows) + 3


def test_refusals_are_counted_with_their_reason(
    settings: Settings,
    serve: Callable[[Any], Served],
    heed: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    file = tmp_path / "some.csv"
    file.write_text(f'words,vote\nfine,good\n"two\nlines, ""quoted""",\n{"x" * 5001},\n,good\n ,\n', encoding="utf-8")
    done = heed("load", file, "--column", "words", HEED_FEEDBACK_URL=serve(create_app(settings)).url)
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["accepted", "3"] in [words[:2] for words in lines]
    assert ["refused,", "422", "2"] in [words[:3] for words in lines]
    assert sorted(entry["comment"] for entry in queued(settings)) == ["", "fine", 'two\nlines, "quoted"']


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        (b"id\tstars\n1\t5\n", None, "no column named text or comment; its columns are: id, stars"),
        (b"text\nfine\n", "words", "no column 'words'"),
        (b"text\n\xff\xfe\n", None, "not UTF-8 text (line 2)"),
        (b"", None, "no column"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, content: bytes, column: str | None, said: str) -> None:
    file = tmp_path / "file.tsv"
    file.write_bytes(content)
    with pytest.raises(Invalid) as refused:
        load.read(file, column)
    assert said in str(refused.value)


def test_columns_that_mean_something_else_are_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "dev.tsv"
    file.write_bytes(b'id\trating\tvote\ttext\r\n1\t-2.5\t12 of 20\t"so so\r\n2\t4\t\tgood" one\r\n')
    rows = load.read(file)
    assert rows.bodies == [{"comment": '"so so'}, {"comment": 'good" one'}]
    assert [notice.split()[2] for notice in rows.notices] == ["vote", "rating"]


def test_contacts_are_sent(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("\ufeffcomment,rating,name,email\nhello,5,Ann,ann@example.com\nbye,,,\n", encoding="utf-8")
    assert load.read(file).bodies == [
        {"comment": "hello", "rating": 5, "contact": {"name": "Ann", "email": "ann@example.com"}},
        {"comment": "bye"},
    ]


def test_reading_leaves_others_their_csv(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("comment\nhello\n", encoding="utf-8")
    before = csv.field_size_limit()
    assert load.read(file).bodies == [{"comment": "hello"}]
    assert csv.field_size_limit() == before


def test_books_and_their_exit_code(
    settings: Settings, serve: Callable[[Any], Served], heed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    site = serve(create_app(settings))
    heed("load", COMMENTS, "--limit", 2, HEED_FEEDBACK_URL=site.url)
    balanced = heed("books", "--json")
    assert balanced.returncode == 0, balanced.stdout + balanced.stderr
    assert json.loads(balanced.stdout)["queued"] == 2
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        [first, _] = client.xrange("heed:{0}:queue")
        client.xdel("heed:{0}:queue", first[0])
    lost = heed("books")
    assert lost.returncode == 1
    assert "1 accepted submission(s) are neither queued nor stored" in lost.stdout
    assert "The books do not balance." in lost.stdout
    unknown = heed("books", HEED_REDIS_URL="redis://127.0.0.1:1/0")
    assert unknown.returncode == 1
    assert "The books cannot be closed now." in unknown.stdout


def test_replay(engine: sa.Engine, heed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    with engine.begin() as connection:
        items = [
            quarantine.Item(QuarantineKind.SUBMISSION, f"0/{number}", QuarantineReason.FAILED, "why", "{}")
            for number in (1, 2)
        ]
        quarantine.add(connection, items)
        first = connection.execute(sa.text("SELECT min(id) FROM quarantine")).scalar_one()
    assert "1 from quarantine, 0 tickets" in heed("replay", first).stdout
    assert "2 from quarantine, 0 tickets" in heed("replay", "--all").stdout
    nothing = heed("replay")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (1, 1)


def test_what_is_away_is_one_clear_line(heed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    away = heed("migrate", HEED_DATABASE_URL="postgresql://127.0.0.1:1/heed")
    assert away.returncode == 1
    assert away.stderr.startswith("heed: Postgres: ")
    assert away.stderr.count("\n") == 1
    wrong = heed("books", HEED_PARTITIONS="none")
    assert wrong.returncode == 2
    assert "HEED_PARTITIONS" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_database_without_the_schema_is_one_clear_line(
    engine: sa.Engine, heed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with engine.begin() as connection:  # as version 0.1.0 made it
        connection.execute(sa.text("DROP TABLE settlements"))
    for arguments in (("books",), ("settle", "--yes", "why")):
        done = heed(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "heed migrate" in done.stderr


def test_loading_without_a_site_says_so_at_once(heed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    loaded = heed("load", COMMENTS, HEED_FEEDBACK_PORT=str(free_port()))
    assert loaded.returncode == 1
    assert "is Heed running (make run)?" in loaded.stderr
    assert "Traceback" not in loaded.stderr


def test_migrate(engine: sa.Engine, heed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = heed("migrate")
    assert done.returncode == 0, done.stderr
    assert "The schema is at" in done.stdout
