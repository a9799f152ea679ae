"""`python -m bench.sizes`: what one answer takes in Postgres and in Redis, for the model of capacity.

Real servers, the real way: admitted, stored by a worker, with the texts of `tests/data`. It takes half a minute.
"""

import asyncio
import tempfile
from pathlib import Path

import sqlalchemy as sa

from bench.__main__ import SAMPLE, texts_of
from bench.servers import Servers, wait_until
from heed.contracts import StreamEntry, new_id
from heed.stream import keys
from heed.stream.admission import Admission, connect
from heed.telemetry import configure

ANSWERS = 20_000


def main() -> None:
    """Measure and print."""
    configure("bench", "warning")
    texts = texts_of(SAMPLE)
    with tempfile.TemporaryDirectory(prefix="heed-sizes-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with Servers(Path(folder)) as servers:
            empty = _redis(servers)
            asyncio.run(_admit(servers, texts))
            waiting = _redis(servers)
            before = _postgres(servers)
            servers.python("-m", "worker")
            wait_until(lambda: not servers.redis.xlen(keys.queue(0)), 120)
            with servers.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("VACUUM"))
            stored, kept = _postgres(servers) - before, _redis(servers) - empty
    print(f"{ANSWERS:,} answers, each")
    print(f"  in Postgres, with its indexes and its part of the outbox: {stored / ANSWERS:,.0f} bytes")
    print(f"  in Redis, while it waits: {(waiting - empty) / ANSWERS:,.0f} bytes")
    print(f"  in Redis, as a vote that is remembered: {kept / ANSWERS:,.0f} bytes")


async def _admit(servers: Servers, texts: list[str]) -> None:
    client = connect(servers.settings)
    admission = Admission(client, servers.settings)
    for start in range(0, ANSWERS, 500):
        entries = [
            StreamEntry(
                id=new_id(), survey="default", client=new_id().hex, vote="good", comment=texts[n % len(texts)][:5000]
            )
            for n in range(start, start + 500)
        ]
        await asyncio.gather(*[admission.admit(entry, entry.id.hex, None) for entry in entries])
    await client.aclose()


def _redis(servers: Servers) -> int:
    return int(servers.redis.info("memory")["used_memory"])


def _postgres(servers: Servers) -> int:
    with servers.engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())


if __name__ == "__main__":
    main()
