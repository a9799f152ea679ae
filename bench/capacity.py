"""`make capacity`: what 1, 10, 100 and 1000 times today's measured load needs, and what that costs a month.

Guarantees: pure reckoning from capacity.toml, where every figure stands with its source, its reason or its date;
nothing is looked up and nothing measured here. Today's measured load (1x) is what one process of each kind was measured
to carry: the least of the measured rates, as the peak. `--daily N` reckons for N answers on an average day instead.

docs/scaling.md shows its table, and a test holds the two together.
"""

import argparse
import math
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_suffix(".toml")
MULTIPLES = (1.0, 10.0, 100.0, 1000.0)
DAY = 86_400
GIGA = 1e9
LOCK_DAYS = 30  # HEED_VOTE_LOCK_DAYS
THREADS = 8  # of a ticketing process


@dataclass(frozen=True)
class Given:
    """The figures of capacity.toml, by name."""

    measured: Mapping[str, float]
    assumed: Mapping[str, Any]
    prices: Mapping[str, float]
    dated: str

    @classmethod
    def read(cls, path: Path = DATA) -> "Given":
        """From the file."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        groups = {
            group: {name: entry["value"] for name, entry in data[group].items() if isinstance(entry, dict)}
            for group in ("measured", "assumed", "prices")
        }
        return cls(**groups, dated=f"{data['prices']['region']}, {data['prices']['date']}")

    @property
    def today(self) -> float:
        """Answers a second that one process of each kind carries."""
        return min(self.measured["admissions_per_site"], self.measured["drain_per_worker"])


@dataclass(frozen=True)
class Need:
    """What a load needs. `peak` in answers a second, `daily` on an average day."""

    peak: float
    daily: float
    sites: int
    results: int
    workers: int
    relays: int
    ticketing: int
    partitions: int
    redis_gigabytes: float
    redis_node: int
    shards: int
    postgres_vcpus: int
    replicas: int
    stored_gigabytes: float
    dump_hours: float
    managed: bool
    month_partitions: bool
    sub_totals: bool
    nodes: int
    node_vcpus: int
    events: float
    bus_quota: float
    tickets: float
    desk_allows: float
    dollars: Mapping[str, float]

    @property
    def pods(self) -> int:
        """All of Heed's own; stores in the cluster and the platform's come on top."""
        return self.sites + self.results + self.workers + self.relays + self.ticketing

    @property
    def total(self) -> float:
        """Dollars a month."""
        return sum(self.dollars.values())


def need(given: Given, multiple: float) -> Need:
    """What `multiple` times today's measured load needs."""
    seen, guess = given.measured, given.assumed
    peak = given.today * multiple
    daily = peak / guess["peak_over_average"] * DAY

    busy: float = guess["busy"]

    def processes(load: float, rate: float) -> int:
        return max(2, math.ceil(load / (rate * busy)))

    sites = processes(peak, seen["admissions_per_site"])
    workers = processes(peak, seen["drain_per_worker"])
    results = max(2, math.ceil(guess["viewers"] * multiple / guess["viewers_per_site"]))

    events = peak * guess["selected"]
    relays = processes(events, guess["relay_rate"])
    desk_allows = guess["desk_limit"] / 60 / guess["desk_calls"]
    ticketing = max(2, math.ceil(min(events, desk_allows) * guess["desk_seconds"] / THREADS))

    remembered = daily * LOCK_DAYS * seen["redis_bytes_remembered"]
    redis = (remembered + peak * guess["waiting_seconds"] * seen["redis_bytes_waiting"]) / GIGA
    room = [size * guess["redis_usable"] for size in guess["redis_gigabytes"]]
    partitions = max(math.ceil(peak / guess["redis_rate"]), math.ceil(redis / room[-1]), 1)
    node = next(size for size, fits in zip(guess["redis_gigabytes"], room, strict=True) if redis / partitions <= fits)

    stored = daily * guess["kept_days"] * seen["postgres_bytes"] / GIGA
    managed = stored > guess["in_cluster_gigabytes"]
    vcpus = peak / (seen["stored_beside_one_worker"] * guess["postgres_scales"])
    shards = max(1, math.ceil(vcpus / guess["postgres_most"]), math.ceil(stored / guess["postgres_gigabytes_most"]))
    each = 2 ** math.ceil(math.log2(max(2, vcpus / shards)))

    # A process at work takes a core; one that waits what it asked for.
    wanted = guess["platform"] + results * guess["request"] + (relays + ticketing) * guess["request_small"]
    for pods, load in ((sites, peak / seen["admissions_per_site"]), (workers, peak / seen["drain_per_worker"])):
        wanted += max(pods * guess["request"], load / busy)
    size, nodes = _nodes(wanted / guess["usable"], guess["node_vcpus"], guess["nodes_most"])

    replicas = shards if multiple >= 10 else 0
    return Need(
        peak=peak,
        daily=daily,
        sites=sites,
        results=results,
        workers=workers,
        relays=relays,
        ticketing=ticketing,
        partitions=partitions,
        redis_gigabytes=redis,
        redis_node=node,
        shards=shards,
        postgres_vcpus=each,
        replicas=replicas,
        stored_gigabytes=stored,
        dump_hours=daily * guess["kept_days"] / seen["dumped"] / 3600,
        managed=managed,
        month_partitions=stored / shards > guess["table_gigabytes"],
        sub_totals=peak / shards > guess["rollup_rate"],
        nodes=nodes,
        node_vcpus=size,
        events=events,
        bus_quota=guess["bus_quota"],
        tickets=events / guess["peak_over_average"],
        desk_allows=desk_allows,
        dollars=_dollars(given, daily, nodes * size, partitions * node, (shards + replicas) * each, stored, managed),
    )


