"""The model of capacity reckons with what was measured, its page shows what it says, and more load never needs less."""

import dataclasses
import datetime
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import capacity
from bench.capacity import Given, Need, need
from heed.settings import Settings
from ticketing import consumer

ROOT = Path(__file__).parents[2]
DATA = tomllib.loads(capacity.DATA.read_text(encoding="utf-8"))
GIVEN = Given.read()


def test_the_page_shows_what_the_model_says() -> None:
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    [written] = re.findall(r"<!-- capacity:.*?-->\n(.*?)<!-- /capacity -->", page, re.DOTALL)
    assert written.strip() == capacity.multiples(GIVEN), "put the table of `make capacity` into docs/scaling.md"


def test_what_the_page_says_in_words() -> None:
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    one, ten = need(GIVEN, 1), need(GIVEN, 10)
    million = need(GIVEN, 1e6 * 10 / capacity.DAY / GIVEN.today)
    assert f"{GIVEN.today:,.0f} answers a second" in page
    assert 1 / 33 < 1e6 / one.daily < 1 / 28, "a thirtieth"
    assert one.desk_allows < one.tickets, "Zendesk ends before 1x"
    assert (round(one.desk_allows), round(one.tickets)) == (14, 18)
    assert one.redis_gigabytes > 100
    assert round(million.dump_hours) == 7
    assert round(ten.stored_gigabytes, -4) == 200_000
    assert f"at most {_most('partitions')}" in page
    assert need(GIVEN, 100).events > GIVEN.assumed["bus_quota"] > ten.events
    assert (one.shards, ten.shards) == (1, 4)
    from_here = 780_000 * 10 / capacity.DAY / GIVEN.today
    assert not need(GIVEN, 0.99 * from_here).month_partitions
    assert need(GIVEN, 1.01 * from_here).month_partitions
    # A week of votes instead of a month's, and one node is enough.
    assert one.partitions == 3
    assert one.redis_gigabytes * 7 / 30 < GIVEN.assumed["redis_gigabytes"][-1] * GIVEN.assumed["redis_usable"]


def _most(setting: str) -> int:
    [most] = [each.le for each in Settings.model_fields[setting].metadata if hasattr(each, "le")]
    assert isinstance(most, int)
    return most


def test_the_readme_of_terraform_says_what_it_costs() -> None:
    readme = (ROOT / "terraform-eks/README.md").read_text(encoding="utf-8")
    nothing, million = need(GIVEN, 0), need(GIVEN, 1e6 * 10 / capacity.DAY / GIVEN.today)
    assert f"About {round(nothing.total, -1):.0f} dollars a month without load in {DATA['prices']['region']}" in readme
    assert f"A million answers a day make about {round(million.total, -2):,.0f}" in readme
    assert (nothing.nodes, nothing.node_vcpus, nothing.managed) == (3, 2, False)


@pytest.mark.parametrize(
    ("name", "file", "found"),
    [
        ("admissions_per_site", "README.md", r"\| admissions, durable in the queue \| ([\d,]+) /s"),
        ("drain_per_worker", "README.md", r"\| worker drain with the default scorer \| ([\d,]+) /s"),
        ("drain_per_worker", "ARCHITECTURE.md", r"\| worker \| some ([\d,]+) answers a second"),
        ("stored_beside_one_worker", "README.md", r"\| worker drain with `HEED_SCORER=vader` \| ([\d,]+) /s"),
        ("form_bytes", "README.md", r"all of it weighs (\d+) KB"),
        ("dumped", "docs/operations.md", r"On two cores ([\d,]+) answers \(118 MB\) took 10 s to back up"),
    ],
)
def test_measured_is_what_the_documents_say(name: str, file: str, found: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    [said] = re.findall(found, text)
    factor = {"form_bytes": 1000, "dumped": 0.1}.get(name, 1)
    assert int(said.replace(",", "")) * factor == GIVEN.measured[name]


def test_constants_are_the_codes() -> None:
    assert Settings.model_fields["vote_lock_days"].default == capacity.LOCK_DAYS
    assert consumer.THREADS == capacity.THREADS


def test_every_figure_says_where_it_is_from() -> None:
    for group, reason in (("measured", "source"), ("assumed", "why"), ("prices", "of")):
        for name, entry in DATA[group].items():
            if isinstance(entry, dict) and name != "hours":
                assert entry[reason], name
                assert entry["unit"], name
    assert datetime.date.fromisoformat(DATA["prices"]["date"])


def amounts(wanted: Need) -> dict[str, float]:
    """What costs something. Nodes count by their cores, Redis by its memory: at some load larger ones are taken."""
    values = {name: value for name, value in dataclasses.asdict(wanted).items() if isinstance(value, int | float)}
    values["vcpus"] = values.pop("nodes") * values.pop("node_vcpus")
    values["redis"] = values["partitions"] * values.pop("redis_node")
    values["postgres"] = values["shards"] * values.pop("postgres_vcpus")
    return values | {"total": wanted.total, "pods": wanted.pods}


@given(st.floats(0, 1000), st.floats(1, 10))
def test_more_load_never_needs_less(multiple: float, times: float) -> None:
    less, more = amounts(need(GIVEN, multiple)), amounts(need(GIVEN, multiple * times))
    # Postgres comes in powers of two: a second primary may each be half of the first.
    assert {name: (less[name], more[name]) for name in less if more[name] < less[name]} == {}


@given(st.floats(0, 1000))
def test_what_is_planned_carries_the_load(multiple: float) -> None:
    wanted, seen, guess = need(GIVEN, multiple), GIVEN.measured, GIVEN.assumed
    assert wanted.sites * seen["admissions_per_site"] * guess["busy"] >= wanted.peak * 0.999
    assert wanted.workers * seen["drain_per_worker"] * guess["busy"] >= wanted.peak * 0.999
    assert wanted.partitions * wanted.redis_node * guess["redis_usable"] >= wanted.redis_gigabytes * 0.999
    assert wanted.partitions * guess["redis_rate"] >= wanted.peak * 0.999
    postgres = wanted.shards * wanted.postgres_vcpus * guess["postgres_scales"] * seen["stored_beside_one_worker"]
    assert postgres >= wanted.peak * 0.999
    assert wanted.nodes % 3 == 0


def test_a_changed_figure_changes_the_answer() -> None:
    dearer = dataclasses.replace(GIVEN, prices={**GIVEN.prices, "vcpu_hour": 2 * GIVEN.prices["vcpu_hour"]})
    slower = dataclasses.replace(GIVEN, measured={**GIVEN.measured, "admissions_per_site": 420})
    assert need(dearer, 10).dollars["nodes"] == pytest.approx(2 * need(GIVEN, 10).dollars["nodes"])
    assert slower.today == 420
    assert need(slower, 36_000 / 420).sites > 8 * need(GIVEN, 10).sites


def test_it_prints_for_a_load_of_ones_own() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.capacity", "--daily", "200000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "| answers on an average day | 200 k |" in ran.stdout
    assert DATA["prices"]["date"] in ran.stdout
