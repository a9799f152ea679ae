"""`docker compose up`, from nothing to nothing: a customer's journey, crashes, a lost database, and what is promised of
the containers themselves.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import wait_for
from containers import Compose, compose, docker
from journey import walk
from playwright.sync_api import Browser

OURS = ("feedback", "results", "worker", "relay", "ticketing", "backup", "aws", "sandbox")
UNHAPPY = {"vote": "bad", "comment": "It broke after a day and nobody answers me."}


@pytest.fixture(scope="module")
def system() -> Iterator[Compose]:
    with compose() as started:
        yield started


def test_a_customer_is_heard(system: Compose, browser: Browser) -> None:
    walk(browser, system, "The parcel came open and half of it was missing.")
    system.settled(accepted=1, stored=1, ticketed=1)


def test_containers_can_do_little_and_only_sites_are_reached(system: Compose) -> None:
    reached: dict[str, set[str]] = {}
    for service in (*OURS, "redis", "postgres"):
        [found] = json.loads(docker("inspect", system.container(service)))
        config, host = found["Config"], found["HostConfig"]
        ports = found["NetworkSettings"]["Ports"]
        addresses = {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()}
        if addresses:
            reached[service] = addresses
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert min(host["Memory"], host["NanoCpus"]) > 0, service
        if service in OURS:
            assert config["User"] == "10001:10001", service
            assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), service
            assert config["Labels"]["org.opencontainers.image.version"] == "smoke", service
    assert reached == {site: {"127.0.0.1"} for site in ("feedback", "results", "sandbox")}


def test_prometheus_finds_every_container_and_has_no_complaint(system: Compose) -> None:
    system.compose("--profile", "monitoring", "up", "-d", "--no-build", "--no-deps", "prometheus")

    def ask(path: str) -> Any:
        return httpx.get(f"{system.prometheus}/api/v1/{path}", trust_env=False).json()["data"]

    def found() -> list[str]:
        try:
            targets = ask("targets?state=active")["activeTargets"]
        except (httpx.HTTPError, ValueError):  # it is not there yet, or says in words that it is not ready
            return []
        return sorted(target["labels"]["job"] for target in targets if target["health"] == "up")

    wait_for(lambda: len(found()) >= 6, 60, "Prometheus to scrape six services")
    assert found() == ["backup", "feedback", "relay", "results", "ticketing", "worker"], "each container once"
    assert ask("rules")["groups"]
    assert [alert["labels"]["alertname"] for alert in ask("alerts")["alerts"] if alert["state"] == "firing"] == []


def test_no_secret_is_told(system: Compose) -> None:
    """Neither in what the containers were started with nor in what they said."""
    names = ("HEED_SECRET_KEY", "HEED_API_KEY", "HEED_ADMIN_PASSWORD", "HEED_DATABASE_URL", "HEED_REDIS_URL")
    secrets = {name: system.secret("results", name) for name in names}
    assert all(len(value) >= 12 for value in secrets.values())
    said = system.compose("logs") + "".join(docker("inspect", system.container(service)) for service in OURS)
    assert [name for name, value in secrets.items() if value in said] == []


def test_more_workers_share_the_work(system: Compose) -> None:
    before = system.books()
    system.compose("up", "-d", "--no-build", "--scale", "worker=3", "--no-recreate")
    for _ in range(60):
        assert system.answer(vote="good").status_code == 202
    system.settled(accepted=before["accepted"] + 60, stored=before["stored"] + 60)


def test_what_dies_comes_back_and_nothing_is_lost_or_doubled(system: Compose) -> None:
    before = system.books()
    system.crash("worker")
    assert system.answer(**UNHAPPY).status_code == 202
    system.crash("ticketing")
    docker("kill", system.container("postgres"))
    docker("kill", system.container("redis"))
    system.compose("start", "redis")
    wait_for(lambda: system.answer(**UNHAPPY).status_code == 202, 60, "the form to take answers without Postgres")
    system.compose("start", "postgres")
    system.settled(stored=before["stored"] + 2, ticketed=before["ticketed"] + 2)
    assert system.desk()["duplicates"] == []


def test_a_destroyed_database_comes_back_from_its_backup(system: Compose) -> None:
    system.run("backup", "heed", "backup")
    kept = system.settled()
    # Accepted after the backup: its ticket stays at the desk, its row is lost with the database.
    assert system.answer(**UNHAPPY).status_code == 202
    system.settled(ticketed=kept["ticketed"] + 1)
    tickets = system.desk()["tickets"]

    system.compose("stop", "worker", "relay", "ticketing")
    for service in ("worker", "relay", "ticketing"):
        assert {state["ExitCode"] for state in system.state(service)} == {0}, f"{service} heeds SIGTERM"
    system.compose("rm", "-s", "-f", "-v", "postgres")
    docker("volume", "rm", "heed-smoke_postgres")
    assert system.answer(**UNHAPPY).status_code == 202  # customers notice nothing
    system.compose("up", "-d", "--no-build", "--no-deps", "--wait", "postgres")
    said = system.compose("run", "--rm", "--no-deps", "backup", "heed", "restore", "latest", "--replace")
    assert "1" in said
    system.compose("start", "worker", "relay", "ticketing")

    system.settled(stored=kept["stored"] + 1, ticketed=kept["ticketed"] + 1, lost=1, accepted=kept["accepted"] + 2)
    assert system.desk()["tickets"] == tickets + 1  # of the answer that waited
    assert system.desk()["duplicates"] == []
