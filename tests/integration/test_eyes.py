"""What can be seen of a running system: one answer's whole way in the logs and as a trace, and every metric that the
alerts and the dashboard speak of, in a real Prometheus.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml
from collector import Collector, collecting
from conftest import ADMIN_PASSWORD, API_KEY, free_port, need, wait_for
from system import System, running

from heed.contracts import StreamEntry, new_id
from heed.stream import keys
from local.home import Home

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MONITORING = Path(__file__).parents[2] / "monitoring"
WORDS, NAME, ADDRESS = "The hinges squeak like a thousand gulls", "Agnetha", "agnetha@example.org"

# There is nothing to show for them until something goes wrong.
ONLY_IN_TROUBLE = {"heed_events_queue_failures_total", "heed_quarantine_standing", "heed_ready"}


@dataclass
class Watched:
    """A system, a collector of its traces, its services' addresses, and an answer (`id`) that went all the way."""

    system: System
    collector: Collector
    addresses: dict[str, str]
    id: str
    happy: str  # one that asks for no ticket

    def environment(self) -> dict[str, str]:
        """The environment of its services."""
        lines = (self.system.home / "run.env").read_text(encoding="utf-8").splitlines()
        return {**self.system.environment, **dict(line.split("=", 1) for line in lines)}

    def log(self, part: str) -> list[dict[str, Any]]:
        lines = Home(self.system.home).log(part).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, part: str) -> list[str]:
        """What a service's log says of the answer, in order."""
        return [line["event"] for line in self.log(part) if self.id in (line.get("id"), *line.get("ids", ()))]


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with (
        collecting() as collector,
        running(
            HEED_API_KEY=API_KEY,
            HEED_ADMIN_PASSWORD=ADMIN_PASSWORD,
            HEED_OTLP_ENDPOINT=collector.url,
            HEED_LOG_LEVEL="debug",
            HEED_BATCH_SIZE="10",
        ) as system,
    ):
        processes = Home(system.home).processes()
        names = ("feedback", "results", "worker", "relay", "ticketing")
        addresses = {name: processes[name]["address"] for name in names}
        contact = {"name": NAME, "email": ADDRESS, "reply": True}
        answer = system.answer(vote="bad", comment=WORDS, contact=contact)
        assert answer.status_code == 202
        happy = system.answer(vote="good", comment="All is well.")
        made = Watched(system, collector, addresses, answer.json()["id"], happy.json()["id"])
        wait_for(lambda: "ticket opened" in made.events("ticketing"), 30, "the ticket")
        with httpx.Client(
            base_url=f"http://127.0.0.1:{system.environment['HEED_SANDBOX_PORT']}/api/v2",
            auth=("agent@example.com/token", "any"),
            trust_env=False,
        ) as desk:
            [ticket] = desk.get("/tickets.json", params={"external_id": made.id}).json()["tickets"]
            desk.put(f"/tickets/{ticket['id']}.json", json={"ticket": {"status": "solved"}}).raise_for_status()
        wait_for(lambda: "status" in made.events("ticketing"), 15, "the news of it")
        httpx.post(f"{addresses['results']}/login", data={"password": ADMIN_PASSWORD}, trust_env=False)
        yield made


def test_the_logs_tell_an_answers_way(watched: Watched) -> None:
    assert watched.events("feedback") == ["admitted"]
    assert watched.events("worker") == ["stored", "selected"]
    assert watched.events("relay") == ["published"]
    assert watched.events("ticketing") == ["ticket opened", "status"]
    happy = replace(watched, id=watched.happy)
    assert [happy.events(part) for part in ("feedback", "worker", "relay")] == [["admitted"], ["stored"], []]
    [status] = [line for line in watched.log("ticketing") if line["event"] == "status"]
    assert status["status"] == "solved"
    for part in watched.addresses:
        assert {line["service"] for line in watched.log(part)} <= {part}
        text = Home(watched.system.home).log(part).read_text(encoding="utf-8")
        assert not [word for word in (WORDS, "gulls", NAME, ADDRESS, API_KEY, ADMIN_PASSWORD) if word in text], part


