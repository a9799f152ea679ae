"""Health and metrics of a service whose surroundings hang, and what a site counts of its visitors."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Served, wait_for
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.feedback.app import create_app as create_feedback
from api.results.app import create_app as create_results
from heed.lifecycle import Heartbeat
from heed.settings import Settings
from heed.telemetry import OUTBOX_DEPTH, QUEUE_AGE, QUEUE_DEPTH
from heed.web import health
from heed.web.measure import Measure

Serve = Callable[[Any], Served]


def samples(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a service exports: value by name and labels."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=10).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_hangs_delays_nothing_and_is_not_asked_twice(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 1.0)
    over, asked = threading.Event(), []

    def hangs() -> str | None:
        asked.append("check")
        over.wait(30)
        return None

    def hanging() -> Iterator[Metric]:
        asked.append("source")
        yield QUEUE_AGE.of(1)
        over.wait(30)

    def fails() -> Iterator[Metric]:
        yield QUEUE_DEPTH.of(1)
        raise RuntimeError("cannot be read")

    def works() -> Iterator[Metric]:
        yield OUTBOX_DEPTH.of(7)

    def raises() -> str | None:
        raise ValueError("nobody thought of that")

    heartbeat = Heartbeat(60)
    checks: dict[str, health.Check] = {"hangs": hangs, "raises": raises, "works": lambda: None, "away": lambda: "gone"}
    site = serve(Starlette(routes=health.routes(heartbeat, checks, [hanging, fails, works])))
    started = time.monotonic()
    for _ in range(2):
        found = samples(site.url)
        assert ("heed_queue_oldest_age_seconds", ()) not in found
        assert ("heed_queue_depth", ()) not in found
        assert found["heed_outbox_depth", ()] == 7
        ready = {labels[0][1]: value for (name, labels), value in found.items() if name == "heed_ready"}
        assert ready == {"hangs": 0, "raises": 0, "works": 1, "away": 0}
        assert 0 <= found["heed_heartbeat_age_seconds", ()] < 60
        answer = httpx.get(f"{site.url}/readyz", trust_env=False)
        assert answer.status_code == 503
        assert answer.json()["checks"] == {
            "hangs": "no answer within 1 s",
            "raises": "ValueError",
            "works": "ok",
            "away": "gone",
        }
        assert httpx.get(f"{site.url}/healthz", trust_env=False).status_code == 200
    assert 4 <= time.monotonic() - started < 10
    assert sorted(asked) == ["check", "source"]
    over.set()
    assert samples(site.url)["heed_queue_oldest_age_seconds", ()] == 1
    assert httpx.get(f"{site.url}/readyz", trust_env=False).json()["checks"]["hangs"] == "ok"


def test_requests_that_hang_delay_no_metrics(serve: Serve) -> None:
    over, begun = threading.Event(), []

    def hangs(_request: Request) -> Response:  # as on a site whose Postgres hangs
        begun.append(1)
        over.wait(30)
        return Response()

    site = serve(Starlette(routes=[Route("/hangs", hangs), *health.routes()]))
    visits = [
        threading.Thread(target=httpx.get, args=(f"{site.url}/hangs",), kwargs={"trust_env": False, "timeout": 40})
        for _ in range(50)
    ]
    for visit in visits:
        visit.start()
    try:
        wait_for(lambda: len(begun) == 40, what="every thread for requests to hang")
        assert samples(site.url)
    finally:
        over.set()
        for visit in visits:
            visit.join()


def counted(url: str) -> Counter[tuple[str, str, str]]:
    """How many requests a site counted, by (route, method, status); all sites of this process count together."""
    found: Counter[tuple[str, str, str]] = Counter()
    for (name, labels), value in samples(url).items():
        if name == "heed_http_requests_total":
            label = dict(labels)
            found[label["route"], label["method"], label["status"]] = int(value)
    return found


def test_visitors_make_no_labels(serve: Serve, settings: Settings) -> None:
    asks: list[tuple[Any, list[tuple[str, str]], set[tuple[str, str, str]]]] = [
        (
            create_feedback(settings),
            [
                ("GET", "/"),
                ("GET", "/s/default"),
                ("GET", "/s/one-of-a-thousand"),
                ("GET", "/r/one-of-a-thousand"),
                ("PUT", "/api/v1/surveys/one-of-a-thousand/feedback"),
                ("POST", "/api/v1/surveys/default/feedback"),
                ("GET", "/static/one-of-a-thousand.js"),
                ("GET", "/one-of-a-thousand"),
                ("PROPFIND", "/"),
            ],
            {
                ("/", "GET", "200"),
                ("/s/{slug}", "GET", "200"),
                ("/s/{slug}", "GET", "404"),
                ("/r/{token}", "GET", "404"),
                ("/api/v1/surveys/{slug}/feedback", "PUT", "405"),
                ("/api/v1/surveys/{slug}/feedback", "POST", "415"),
                ("/static", "GET", "404"),
                ("none", "GET", "404"),
                ("/", "other", "405"),
            },
        ),
        (
            create_results(settings),
            [
                ("GET", "/login"),
                ("GET", "/s/one-of-a-thousand"),
                ("GET", "/api/v1/feedback/01a20091-0e99-70d7-bfb5-6f71ed72f9e5"),
                ("GET", "/feedback/one-of-a-thousand"),
            ],
            {
                ("/login", "GET", "200"),
                ("/s/{slug}", "GET", "404"),
                ("/api/v1/feedback/{answer_id}", "GET", "404"),
                ("/feedback/{answer_id}", "GET", "422"),
            },
        ),
    ]
    for app, requests, expected in asks:
        site = serve(app)
        before = counted(site.url)
        headers = {"Authorization": f"Bearer {settings.need('api_key')}"}
        with httpx.Client(base_url=site.url, headers=headers, trust_env=False) as http:
            for method, path in requests:
                http.request(method, path)
        new = counted(site.url) - before
        assert set(new) - {("/metrics", "GET", "200")} == expected
        assert "thousand" not in httpx.get(f"{site.url}/metrics", trust_env=False).text


def test_an_error_that_nobody_caught_is_counted(serve: Serve) -> None:
    async def breaks(_request: Request) -> Response:
        raise RuntimeError("a defect")

    site = serve(Starlette(routes=[Route("/breaks", breaks), *health.routes()], middleware=[Middleware(Measure)]))
    before = counted(site.url)
    assert httpx.get(f"{site.url}/breaks", trust_env=False).status_code == 500
    assert (counted(site.url) - before)["/breaks", "GET", "500"] == 1
