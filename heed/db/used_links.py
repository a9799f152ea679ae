"""What works once: login links, and logins by a provider on their way back.

Guarantees: of any number who use one, at the same moment too, one alone is the first.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from heed.db.tables import used_links
from heed.links import VALID_SECONDS


def use(connection: sa.Connection, nonce: str) -> bool:
    """Whether this is the nonce's first use; forgets those that have expired anyway."""
    expired = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, 2 * VALID_SECONDS)
    connection.execute(sa.delete(used_links).where(used_links.c.used_at < expired))
    used = insert(used_links).values(nonce=nonce).on_conflict_do_nothing().returning(used_links.c.nonce)
    return connection.execute(used).first() is not None
