"""Live results: every change reaches every viewer, at once and at little cost, whatever breaks in between."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served, free_port, need, wait_for
from results_data import answer

from api.results import stream
from api.results.access import Who
from api.results.app import create_app
from api.results.live import Channel, Live, Viewer
from api.results.rights import Level
from heed.db.notify import CHANNEL
from heed.settings import Settings
from heed.telemetry import LIVE_VIEWERS

LIVE = "/api/v1/surveys/default/live"
WHO = Who("somebody", Level.VIEWER)
KEY = {"Authorization": f"Bearer {API_KEY}"}


class Watching:
    """The events of an open stream, one at a time."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()

    def next(self) -> dict[str, str]:
        """The next event or comment; empty when the stream has ended."""
        event: dict[str, str] = {}
        for line in self._lines:
            if not line:
                if event:
                    return event
                continue
            name, _, value = line.partition(":")
            event[name] = value.strip()
        return event

    def results(self) -> dict[str, Any]:
        """The next event that is results."""
        while (event := self.next()).get("event") != "results":
            assert event, "the stream ended"
        pushed: dict[str, Any] = json.loads(event["data"])
        return pushed


@contextmanager
def watch(site: str, path: str = LIVE) -> Iterator[Watching]:
    with httpx.stream("GET", f"{site}{path}", headers=KEY, timeout=10) as response:
        yield Watching(response)


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


def test_a_change_arrives_within_a_second(site: str, engine: sa.Engine) -> None:
    old = answer(engine, "before", vote="good")
    with watch(site) as viewer:
        assert viewer.next() == {"retry": "2000"}
        first = viewer.results()
        assert first["results"]["total"] == 1
        assert [item["id"] for item in first["newest"]] == [str(old)]
        began = time.monotonic()
        new = answer(engine, "after", vote="bad")
        pushed = viewer.results()
        assert time.monotonic() - began < 1
        assert pushed["results"]["votes"] == {"good": 1, "bad": 1, "none": 0}
        assert [item["id"] for item in pushed["newest"]] == [str(new)]  # what has not changed is not sent again


def test_with_thousands_of_files_open(settings: Settings, serve: Callable[[Any], Served], engine: sa.Engine) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need(hard == resource.RLIM_INFINITY or hard >= 4096, "a limit of 4,096 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]  # as with so many viewers
    try:
        with watch(serve(create_app(settings)).url) as viewer:
            assert viewer.results()["results"]["total"] == 0
            answer(engine, "after", vote="bad")
            assert viewer.results()["results"]["total"] == 1
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_burst_is_few_pushes_and_all_viewers_end_equal(site: str, engine: sa.Engine) -> None:
    with watch(site) as one, watch(site) as two:
        assert one.results()["results"]["total"] == two.results()["results"]["total"] == 0
        for number in range(40):
            answer(engine, f"number {number}")
        for viewer in (one, two):
            seen: set[str] = set()
            pushes = 0
            while True:
                pushed = viewer.results()
                pushes += 1
                seen |= {item["id"] for item in pushed["newest"]}
                if pushed["results"]["total"] == 40:
                    break
            assert pushes < 20
            assert len(pushed["newest"]) <= 20
            assert len(seen) >= 20


def test_the_listener_comes_back(site: str, engine: sa.Engine) -> None:
    with watch(site) as viewer:
        assert viewer.results()["results"]["total"] == 0
        with engine.begin() as connection:
            ended = connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'heed-results-listen' AND datname = current_database()"
                )
            )
            assert ended.scalars().all() == [True]
        answer(engine, "while nobody listened")
        events = [viewer.next()]
        while events[-1].get("event") != "results" or json.loads(events[-1]["data"])["results"]["total"] == 0:
            events.append(viewer.next())
        assert "away" in [event.get("event") for event in events]
        assert len(json.loads(events[-1]["data"])["newest"]) == 1
        answer(engine, "and on it goes")
        assert viewer.results()["results"]["total"] == 2


def test_other_surveys_and_unknown_payloads_are_no_matter(site: str, engine: sa.Engine) -> None:
    with watch(site) as viewer:
        viewer.results()
        with engine.begin() as connection:
            for payload in ("", "nope", "x" * 7000):
                connection.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))
        answer(engine, "still here")
        assert viewer.results()["results"]["total"] == 1


def test_viewers_cost_one_query(settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]) -> None:
    app = create_app(settings)
    live: Live = app.state.live
    load, loads = live._load, []
    live._load = lambda survey: loads.append(survey) or load(survey)  # type: ignore[func-returns-value]
    site = serve(app).url
    totals: list[int] = []
    before = LIVE_VIEWERS._value.get()

    def view() -> None:
        with watch(site) as viewer:
            while (total := viewer.results()["results"]["total"]) == 0:
                pass
            totals.append(total)

    viewers = [threading.Thread(target=view) for _ in range(30)]
    for thread in viewers:
        thread.start()
    wait_for(lambda: LIVE_VIEWERS._value.get() == before + 30, what="all viewers")
    loads.clear()
    answer(engine, "for all")
    for thread in viewers:
        thread.join(10)
    assert totals == [1] * 30
    assert len(loads) <= 2  # the viewers' first state may still be on its way
    wait_for(lambda: LIVE_VIEWERS._value.get() == before, what="the viewers' leaving")
    assert not live.watched("default")


def test_a_slow_viewer_misses_only_what_is_in_between() -> None:
    channel, quick, slow, late = Channel(), Viewer(WHO), Viewer(WHO), Viewer(WHO)
    assert channel.take(quick) == b""
    channel.show(b"whole 1", b"delta 1")
    assert (channel.take(quick), channel.take(slow)) == (b"whole 1", b"whole 1")
    channel.show(b"whole 2", b"delta 2")
    assert channel.take(quick) == b"delta 2"
    channel.show(b"whole 3", b"delta 3")
    assert channel.take(quick) == b"delta 3"
    assert channel.take(slow) == b"whole 3"
    assert channel.take(late) == b"whole 3"
    assert channel.take(late) == b""


def test_silence_is_filled_and_a_stream_ends_in_time(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(stream, "MOST_SECONDS", 0.5)
    with watch(site) as viewer:
        viewer.results()
        assert viewer.next() == {"": "still here"}
        while viewer.next():
            pass


def test_stopping_ends_open_streams(settings: Settings) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "HEED_RESULTS_PORT": str(port),
        "HEED_DATABASE_URL": settings.need("database_url"),
        "HEED_REDIS_URL": settings.need("redis_url"),
        "HEED_SECRET_KEY": settings.need("secret_key"),
        "HEED_API_KEY": API_KEY,
    }
    process = subprocess.Popen([sys.executable, "-m", "api.results"], env=environment)
    site = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{site}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for(ready, what="the results site")
        with watch(site) as viewer:
            viewer.results()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert viewer.next() == {}
            assert process.wait(5) in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 3
    finally:
        process.kill()
        process.wait()
