"""One person's costly requests keep nobody else from the results site."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import sqlalchemy as sa
from conftest import API_KEY, Served, wait_for

from api.results.app import create_app
from api.results.turns import EACH
from heed import passwords
from heed.contracts import Role
from heed.db import people
from heed.settings import Settings

MANY = 30  # more than the pool has connections


def test_many_searches_of_one_keep_nobody_else_waiting(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    url = serve(create_app(settings)).url
    with engine.begin() as connection:
        people.add(connection, "tests", "ann", Role.VIEWER, None, passwords.hash_of("their-password"))
    ann = httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_connections=MANY))
    assert ann.post("/login", data={"name": "ann", "password": "their-password"}).status_code == 303
    statuses: list[int] = []

    def search(number: int) -> None:
        overview = f"/api/v1/surveys/default/overview?from=2026-01-{number:02}&to=2026-02-01"
        path = ("/api/v1/feedback?q=slow", "/feedback?q=slow", overview)[number % 3]
        statuses.append(ann.get(path).status_code)

    threads = [threading.Thread(target=search, args=(number,)) for number in range(1, MANY + 1)]
    with engine.connect() as holder, engine.connect() as onlooker:
        holder.execute(sa.text("LOCK TABLE feedback IN ACCESS EXCLUSIVE MODE"))  # all of them take long
        for each in threads:
            each.start()
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE relation = 'feedback'::regclass AND NOT granted")
        wait_for(lambda: onlooker.execute(waiting).scalar_one() >= EACH, what="searches under way")
        time.sleep(0.5)  # the others have come too
        under_way = onlooker.execute(waiting).scalar_one()
        other = httpx.get(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30)
        mine = ann.get("/api/v1/me")
        holder.rollback()
    for each in threads:
        each.join(40)
    assert (other.status_code, mine.status_code) == (200, 200)
    assert under_way <= EACH
    assert set(statuses) <= {200, 503}, statuses
    assert ann.get("/api/v1/feedback?q=slow").status_code == 200, "the turns were given back"
    ann.close()


def test_files_that_are_read_slowly_keep_nobody_waiting(
    settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    """Nor whoever has the same password or key: their reader is waited for, not Postgres."""
    url = serve(create_app(settings)).url
    with engine.begin() as connection:  # more than sockets hold
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            sa.text("""
            INSERT INTO feedback (id, survey, client, source, comment, reply, received_at, label, compound, scores,
                                  scorer, selected, reasons, policy)
            SELECT CAST(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0') AS uuid),
                   'default', 'c' || n, 'api', repeat('x', 4000), false, now(), 'neutral', 0, '{}', 'none',
                   false, '{}', 'none'
            FROM generate_series(1, 4000) AS n""")
        )
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as anyone, ExitStack() as unread:
        for _ in range(EACH):
            opened = anyone.stream("GET", "/api/v1/feedback", params={"format": "jsonl"})
            assert unread.enter_context(opened).status_code == 200
        asked = {"limit": 1}
        wait_for(
            lambda: anyone.get("/api/v1/feedback", params=asked).status_code == 200, what="a list beside the files"
        )
