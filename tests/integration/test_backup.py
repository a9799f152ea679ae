"""Backups and restores as they are run, against real servers: what fails leaves nothing that looks like a backup, what
is killed leaves the database usable.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg2
import pytest
import redis
import sqlalchemy as sa
from alembic import command
from conftest import Served, free_port, wait_for
from results_data import answer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backup import catalogue, place, programs
from backup.catalogue import Manifest
from heed import books
from heed.contracts import QuarantineKind, QuarantineReason
from heed.db import engine as db
from heed.db import quarantine
from heed.db.migrate import _config as migrations
from heed.db.schema import HEAD
from heed.db.tables import feedback, rollup
from heed.errors import HeedError, Later
from heed.settings import Settings
from heed.stream import keys
from heed.stream.queue import Queue

KEY = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-only-secret"}
BUCKET = "backups"


class Backups:
    """`heed backup` and `heed restore` on a test's own database, and the place they use."""

    def __init__(self, settings: Settings, to: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEY.items():
            monkeypatch.setenv(name, value)
        self.settings = settings.model_copy(update={"backup_to": to, "s3_endpoint": settings.aws_endpoint})
        self.place = place.connect(self.settings)
        self.environment = {
            **os.environ,
            **KEY,
            "HEED_HOME": str(home),
            "HEED_DATABASE_URL": settings.need("database_url"),
            "HEED_REDIS_URL": settings.need("redis_url"),
            "HEED_BACKUP_TO": to,
            "HEED_S3_ENDPOINT": str(settings.aws_endpoint),
            "COLUMNS": "200",
        }
        self.name = sa.make_url(settings.need("database_url")).database or ""

    def heed(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "heed", *arguments]
        given = {**self.environment, **environment}
        return subprocess.run(command, env=given, capture_output=True, text=True, timeout=90, check=False)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env={**self.environment, **environment}, stderr=subprocess.PIPE, text=True)

    def backup(self) -> Manifest:
        done = self.heed("backup")
        assert done.returncode == 0, done.stderr
        return catalogue.backups(self.place)[0]

    def restore(self, *arguments: str, **environment: str) -> str:
        done = self.heed("restore", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        """What it says when it fails: one line, and exit code 1."""
        done = self.heed(*arguments, **environment)
        assert done.returncode == 1, done
        lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert len(lines) == 1, done.stderr
        return lines[0]

    @contextmanager
    def server(self) -> Iterator[Any]:
        connection = psycopg2.connect(self.settings.need("database_url").replace(f"/{self.name}?", "/postgres?"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
        connection.close()

    def databases(self) -> dict[str, bool]:
        """This test's databases, and whether they let anybody in."""
        with self.server() as cursor:
            cursor.execute("SELECT datname, datallowconn FROM pg_database WHERE datname LIKE %s", (f"{self.name}%",))
            return dict(cursor.fetchall())

    def answers(self) -> int:
        engine = db.connect(self.settings, "tests", pool_size=1)
        try:
            with engine.connect() as connection:
                return connection.execute(sa.select(sa.func.count()).select_from(feedback)).scalar_one()
        finally:
            engine.dispose()


@pytest.fixture(params=["folder", "s3"])
def backups(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Backups]:
    if request.param == "folder":
        folder = tmp_path / "backups"
        folder.mkdir(mode=0o700)
        to = str(folder)
    else:
        s3 = boto3.client("s3", endpoint_url=str(settings.aws_endpoint), region_name="us-east-1", **credentials())
        s3.create_bucket(Bucket=BUCKET)
        to = f"s3://{BUCKET}/{tmp_path.name}/deep"
    made = Backups(settings, to, tmp_path, monkeypatch)
    yield made
    with made.server() as cursor:
        for name in made.databases():
            if name != made.name:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def in_folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backups]:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    made = Backups(settings, str(folder), tmp_path, monkeypatch)
    yield made
    with made.server() as cursor:
        for name in made.databases():
            if name != made.name:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def credentials() -> dict[str, str]:
    return {name.lower(): value for name, value in KEY.items()}


def fill(engine: sa.Engine, number: int, **given: Any) -> None:
    for _ in range(number):
        answer(engine, "It’s late, 😡 and “broken”.\n\tAgain\\N", vote="bad", **given)


def accept(settings: Settings, number: int) -> None:
    """As if the form had taken so many, all of which are stored."""
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        for _ in range(number):
            client.xdel(keys.queue(0), client.xadd(keys.queue(0), {"v": "1", "entry": "{}"}))


def program(folder: Path, name: str, script: str) -> str:
    """A PATH whose first `name` is this script; `$REAL` is the true one."""
    real, _ = programs.find(name, 16)
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\nREAL="{real}"\n{script}\n')
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


SLOW = 'if [ "$1" = --version ]; then exec "$REAL" "$@"; fi\n"$REAL" "$@" | (head -c 4000; exec sleep 60)'


# Taking one


def test_backup_and_restore(backups: Backups, engine: sa.Engine, tmp_path: Path) -> None:
    fill(engine, 7)
    with engine.begin() as connection:
        item = quarantine.Item(QuarantineKind.SUBMISSION, "0/1-1", QuarantineReason.INVALID, "why", "\\x00")
        quarantine.add(connection, [item])
    accept(backups.settings, 8)
    manifest = backups.backup()
    assert manifest.counts.model_dump() == {
        "feedback": 7,
        "quarantine": 1,
        "outbox": 7,
        "tickets": {},
        "accepted": 8,
    }
    assert (manifest.revision, manifest.v) == (HEAD, 1)
    assert sorted(backups.place.files()) == [manifest.dump, f"{manifest.name}.json"]
    kept = b"".join(backups.place.read(f"{manifest.name}.json")).decode()
    assert "late" not in kept
    for name in ("latest", manifest.name):
        checked = backups.heed("backup", "--check", name)
        assert (checked.returncode, "is whole" in checked.stdout) == (0, True), checked
    listed = backups.heed("backup", "--list").stdout
    assert manifest.name in listed
    with engine.connect() as connection:
        before = connection.execute(sa.select(feedback).order_by(feedback.c.id)).all()
    fill(engine, 3)
    accept(backups.settings, 3)
    said = backups.restore("--replace")
    assert "3 accepted and lost" in said
    with engine.connect() as connection:
        assert connection.execute(sa.select(feedback).order_by(feedback.c.id)).all() == before
    taken = books.take(engine, Queue.connect(backups.settings))
    assert (taken.balanced, taken.accepted, taken.stored, taken.lost) == (True, 11, 7, 3)
    [settled] = taken.settlements
    assert settled.reason == f"restored from {manifest.name}"
    [old] = [name for name in backups.databases() if name != backups.name]
    assert re.fullmatch(rf"{backups.name}_before_\d{{8}}_\d{{6}}", old)
    assert f"DROP DATABASE {old};" in said
    assert all(backups.databases().values())


def test_a_folder_is_for_its_owner_alone(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 1)
    manifest = in_folder.backup()
    folder = Path(in_folder.settings.backup_to or "")
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2
    assert manifest.bytes == (folder / manifest.dump).stat().st_size


def test_dump_and_counts_are_of_one_moment(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 20)
    with ThreadPoolExecutor(1) as pool:
        backing = pool.submit(in_folder.backup)
        while not backing.done():
            fill(engine, 5)
        manifest = backing.result()
    assert 20 < manifest.counts.feedback < in_folder.answers()
    in_folder.restore("--replace")  # which compares them
    assert in_folder.answers() == manifest.counts.feedback


def test_the_password_is_on_no_command_line(in_folder: Backups, engine: sa.Engine, tmp_path: Path) -> None:
    fill(engine, 1)
    url = in_folder.settings.need("database_url").replace("postgres@", "postgres:hu%2Fsh-hush@")
    log = tmp_path / "seen"
    for name in ("pg_dump", "pg_restore"):
        path = program(tmp_path / "bin", name, f'echo "$0 $* $PGPASSWORD." >> {log}\nexec "$REAL" "$@"')
    done = in_folder.heed("backup", HEED_DATABASE_URL=url, PATH=path)
    assert done.returncode == 0, done.stderr
    in_folder.restore("--replace", HEED_DATABASE_URL=url, PATH=path)
    lines = [line for line in log.read_text().splitlines() if "--version" not in line]
    assert len(lines) == 2
    for line in lines:
        assert line.endswith(" hu/sh-hush.")
        assert line.count("hush") == 1
    assert "hush" not in done.stdout + done.stderr


def test_pg_dump_must_be_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    path, version = programs.find("pg_dump", 16)
    assert path != old  # the wheel's, which is new enough
    assert version.startswith("16.")
    with pytest.raises(HeedError, match=r"pg_dump of version 99 or newer.*pg_dump is 9"):
        programs.find("pg_dump", 99)


@pytest.mark.parametrize("what", ["pg_dump fails", "pg_dump is cut off", "Postgres is away", "the place is away"])
def test_what_fails_leaves_older_ones_and_nothing_else(
    backups: Backups, engine: sa.Engine, tmp_path: Path, what: str
) -> None:
    fill(engine, 2)
    backups.backup()
    before = backups.place.files()
    environment: dict[str, str] = {}
    if what == "pg_dump fails":
        script = '[ "$1" = --version ] && exec "$REAL" "$@"\necho data; echo "pg_dump: error: no more" >&2; exit 1'
        environment["PATH"] = program(tmp_path / "bin", "pg_dump", script)
    elif what == "pg_dump is cut off":
        script = '[ "$1" = --version ] && exec "$REAL" "$@"\necho data; kill -9 $$'
        environment["PATH"] = program(tmp_path / "bin", "pg_dump", script)
    elif what == "Postgres is away":
        environment["HEED_DATABASE_URL"] = "postgresql://127.0.0.1:1/heed"
    elif backups.place.name.startswith("s3:"):
        environment["HEED_S3_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    else:
        environment["HEED_BACKUP_TO"] = f"{backups.settings.backup_to}/missing"
    said = backups.refused("backup", **environment)
    assert {
        "pg_dump fails": "pg_dump: error: no more",
        "pg_dump is cut off": "pg_dump ended with exit code -9",
        "Postgres is away": "Postgres",
        "the place is away": "cannot be",
    }[what] in said
    assert backups.place.files() == before


@pytest.mark.parametrize("backups", ["s3"], indirect=True)
def test_a_bucket_that_is_not_there(backups: Backups) -> None:
    assert "NoSuchBucket" in backups.refused("backup", HEED_BACKUP_TO="s3://nowhere/at/all")
    assert "NoSuchBucket" in backups.refused("backup", "--list", HEED_BACKUP_TO="s3://nowhere")
    assert "names no bucket" in backups.refused("backup", HEED_BACKUP_TO="s3://")


@pytest.mark.parametrize(
    "says", ["<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "<R><UploadId>1</UploadId></R>"]
)
def test_an_s3_that_leaves_out_what_it_must_say(
    in_folder: Backups, engine: sa.Engine, serve: Callable[[Any], Served], says: str
) -> None:
    fill(engine, 1)

    async def lies(request: Request) -> Response:
        await request.body()
        return Response(says, media_type="application/xml")

    site = serve(Starlette(routes=[Route("/{path:path}", lies, methods=["GET", "POST", "PUT", "DELETE"])]))
    said = in_folder.refused("backup", HEED_BACKUP_TO="s3://bucket/deep", HEED_S3_ENDPOINT=site.url, **KEY)
    assert said.endswith("s3://bucket/deep/ cannot be reached: KeyError")


def test_nowhere_to_go(in_folder: Backups) -> None:
    assert "HEED_BACKUP_TO" in in_folder.refused("backup", HEED_BACKUP_TO="")
    assert "There is no backup" in in_folder.refused("restore")
    assert "There is no backup" in in_folder.heed("backup", "--list").stdout


def test_full_disk(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 300)
    small = in_folder.backup()
    fill(engine, 3000 // 10)
    before = in_folder.place.files()

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (small.bytes // 2, small.bytes // 2))

    done = subprocess.run(
        [sys.executable, "-m", "heed", "backup"],
        env=in_folder.environment,
        preexec_fn=no_room,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "heed: The folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert in_folder.place.files() == before
    assert not list(Path(in_folder.settings.backup_to or "").glob(".*"))


def test_an_empty_database_is_no_backup(in_folder: Backups) -> None:
    with in_folder.server() as cursor:
        cursor.execute(f"CREATE DATABASE {in_folder.name}_empty")
    url = in_folder.settings.need("database_url").replace(f"/{in_folder.name}?", f"/{in_folder.name}_empty?")
    assert "nothing of Heed" in in_folder.refused("backup", HEED_DATABASE_URL=url)


def test_killed_in_the_middle(backups: Backups, engine: sa.Engine, tmp_path: Path) -> None:
    fill(engine, 20)
    path = program(tmp_path / "bin", "pg_dump", SLOW)
    process = backups.start("-m", "heed", "backup", PATH=path)
    wait_for(lambda: halves(backups), what="the dump to begin")
    assert "Another backup" in backups.refused("backup"), "and one that runs is left alone"
    assert halves(backups)
    process.kill()
    process.communicate()
    assert backups.place.files() == {}
    assert "There is no backup" in backups.heed("backup", "--list").stdout
    assert halves(backups)
    backups.backup()
    assert not halves(backups)
    assert len(backups.place.files()) == 2


def test_a_dump_that_hangs_is_given_up(
    in_folder: Backups, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backup import dump
    from backup.watch import Watch

    fill(engine, 20)
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "pg_dump", SLOW))
    monkeypatch.setattr(programs, "STALL_SECONDS", 1.0)
    with pytest.raises(Later, match="pg_dump has not moved for 1 s"):
        dump.take(in_folder.settings, in_folder.place, Watch())
    assert in_folder.place.files() == {}
    assert not halves(in_folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(in_folder: Backups, engine: sa.Engine, tmp_path: Path, number: int) -> None:
    fill(engine, 20)
    process = in_folder.start("-m", "heed", "backup", PATH=program(tmp_path / "bin", "pg_dump", SLOW))
    wait_for(lambda: halves(in_folder), what="the dump to begin")
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode not in (0, -signal.SIGTERM)
    assert in_folder.place.files() == {}
    assert not halves(in_folder)


def halves(backups: Backups) -> list[str]:
    """What is half-written."""
    if backups.place.name.startswith("s3:"):
        s3 = backups.place._s3  # type: ignore[attr-defined]
        prefix = backups.place._prefix  # type: ignore[attr-defined]
        found = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
        return [upload["Key"] for upload in found if upload["Key"].startswith(prefix)]
    return [file.name for file in Path(backups.settings.backup_to or "").glob(".*")]


def test_a_dump_without_manifest_is_none_and_goes(backups: Backups, engine: sa.Engine) -> None:
    fill(engine, 1)
    stale = catalogue.dump_of(catalogue.name_of(datetime.now(UTC) - timedelta(days=1)))
    for name in (stale, "somebody-elses.dump"):
        with backups.place.write(name) as write:
            write(b"half")
    assert catalogue.backups(backups.place) == []
    backups.backup()
    assert stale not in backups.place.files()
    assert "somebody-elses.dump" in backups.place.files()


def test_the_newest_are_kept(backups: Backups, engine: sa.Engine) -> None:
    fill(engine, 1)
    names = []
    for _ in range(3):
        done = backups.heed("backup", HEED_BACKUP_KEEP="2")
        assert done.returncode == 0, done.stderr
        names.append(catalogue.backups(backups.place)[0].name)
    assert [each.name for each in catalogue.backups(backups.place)] == names[:0:-1]
    assert len(backups.place.files()) == 4


def test_a_copied_manifest_is_no_other_backup(in_folder: Backups, engine: sa.Engine) -> None:
    """Counted as one it would push out an older one."""
    fill(engine, 1)
    older, newer = in_folder.backup(), in_folder.backup()
    folder = Path(in_folder.settings.backup_to or "")
    shutil.copy(folder / f"{newer.name}.json", folder / f"{newer.name} (copy).json")
    assert catalogue.backups(in_folder.place) == [newer, older]


def test_one_of_an_emptied_database_replaces_none(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 5)
    full = in_folder.backup()
    engine.dispose()
    with in_folder.server() as cursor:
        cursor.execute(f"DROP DATABASE {in_folder.name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {in_folder.name}")
    assert in_folder.heed("migrate").returncode == 0
    for _ in range(2):
        assert in_folder.heed("backup", HEED_BACKUP_KEEP="1").returncode == 0
    assert [each.counts.feedback for each in catalogue.backups(in_folder.place)] == [0, 5]
    in_folder.restore(full.name)
    assert in_folder.answers() == 5


def test_a_large_one_goes_in_parts(
    settings: Settings, engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backup import dump, s3
    from backup.check import check
    from backup.watch import Watch

    client = boto3.client("s3", endpoint_url=str(settings.aws_endpoint), region_name="us-east-1", **credentials())
    client.create_bucket(Bucket=BUCKET)
    backups = Backups(settings, f"s3://{BUCKET}/{tmp_path.name}", tmp_path, monkeypatch)
    monkeypatch.setattr(s3, "PART", 5 << 20)  # the least that S3 takes
    with engine.begin() as connection:
        bulk(connection, 12_000)
    manifest = dump.take(backups.settings, backups.place, Watch())
    tag = client.head_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{manifest.dump}")["ETag"]
    assert int(tag.strip('"').partition("-")[2]) > 1, "it went in one part"
    check(backups.place, manifest, Watch())


def bulk(connection: sa.Connection, number: int) -> None:
    """So many answers of words that do not compress well."""
    connection.execute(
        sa.text("""
            INSERT INTO feedback (id, survey, client, source, comment, reply, received_at, label, compound, scores,
                scorer, selected, reasons, policy)
            SELECT gen_random_uuid(), 'default', gen_random_uuid(), 'api',
                (SELECT string_agg(md5(n::text || part || random()), '') FROM generate_series(1, 40) AS part),
                false, now(), 'unknown', 0, '{}', 'tests', false, '{}', 'tests'
            FROM generate_series(1, :number) AS n
        """),
        {"number": number},
    )
    connection.execute(
        sa.insert(rollup).values(
            survey="default",
            grain="total",
            at=sa.text("'-infinity'"),
            vote="",
            rating=0,
            label="unknown",
            answers=number,
            selected=0,
        )
    )


# Checking and restoring one


@pytest.mark.parametrize("harm", ["a bit turned", "cut short", "dump gone"])
def test_damage_is_found_before_anything_is_touched(in_folder: Backups, engine: sa.Engine, harm: str) -> None:
    fill(engine, 5)
    manifest = in_folder.backup()
    fill(engine, 2)
    file = Path(in_folder.settings.backup_to or "") / manifest.dump
    data = bytearray(file.read_bytes())
    if harm == "a bit turned":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif harm == "cut short":
        file.write_bytes(data[:-100])
    else:
        file.unlink()
    expected = "is damaged" if harm == "a bit turned" else "There is no backup"
    assert expected in in_folder.refused("backup", "--check", "latest")
    assert expected in in_folder.refused("restore", "--replace")
    assert (in_folder.databases(), in_folder.answers()) == ({in_folder.name: True}, 7)


def test_what_does_not_add_up_is_not_switched_to(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 5)
    with engine.begin() as connection:
        connection.execute(sa.update(rollup).values(answers=rollup.c.answers + 1))
    in_folder.backup()
    assert "totals are not those of the feedback" in in_folder.refused("restore", "--replace")
    assert (in_folder.databases(), in_folder.answers()) == ({in_folder.name: True}, 5)


def test_feedback_is_not_replaced_unasked(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 2)
    in_folder.backup()
    assert "--replace" in in_folder.refused("restore")
    assert in_folder.databases() == {in_folder.name: True}


def test_the_latest_is_not_one_from_the_future(in_folder: Backups, engine: sa.Engine) -> None:
    """A clock that was ahead and was put right leaves an older backup that looks like the latest."""
    fill(engine, 1)
    first = in_folder.backup()
    ahead = datetime.now(UTC) + timedelta(days=1)
    with in_folder.place.write(catalogue.dump_of(catalogue.name_of(ahead))) as write:
        for chunk in in_folder.place.read(first.dump):
            write(chunk)
    wrong = first.model_copy(update={"name": catalogue.name_of(ahead), "taken_at": ahead})
    catalogue.save(in_folder.place, wrong)
    fill(engine, 1)
    assert in_folder.heed("backup").returncode == 0
    assert "from the future" in in_folder.refused("restore", "--replace")
    in_folder.restore("--replace", catalogue.backups(in_folder.place)[1].name)
    assert in_folder.answers() == 2


@pytest.mark.parametrize("service", ["worker", "relay", "ticketing"])
def test_a_service_at_work_is_not_cut_off(in_folder: Backups, engine: sa.Engine, service: str) -> None:
    fill(engine, 2)
    in_folder.backup()
    working = db.connect(in_folder.settings, service)
    with working.connect() as connection:
        connection.execute(sa.select(1))
        said = in_folder.refused("restore", "--replace")
        assert said.startswith(f"heed: {service} still at work")
        assert "docker compose stop worker relay ticketing" in said
        connection.execute(sa.select(1))
    working.dispose()
    in_folder.restore("--replace")


def test_a_service_that_comes_in_the_middle_is_not_cut_off(
    in_folder: Backups, engine: sa.Engine, tmp_path: Path
) -> None:
    fill(engine, 2)
    in_folder.backup()
    go = tmp_path / "go"
    script = f'[ "$1" = --version ] && exec "$REAL" "$@"\nwhile [ ! -e {go} ]; do sleep 0.05; done\nexec "$REAL" "$@"'
    path = program(tmp_path / "bin", "pg_restore", script)
    with ThreadPoolExecutor(1) as pool:
        restoring = pool.submit(in_folder.refused, "restore", "--replace", PATH=path)
        wait_for(lambda: len(in_folder.databases()) == 2, 30, "the new database")
        assert "Another restore" in in_folder.refused("restore", "--replace")
        working = db.connect(in_folder.settings, "worker")
        with working.connect() as connection:
            connection.execute(sa.select(1))
            go.touch()
            assert "worker still at work" in restoring.result()
            connection.execute(sa.select(1))
        working.dispose()
    assert in_folder.databases() == {in_folder.name: True}


def test_connections_are_ended_and_let_in_again(in_folder: Backups, engine: sa.Engine) -> None:
    """A site's pool and a psql that somebody left open."""
    fill(engine, 2)
    in_folder.backup()
    left = psycopg2.connect(in_folder.settings.need("database_url"))
    left.cursor().execute("SELECT * FROM feedback")  # in a transaction
    in_folder.restore("--replace")
    with pytest.raises(psycopg2.OperationalError):
        left.cursor().execute("SELECT 1")
    with engine.connect() as connection:  # whose pooled connection died
        assert connection.execute(sa.select(sa.func.count()).select_from(feedback)).scalar_one() == 2


def test_into_a_server_without_the_database(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 4)
    in_folder.backup()
    engine.dispose()
    with in_folder.server() as cursor:
        cursor.execute(f"DROP DATABASE {in_folder.name} WITH (FORCE)")
    said = in_folder.restore()
    assert "DROP DATABASE" not in said
    assert (in_folder.databases(), in_folder.answers()) == ({in_folder.name: True}, 4)


def test_into_an_empty_database_that_was_migrated(in_folder: Backups, engine: sa.Engine) -> None:
    """As compose leaves it on a new volume."""
    fill(engine, 4)
    in_folder.backup()
    engine.dispose()
    with in_folder.server() as cursor:
        cursor.execute(f"DROP DATABASE {in_folder.name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {in_folder.name}")
    assert in_folder.heed("migrate").returncode == 0
    in_folder.restore()
    assert in_folder.answers() == 4
    assert len(in_folder.databases()) == 2


def test_an_older_schema_is_brought_up_to_date(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 4)
    accept(in_folder.settings, 4)
    with engine.begin() as connection:
        config = migrations()
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert in_folder.backup().revision == "0001"
    in_folder.restore("--replace")
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
        assert connection.execute(sa.text("SELECT count(*) FROM settlements")).scalar_one() == 0


def test_without_the_queue_it_says_what_is_left_to_do(in_folder: Backups, engine: sa.Engine) -> None:
    fill(engine, 4)
    accept(in_folder.settings, 4)
    manifest = in_folder.backup()
    fill(engine, 1)
    accept(in_folder.settings, 1)
    said = in_folder.restore("--replace", HEED_REDIS_URL="redis://127.0.0.1:1/0")
    assert f"heed settle 'restored from {manifest.name}'" in said
    done = in_folder.heed("settle", f"restored from {manifest.name}", "--yes")
    assert "Settled: 1 accepted and lost." in done.stdout


# Killed at each step: the script is the restore itself, which ends by SIGKILL before or after a step.

KILL = """
import os, signal, sys
from backup import restore, switch
from heed.__main__ import main

where, when, name = sys.argv[1:4]
owner = {"restore": restore, "switch": switch.Databases}[where]
true = getattr(owner, name)

def step(*given, **named):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    true(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, step)
sys.argv = ["heed", "restore", "--replace"]
main()
"""


@pytest.mark.parametrize(
    ("where", "when", "name", "restored"),
    [
        ("switch", "after", "create", False),
        ("restore", "after", "_fill", False),
        ("restore", "after", "_verify", False),
        ("switch", "after", "_let_in", False),
        ("switch", "after", "_put_out", False),
        ("switch", "after", "_rename", True),
        ("restore", "before", "_settle", True),
    ],
)
def test_killed_restore(
    in_folder: Backups, engine: sa.Engine, where: str, when: str, name: str, restored: bool
) -> None:
    fill(engine, 5)
    accept(in_folder.settings, 5)
    in_folder.backup()
    fill(engine, 2)
    accept(in_folder.settings, 2)
    engine.dispose()
    process = in_folder.start("-c", KILL, where, when, name)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    if name in ("_let_in", "_put_out"):
        assert in_folder.databases()[in_folder.name] is False
        with pytest.raises(psycopg2.OperationalError, match="not currently accepting"):
            psycopg2.connect(in_folder.settings.need("database_url"))
        if name == "_put_out":  # by hand, as docs/operations.md says; else the next restore does it
            with in_folder.server() as cursor:
                cursor.execute(f"ALTER DATABASE {in_folder.name} WITH ALLOW_CONNECTIONS true")
            assert in_folder.answers() == 7
    else:
        assert in_folder.answers() == (5 if restored else 7)
    assert "2 accepted and lost" in in_folder.restore("--replace")
    assert all(in_folder.databases().values())
    assert not [database for database in in_folder.databases() if "_restore_" in database]
    kept = [database for database in in_folder.databases() if "_before_" in database]
    assert len(kept) == (2 if restored else 1)
    assert in_folder.answers() == 5
    assert books.take(engine, Queue.connect(in_folder.settings)).balanced


def test_interrupted_restore_lets_everybody_in_again(in_folder: Backups, engine: sa.Engine) -> None:
    """It waits for a connection that does not end."""
    fill(engine, 3)
    in_folder.backup()
    engine.dispose()
    stuck = psycopg2.connect(in_folder.settings.need("database_url"))
    os.kill(stuck.info.backend_pid, signal.SIGSTOP)
    try:
        process = in_folder.start("-m", "heed", "restore", "--replace")
        wait_for(lambda: not in_folder.databases()[in_folder.name], 30, "the door to be shut")
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: in_folder.databases()[in_folder.name], 10, "the door to be open again")
    finally:
        os.kill(stuck.info.backend_pid, signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert in_folder.databases() == {in_folder.name: True}
    assert in_folder.answers() == 3
    stuck.close()


# The schedule


class Service:
    """`python -m backup` as it is run."""

    def __init__(self, backups: Backups, **environment: str) -> None:
        self.port = free_port()
        self.process = backups.start("-m", "backup", HEED_OPS_PORT=str(self.port), **environment)

    def get(self, path: str) -> httpx.Response:
        def answered() -> httpx.Response | None:
            assert self.process.poll() is None, self.process.communicate()
            try:
                return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False)
            except httpx.TransportError:
                return None

        found = wait_for(answered, what="the service")
        assert found is not None
        return found

    def metric(self, name: str) -> float | None:
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else None

    def end(self, number: int = signal.SIGTERM) -> str:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.communicate(timeout=15)[1]


@pytest.fixture
def serve_backups() -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(backups: Backups, **environment: str) -> Service:
        started.append(Service(backups, **environment))
        return started[-1]

    yield start
    for service in started:
        service.end(signal.SIGKILL)


def test_first_at_once_and_no_second_after_a_restart(
    backups: Backups, engine: sa.Engine, serve_backups: Callable[..., Service]
) -> None:
    fill(engine, 2)
    first = serve_backups(backups)
    wait_for(lambda: len(catalogue.backups(backups.place)) == 1, 20, "the first backup")
    [manifest] = catalogue.backups(backups.place)
    name = "heed_backup_last_success_timestamp_seconds"
    wait_for(lambda: first.metric(name) == manifest.taken_at.timestamp(), what="the gauge")
    assert first.metric("heed_backup_bytes") == manifest.bytes
    assert first.metric("heed_backup_duration_seconds_count") == 1
    assert first.get("/readyz").json()["checks"] == {"postgres": "ok", "destination": "ok"}
    assert first.get("/healthz").status_code == 200
    first.end()
    assert first.process.returncode == 0
    second = serve_backups(backups)
    wait_for(lambda: second.metric(name) == manifest.taken_at.timestamp(), what="the gauge after a restart")
    time.sleep(1)
    assert second.metric("heed_backup_duration_seconds_count") == 0
    assert catalogue.backups(backups.place) == [manifest]


def test_one_by_hand_counts(in_folder: Backups, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule counts from the newest there is; in the test's own process, for its clock."""
    from backup import __main__ as service
    from heed.lifecycle import Heartbeat, Stop

    fill(engine, 1)
    hourly = in_folder.settings.model_copy(update={"backup_every_hours": 1.0})
    schedule = service.Schedule(hourly, in_folder.place, Stop(), Heartbeat(60))
    assert schedule._is_due()
    schedule._take()
    assert not schedule._is_due()

    class Clock(datetime):
        passed = timedelta(minutes=59)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + cls.passed

    monkeypatch.setattr(service, "datetime", Clock)
    assert not schedule._is_due()
    Clock.passed = timedelta(minutes=61)
    assert schedule._is_due()
    Clock.passed = timedelta(days=-2)  # a clock put back: what is there is from the future, and does not count
    assert schedule._is_due()
    Clock.passed = timedelta(minutes=61)
    by_hand = in_folder.backup()  # taken now, by the true clock: two minutes make it young enough
    Clock.passed = timedelta(minutes=30)
    schedule._newest = by_hand.model_copy(update={"taken_at": by_hand.taken_at - timedelta(hours=1)})
    assert not schedule._is_due()
    assert schedule._newest == by_hand


def test_failures_are_tried_again(in_folder: Backups, engine: sa.Engine, serve_backups: Callable[..., Service]) -> None:
    fill(engine, 1)
    folder = Path(in_folder.settings.backup_to or "")
    shutil.rmtree(folder)
    service = serve_backups(in_folder)
    wait_for(lambda: service.metric("heed_backup_failures_total") == 1, 20, "a failure")
    ready = service.get("/readyz")
    assert ready.status_code == 503
    assert "there is no folder" in ready.json()["checks"]["destination"]
    assert service.metric("heed_backup_last_success_timestamp_seconds") is None
    folder.mkdir(mode=0o700)
    wait_for(lambda: len(catalogue.backups(in_folder.place)) == 1, 20, "the backup")
    lines = [json.loads(line) for line in service.end().splitlines()]
    assert "backup-failed" in {line["event"] for line in lines}
    assert "backup-taken" in {line["event"] for line in lines}


def test_a_stop_does_not_wait_for_the_dump(
    in_folder: Backups, engine: sa.Engine, serve_backups: Callable[..., Service], tmp_path: Path
) -> None:
    fill(engine, 20)
    service = serve_backups(in_folder, PATH=program(tmp_path / "bin", "pg_dump", SLOW))
    wait_for(lambda: halves(in_folder), 20, "the dump to begin")
    began = time.monotonic()
    service.end()
    assert time.monotonic() - began < 5
    assert service.process.returncode == 0
    assert in_folder.place.files() == {}
    assert not halves(in_folder)


def test_two_schedules_take_one(in_folder: Backups, engine: sa.Engine, serve_backups: Callable[..., Service]) -> None:
    fill(engine, 1)
    both = [serve_backups(in_folder), serve_backups(in_folder)]
    wait_for(lambda: catalogue.backups(in_folder.place), 20, "a backup")
    name = "heed_backup_last_success_timestamp_seconds"
    wait_for(lambda: all(each.metric(name) for each in both), 20, "both to know it")
    assert len(catalogue.backups(in_folder.place)) == 1
    assert [each.metric("heed_backup_failures_total") for each in both] == [0, 0]
