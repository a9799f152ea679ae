"""`docker stack deploy`, from nothing to nothing: a customer's journey, a crash, an update that fails, a restore."""

import json
from collections.abc import Iterator

import pytest
from conftest import wait_for
from containers import NAME, Swarm, docker, swarm
from journey import walk
from playwright.sync_api import Browser

UNHAPPY = {"vote": "bad", "comment": "It broke after a day and nobody answers me."}


@pytest.fixture(scope="module")
def system() -> Iterator[Swarm]:
    with swarm() as started:
        yield started


def test_a_customer_is_heard(system: Swarm, browser: Browser) -> None:
    walk(browser, system, "The parcel came open and half of it was missing.")
    system.settled(accepted=1, stored=1, ticketed=1)


def test_deploying_again_changes_nothing(system: Swarm) -> None:
    before = {name: system.container(name) for name in ("redis", "postgres", "feedback", "results", "worker")}
    system.deploy()
    assert before == {name: system.container(name) for name in before}


def test_what_dies_comes_back_and_nothing_is_lost_or_doubled(system: Swarm) -> None:
    before = system.books()
    system.crash("worker")
    assert system.answer(**UNHAPPY).status_code == 202
    system.crash("ticketing")
    assert system.answer(**UNHAPPY).status_code == 202
    system.settled(stored=before["stored"] + 2, ticketed=before["ticketed"] + 2)
    assert system.desk()["duplicates"] == []


def test_an_update_that_does_not_work_is_rolled_back(system: Swarm) -> None:
    """The image of another service: it has no worker in it and ends at once."""
    service = f"{NAME}_worker"

    def found() -> dict[str, str]:
        [described] = json.loads(docker("service", "inspect", service))
        image = described["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        return {"state": described.get("UpdateStatus", {}).get("State", ""), "image": image}

    system.service("worker", "-d", "--no-resolve-image", "--image", "heed-api:smoke")
    wait_for(lambda: found()["state"] == "rollback_completed", 120, "the roll-back")
    assert found()["image"] == "heed-worker:smoke"
    before = system.books()
    assert system.answer(vote="good").status_code == 202
    system.settled(stored=before["stored"] + 1)


def test_an_older_state_is_restored(system: Swarm) -> None:
    system.run("backup", "heed", "backup")
    kept = system.settled()
    assert system.answer(**UNHAPPY).status_code == 202
    system.settled(ticketed=kept["ticketed"] + 1)

    system.scale(worker=0, relay=0, ticketing=0)
    system.run("backup", "heed", "restore", "latest", "--replace")
    system.scale(worker=2, relay=1, ticketing=1)
    system.settled(stored=kept["stored"], lost=1)
    assert system.desk()["duplicates"] == []
