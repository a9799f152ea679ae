"""What the results site takes to tell a survey's results, with ten thousand answers and with ten million.

The answers are made by Postgres itself, over the 30 days that results tell of, with their rollup; the site is asked
over HTTP by one who knows its key, at both sizes on the same machine within minutes. A survey with fewer answers than
hours is quicker, since the rollup has fewer rows of it; there are never more than hours times votes, ratings, labels.
"""

import http.client
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa

from bench.figures import Figure
from bench.servers import Servers, free_port, listens, wait_until

FEW, MANY = 10_000, 10_000_000
AT_ONCE = 500_000
TIMES = 200
PATH = "/api/v1/surveys/default/results"
KEY = "benchmarks-only-key"

_MAKE = sa.text("""
    INSERT INTO feedback (id, survey, client, source, vote, rating, comment, reply, received_at, label, compound,
        scores, scorer, selected, reasons, policy)
    SELECT CAST(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0') AS uuid), 'default',
        'made ' || lpad(CAST(n AS text), 9, '0'), 'api', CASE WHEN n % 3 = 0 THEN 'bad' ELSE 'good' END,
        n % 5 + 1, 'Answer number ' || n, false, now() - random() * interval '30 days',
        (ARRAY['negative', 'neutral', 'positive'])[n % 3 + 1], 0, '{}', 'bench', false, '{}', 'bench'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
""")
_COUNT = sa.text("""
    INSERT INTO rollup (survey, grain, at, vote, rating, label, answers, selected)
    SELECT survey, 'hour', date_trunc('hour', received_at, 'UTC'), vote, rating, label, count(*), 0
    FROM feedback GROUP BY 1, 2, 3, 4, 5, 6
""")
_SUM = sa.text("""
    INSERT INTO rollup (survey, grain, at, vote, rating, label, answers, selected)
    SELECT survey, wide, CASE wide WHEN 'total' THEN '-infinity' ELSE date_trunc(wide, at, 'UTC') END, vote, rating,
        label, sum(answers), 0
    FROM rollup CROSS JOIN unnest(ARRAY['day', 'total']) AS wide WHERE grain = 'hour' GROUP BY 1, 2, 3, 4, 5, 6
""")


def run(servers: Servers, _texts: Sequence[str], say: Callable[[str], object]) -> list[Figure]:
    """The median time of an answer."""
    port = free_port()
    servers.python("-m", "api.results", results_port=port, api_key=KEY, admin_password=KEY)
    wait_until(partial(listens, port))
    with servers.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE feedback CASCADE"))  # what other benchmarks stored
    few = _at(servers, port, 0, FEW, say)
    many = _at(servers, port, FEW, MANY, say)
    return [Figure(f"results at {MANY:,} answers", many, few, f"at {FEW:,}", "ms", 1.2, at_most=True)]


def _at(servers: Servers, port: int, before: int, wanted: int, say: Callable[[str], object]) -> float:
    """Milliseconds that the results take once there are so many answers."""
    with servers.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SET statement_timeout = 0"))
        connection.execute(sa.text("SET maintenance_work_mem = '512MB'"))
        connection.execute(sa.text("SET session_replication_role = replica"))  # every one is of a survey that exists
        # Built once afterwards, which takes a third of the time.
        indexes = connection.execute(
            sa.text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'feedback' AND indexname LIKE 'ix%'")
        ).all()
        for name, _ in indexes:
            connection.execute(sa.text(f"DROP INDEX {name}"))
        for first in range(before, wanted, AT_ONCE):
            say(f"results: {first:,} of {wanted:,} answers are made")
            connection.execute(_MAKE, {"first": first + 1, "last": min(first + AT_ONCE, wanted)})
        say(f"results: {wanted:,} answers are counted and put in order")
        connection.execute(sa.text("TRUNCATE rollup"))
        connection.execute(_COUNT)
        connection.execute(_SUM)
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
        connection.execute(sa.text("VACUUM ANALYZE"))
    say(f"results: asked with {wanted:,} answers")
    site = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = [_ask(site, wanted) for _ in range(TIMES)]
    site.close()
    return statistics.median(times)


def _ask(site: http.client.HTTPConnection, wanted: int) -> float:
    """Milliseconds until the answer is there; it must tell of all."""
    started = time.perf_counter()
    site.request("GET", PATH, headers={"Authorization": f"Bearer {KEY}"})
    answer = site.getresponse()
    body = answer.read()
    took = (time.perf_counter() - started) * 1000
    if answer.status != 200 or f'"total":{wanted},'.encode() not in body:
        raise ConnectionError(f"{answer.status}: {body[:200]!r}")
    return took