def test_an_answer_is_one_trace_through_all_services(watched: Watched) -> None:
    trace = watched.id.replace("-", "")
    below = {
        ("heed-worker", "assess"),
        ("heed-worker", "store"),
        ("heed-relay", "publish"),
        ("heed-ticketing", "ticket"),
        ("heed-ticketing", "status"),
    }
    desk = {("heed-ticketing", "desk create"), ("heed-ticketing", "desk update")}

    def whole() -> bool:
        there = {(span.service, span.name) for span in watched.collector.spans(trace)}
        return there >= below | desk | {("heed-feedback", "admit")}

    wait_for(whole, 15, "all spans")
    spans = watched.collector.spans(trace)
    [root] = [span for span in spans if not span.parent]
    assert (root.service, root.name, root.id) == ("heed-feedback", "admit", trace[16:])
    assert {(span.service, span.name) for span in spans if span.parent == root.id} == below
    [ticket] = [span for span in spans if span.name == "ticket"]
    assert {(span.service, span.name) for span in spans if span.parent == ticket.id} == desk
    assert len(spans) == 1 + len(below) + len(desk)
    assert len({span.id for span in spans}) == len(spans)
    assert ticket.attributes == {
        "survey": "default",
        "priority": ticket.attributes["priority"],
        "attempt": 1,
        "outcome": "opened",
    }
    sent = b"".join(watched.collector.bodies)
    assert not [word for word in (WORDS, "gulls", NAME, ADDRESS) if word.encode() in sent]


def rules() -> dict[str, str]:
    """The alerts' expressions by name."""
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    return {rule["alert"]: rule["expr"] for group in document["groups"] for rule in group["rules"]}


def dashboard() -> list[str]:
    """The dashboard's expressions, with a range that a test can wait for."""
    document = json.loads((MONITORING / "grafana/dashboards/heed.json").read_text(encoding="utf-8"))
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    return [target["expr"].replace("$__rate_interval", "30s") for panel in panels for target in panel["targets"]]


@pytest.fixture(scope="module")
def backup(watched: Watched) -> Iterator[str]:
    """A backup service of that system; its address. Only once it has made a backup."""
    port = free_port()
    folder = watched.system.home.parent / "backups"
    folder.mkdir(mode=0o700)
    environment = watched.environment() | {"HEED_OPS_PORT": str(port), "HEED_BACKUP_TO": str(folder)}
    log = (watched.system.home.parent / "backup.log").open("w")
    process = subprocess.Popen([sys.executable, "-m", "backup"], env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"

    def made() -> bool:
        assert process.poll() is None, Path(log.name).read_text(encoding="utf-8")
        try:
            return "heed_backup_bytes " in httpx.get(f"{address}/metrics", trust_env=False).text
        except httpx.TransportError:
            return False

    wait_for(made, 30, "a backup")
    yield address
    process.terminate()
    process.wait(15)
    log.close()


def test_what_alerts_and_dashboard_speak_of_is_there(watched: Watched, backup: str) -> None:
    def there() -> set[str]:
        found: set[str] = set()
        for address in (*watched.addresses.values(), backup):
            text = httpx.get(f"{address}/metrics", trust_env=False, timeout=10).text
            found |= set(re.findall(r"^([a-z_]+)(?:\{|\s)", text, re.MULTILINE))
            found |= set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
            assert 'heed_build_info{service="' in text
        return found

    named = {
        name
        for expression in (*rules().values(), *dashboard())
        for name in re.findall(r"\b(?:heed|process)_\w+", expression)
    }
    assert len(named) > 30
    with contextlib.suppress(AssertionError):  # what is read late on a busy machine is left out once
        wait_for(lambda: named <= there(), 20)
    assert named - there() == set()


@dataclass
class Prometheus:
    """A Prometheus that has scraped the system a few times."""

    url: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What the expression is now; fails when Prometheus cannot say."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, trust_env=False).json()
        assert answer["status"] == "success", (expression, answer)
        return list(answer["data"]["result"])


@pytest.fixture(scope="module")
def prometheus(watched: Watched, backup: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus")
    need(binary is not None, "Prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    targets = {**watched.addresses, "backup": backup}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yml")],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [address.removeprefix("http://")]}]}
            for name, address in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder,
        "web.listen-address": f"127.0.0.1:{port}",
    }
    log = (folder / "log").open("w")
    command = [str(binary), *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log)
    made = Prometheus(f"http://127.0.0.1:{port}")

    def scraped() -> bool:
        assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
        try:
            return {each["metric"]["job"] for each in made.ask("min_over_time(up[1m]) == 1")} == set(targets)
        except (httpx.TransportError, ValueError):
            return False

    wait_for(scraped, 30, "Prometheus to reach every service")
    yield made
    process.terminate()
    process.wait(15)
    log.close()