def _nodes(vcpus: float, sizes: Sequence[int], most: int) -> tuple[int, int]:
    """The smallest size of which `most` nodes do, and how many: a multiple of the three zones."""
    for size in sizes:
        nodes = max(3, 3 * math.ceil(vcpus / size / 3))
        if nodes <= most:
            break
    return size, nodes


def _dollars(
    given: Given, daily: float, vcpus: int, redis: int, postgres_vcpus: int, stored: float, managed: bool
) -> dict[str, float]:
    """A month's, by what they are for."""
    price, month = given.prices, daily * 365 / 12
    hours = price["hours"]
    visits = month * given.measured["form_bytes"] / GIGA
    events = month * given.assumed["selected"] / 1e6
    # Dumps are compressed to about a tenth and kept for two weeks, most of them of almost the same size.
    backups = 1.4 * stored
    fixed = price["cluster_hour"] + 3 * price["nat_hour"] + price["balancer_hour"] + 6 * price["address_hour"]
    return {
        "cluster and network": fixed * hours + price["disks"] * price["disk_gigabyte"] + price["small"],
        "nodes": vcpus * price["vcpu_hour"] * hours,
        "Redis": 2 * redis * price["redis_gigabyte_hour"] * hours if managed else 0,
        "Postgres": postgres_vcpus * price["postgres_vcpu_hour"] * hours + stored * price["postgres_gigabyte"]
        if managed
        else stored * price["disk_gigabyte"],
        "backups": backups * price["backup_gigabyte"],
        "events": events * (price["events_million"] + 3 * price["queue_million"]),
        "to customers": visits * (price["transfer_gigabyte"] + price["balancer_gigabyte"]),
    }


def table(needs: Mapping[str, Need]) -> str:
    """Markdown: a column a load."""

    def yes(value: bool) -> str:
        return "yes" if value else "no"

    rows: dict[str, list[str]] = {
        "answers/s at the peak": [_short(each.peak) for each in needs.values()],
        "answers on an average day": [_short(each.daily) for each in needs.values()],
        "pods: feedback": [f"{each.sites:,}" for each in needs.values()],
        "pods: results": [f"{each.results:,}" for each in needs.values()],
        "pods: worker": [f"{each.workers:,}" for each in needs.values()],
        "pods: relay": [f"{each.relays:,}" for each in needs.values()],
        "pods: ticketing": [f"{each.ticketing:,}" for each in needs.values()],
        "**pods**": [f"**{each.pods:,}**" for each in needs.values()],
        "**nodes**": [f"**{each.nodes} × {each.node_vcpus} vCPUs**" for each in needs.values()],
        "Redis: partitions, each a node and its replica": [
            f"{each.partitions:,} × {each.redis_node} GB" for each in needs.values()
        ],
        "Redis: held, mostly votes that are remembered": [_size(each.redis_gigabytes) for each in needs.values()],
        "Postgres: primaries": [f"{each.shards} × {each.postgres_vcpus} vCPUs" for each in needs.values()],
        "Postgres: read replicas": [f"{each.replicas}" for each in needs.values()],
        "Postgres: stored in a year": [_size(each.stored_gigabytes) for each in needs.values()],
        "Postgres: a dump of it takes": [f"{_short(each.dump_hours)} h" for each in needs.values()],
        "month partitions of `feedback`": [yes(each.month_partitions) for each in needs.values()],
        "sub-totals of the rollup": [yes(each.sub_totals) for each in needs.values()],
        "events/s at the peak (the bus takes without asking)": [
            f"{_short(each.events)} ({each.bus_quota:,.0f})" for each in needs.values()
        ],
        "tickets/s on average (Zendesk takes at most)": [
            f"{_short(each.tickets)} ({each.desk_allows:,.0f})" for each in needs.values()
        ],
    }
    parts = list(next(iter(needs.values())).dollars)
    rows |= {f"$: {part}": [_short(each.dollars[part]) for each in needs.values()] for part in parts}
    rows["**$ a month**"] = [f"**{_short(each.total)}**" for each in needs.values()]
    head = ["| | " + " | ".join(needs) + " |", "|---" * (len(needs) + 1) + "|"]
    return "\n".join(head + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()])


def _size(gigabytes: float) -> str:
    for size, unit in ((1e6, "PB"), (1e3, "TB")):
        if gigabytes >= size:
            return f"{_short(gigabytes / size)} {unit}"
    return f"{_short(gigabytes)} GB"


def _short(number: float) -> str:
    """Two or three figures: the rest would be a lie."""
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e5, " k")):
        if number >= size:
            scaled = number / (1e3 if unit == " k" else size)
            return f"{scaled:,.0f}{unit}" if scaled >= 10 else f"{scaled:.1f}{unit}"
    if number >= 1000:
        return f"{round(number, -2):,.0f}"
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")


def multiples(given: Given) -> str:
    """The table of docs/scaling.md."""
    return table({f"{multiple:,.0f}×": need(given, multiple) for multiple in MULTIPLES})


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench.capacity", description="What a load needs, and what it costs.")
    parser.add_argument("--daily", type=float, help="answers on an average day, instead of multiples of today's")
    chosen = parser.parse_args()
    given = Given.read()
    if chosen.daily is None:
        text = multiples(given)
    else:
        multiple = chosen.daily * given.assumed["peak_over_average"] / DAY / given.today
        text = table({f"{chosen.daily:,.0f} a day": need(given, multiple)})
    sys.stdout.write(f"{text}\n\nPrices: {given.dated}. Sources, reasons and prices, to be edited: {DATA.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
