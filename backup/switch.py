"""The server's databases while one is put in another's place.

Guarantees: no database that holds anything is ever dropped; the two change places in one transaction, so the name is
always there; whatever ends a run, the database can be connected to again, at the latest after the next run's `mend`.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import SecretStr

from heed.db import engine as db
from heed.errors import HeedError, Later
from heed.settings import Settings
from heed.telemetry import log

_LOCK = 0x52657374  # "Rest"
_END_SECONDS = 20.0
# Postgres waits with dropping for each of its processes; one that hangs must not make the restore hang too.
_DROP_SECONDS = 30
# They could acknowledge in the queue what they have stored in the database that is then put aside.
_HANDS = ("worker", "relay", "ticketing")


class Databases:
    """The database of the settings and those beside it, seen from the server's database `postgres`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = sa.make_url(settings.need("database_url"))
        self.name = self._url.database or ""
        stamp = f"{datetime.now(UTC):%Y%m%d_%H%M%S}"
        self.new, self.before = f"{self.name}_restore_{stamp}", f"{self.name}_before_{stamp}"
        self._engine = db.connect(self._at("postgres"), "restore", pool_size=2, statement_seconds=0)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the block no other restore runs on this server; what killed ones left is mended first."""
        try:
            with self._outside() as connection:
                if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar_one():
                    raise Later("Another restore runs on this server.")
                self.mend()
                for name in self._names(rf"{re.escape(self.name)}_restore_\d{{8}}_\d{{6}}"):
                    self.drop(name)
                yield
        finally:
            self._engine.dispose()

    def exists(self) -> bool:
        """Whether there is a database of that name."""
        return self.name in self._names()

    def settings(self, name: str) -> Settings:
        """The settings of the database `name` instead."""
        return self._at(name)

    def create(self) -> None:
        """Make the new database, empty."""
        with self._outside() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {self._quoted(self.new)} TEMPLATE template0 ENCODING 'UTF8'"))

    def drop(self, name: str) -> None:
        """Drop a database that was not finished; where that does not work now, the next restore does it."""
        try:
            with self._outside() as connection:
                connection.execute(sa.text(f"SET statement_timeout = '{_DROP_SECONDS}s'"))
                connection.execute(sa.text(f"DROP DATABASE IF EXISTS {self._quoted(name)} WITH (FORCE)"))
                connection.execute(sa.text("RESET statement_timeout"))
        except Later as error:
            log.warning("unfinished-database-kept", name=name, reason=str(error))

    def refuse_in_use(self) -> None:
        """`HeedError` while a service works on the database that would be put aside."""
        names = [f"heed-{each}" for each in _HANDS]
        with self._outside() as connection:
            rows = connection.execute(
                sa.text(
                    "SELECT DISTINCT application_name FROM pg_stat_activity"
                    " WHERE datname = :name AND application_name = ANY(:names) ORDER BY 1"
                ),
                {"name": self.name, "names": names},
            )
            found = [row[0].removeprefix("heed-") for row in rows]
        if found:
            raise HeedError(
                f"{', '.join(found)} still at work on the database; stop them first, the form goes on taking answers. "
                "In containers: docker compose stop worker relay ticketing. On one machine: stop `heed up`, then start "
                "`heed up --stores`."
            )

    def switch(self) -> str | None:
        """Give the new database the name; what the old one is called now, None when there was none."""
        if not self.exists():
            self._rename((self.new, self.name))
            return None
        try:
            self._let_in(self.name, allow=False)
            self.refuse_in_use()
            self._put_out(self.name)
            self._rename((self.name, self.before), (self.new, self.name))
        finally:
            try:
                self.mend()
            except Later as error:
                by_hand = f"ALTER DATABASE {self._quoted(self.name)} WITH ALLOW_CONNECTIONS true"
                raise Later(f"{error}. Should nobody be let in, run in the database postgres: {by_hand}") from error
        return self.before

    def mend(self) -> None:
        """Let everybody in again, under whichever name."""
        shut = sa.text("SELECT datname FROM pg_database WHERE NOT datallowconn")
        with self._outside() as connection:
            closed = set(connection.execute(shut).scalars())
        for name in closed.intersection([self.name, *self._names(rf"{re.escape(self.name)}_before_\d{{8}}_\d{{6}}")]):
            self._let_in(name, allow=True)

    def _names(self, pattern: str = ".*") -> list[str]:
        with self._outside() as connection:
            names = connection.execute(sa.text("SELECT datname FROM pg_database")).scalars()
            return [name for name in names if re.fullmatch(pattern, name)]

    def _let_in(self, name: str, *, allow: bool) -> None:
        with self._outside() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {self._quoted(name)} WITH ALLOW_CONNECTIONS {allow}"))

    def _put_out(self, name: str) -> None:
        """End every connection to the database."""
        end = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        deadline = time.monotonic() + _END_SECONDS
        with self._outside() as connection:
            while connection.execute(end, {"name": name}).all():
                if time.monotonic() > deadline:
                    raise Later(f"Some connections to {name} do not end; nothing was switched.")
                time.sleep(0.1)

    def _rename(self, *names: tuple[str, str]) -> None:
        with db.begin(self._engine) as connection:
            for name, wanted in names:
                connection.execute(sa.text(f"ALTER DATABASE {self._quoted(name)} RENAME TO {self._quoted(wanted)}"))

    @contextmanager
    def _outside(self) -> Iterator[sa.Connection]:
        """A connection outside of any transaction."""
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
        except db.RETRYABLE as error:
            raise Later(f"Postgres: {db.first_line(error)}") from error

    def _quoted(self, name: str) -> str:
        return str(self._engine.dialect.identifier_preparer.quote_identifier(name))

    def _at(self, name: str) -> Settings:
        url = self._url.set(database=name).render_as_string(hide_password=False)
        return self._settings.model_copy(update={"database_url": SecretStr(url)})