def test_the_figures_are_right(watched: Watched, prometheus: Prometheus) -> None:
    """One answer became a ticket, which is solved; another was happy."""

    def figure(expression: str) -> float | None:
        found = prometheus.ask(expression)
        return float(found[0]["value"][1]) if found else None

    books = {
        "accepted": 2,
        "stored": 2,
        "queued": 0,
        "selected": 1,
        "ticketed": 1,
        "in_flight": 0,
        "failed": 0,
        "lost": 0,
    }
    expected = {
        **{f'heed_books{{entry="{entry}"}}': value for entry, value in books.items()},
        'heed_admissions_total{outcome="accepted"}': 2,
        "sum(heed_admission_batch_size_sum)": 2,
        'heed_http_requests_total{route="/api/v1/surveys/{slug}/feedback", method="POST", status="202"}': 2,
        'heed_processed_total{outcome="stored"}': 2,
        'heed_queue_depth{job="worker"}': 0,
        'heed_queue_pending{job="worker"}': 0,
        "sum(heed_stored_delay_seconds_count) > bool 0": 1,
        'heed_events_published_total{outcome="published"}': 1,
        "heed_outbox_depth": 0,
        "sum(heed_quarantine_standing)": 0,
        'heed_tickets_standing{state="solved"}': 1,
        "sum(heed_tickets_standing)": 1,
        "sum(heed_ticket_delay_seconds_count)": 1,
        'heed_desk_seconds_count{call="create", ended="ok"}': 1,
        "heed_gate_open": 1,
        'heed_webhooks_total{outcome="news"} or heed_webhooks_total{outcome="known"}': 1,
        'heed_logins_total{outcome="password"}': 1,
        "time() - heed_reconciled_timestamp_seconds < bool 60": 1,
        "time() - heed_books_taken_timestamp_seconds < bool 60": 1,
        "time() - heed_backup_last_success_timestamp_seconds < bool 60": 1,
        "min(heed_ready)": 1,
        "max(heed_heartbeat_age_seconds) < bool 60": 1,
    }
    # The books are taken every ten seconds.
    wait_for(lambda: figure('heed_books{entry="ticketed"}') == 1, 15, "the books")
    assert {expression: figure(expression) for expression in expected} == expected


def test_a_real_prometheus_understands_all_of_it(watched: Watched, prometheus: Prometheus) -> None:
    # Between two scrapes, so that there is a rate.
    for number in range(3):
        assert watched.system.answer(vote="bad", comment=f"It broke, number {number}.").status_code == 202
    wait_for(lambda: prometheus.ask('increase(heed_tickets_total{outcome="opened"}[30s]) > 0'), 30, "the tickets' rate")
    wait_for(lambda: prometheus.ask("heed_books"), 15, "the books")
    time.sleep(2)
    without_data = [expression for expression in dashboard() if not prometheus.ask(expression)]
    assert [each for each in without_data if not any(name in each for name in ONLY_IN_TROUBLE)] == []
    wrong = {name: found for name, expression in rules().items() if (found := prometheus.ask(expression))}
    assert wrong == {}
    assert prometheus.ask("ALERTS") == []
    evaluated = httpx.get(f"{prometheus.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    assert {rule["name"]: rule["health"] for group in evaluated for rule in group["rules"]} == dict.fromkeys(
        rules(), "ok"
    )


def test_what_is_quarantined_is_logged_counted_and_alerted(watched: Watched, prometheus: Prometheus) -> None:
    """The last one: from here on the system is not healthy any more."""
    entry = StreamEntry(id=new_id(), survey="nowhere", client=new_id().hex, comment=WORDS)
    client = redis.Redis.from_url(watched.environment()["HEED_REDIS_URL"])
    client.xadd(keys.queue(0), entry.fields())  # type: ignore[arg-type]
    client.close()
    lost = replace(watched, id=str(entry.id))
    wait_for(lambda: lost.events("worker") == ["quarantined"], 15, "the quarantine")
    assert lost.system.heed("replay", "--all").returncode == 0
    wait_for(lambda: lost.events("worker") == ["quarantined", "replayed", "quarantined"], 15, "the replay")
    assert {line["reason"] for line in lost.log("worker") if line["event"] == "quarantined"} == {"unknown-survey"}
    [replayed] = [line for line in lost.log("worker") if line["event"] == "replayed"]
    assert replayed["stored"] is False
    wait_for(lambda: prometheus.ask(rules()["QuarantineStanding"]), 15, "the alert's expression")
    wait_for(lambda: prometheus.ask("ALERTS{alertname='QuarantineStanding', alertstate='pending'}"), 15, "the alert")
    wait_for(lambda: len(watched.collector.spans(entry.id.hex)) == 2, 15, "its spans, of the first try and the replay")
    for span in watched.collector.spans(entry.id.hex):
        assert (span.name, span.attributes) == ("quarantine", {"reason": "unknown-survey"})
