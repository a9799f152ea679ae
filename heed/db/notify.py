"""The one notification channel: something a viewer may see has changed. Sent with the transaction that changes it."""

import sqlalchemy as sa

CHANNEL = "heed_changes"


def changed(connection: sa.Connection, survey: str) -> None:
    """Tell listeners, on commit, that results of `survey` changed (the same within one transaction is sent once)."""
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, survey)))
