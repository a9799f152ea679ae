"""Taking a backup: pg_dump's output streamed to the place, with the counts of the very same moment.

Guarantees: dump and counts are of one snapshot; the manifest comes last, when the dump is whole, on disk and still
alone; whatever fails before leaves nothing that looks like a backup and the older ones as they were; two at once cannot
run against one database.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

from backup import catalogue, programs
from backup.catalogue import Counts, Manifest
from backup.place import Place
from backup.watch import Watch
from heed import __version__
from heed.db import engine as db
from heed.db.tables import feedback, outbox, quarantine, tickets
from heed.errors import HeedError, Later
from heed.settings import Settings
from heed.stream.queue import Queue
from heed.telemetry import log

_LOCK = 0x4261636B  # "Back"


class Busy(Later):
    """Another backup runs."""


def take(settings: Settings, place: Place, watch: Watch, due: Callable[[], bool] = lambda: True) -> Manifest:
    """Take a backup and delete those that are too many; `Busy` when it is not `due` once nobody else takes one."""
    problem = place.check()
    if problem is not None:
        raise Later(f"Backups cannot be written: {problem}")
    engine = db.connect(settings, "backup", pool_size=1, statement_seconds=0)
    try:
        with db.begin(engine) as connection:
            # This transaction lasts as long as the dump: it holds the snapshot and the lock.
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
                raise Busy("Another backup of this database runs.")
            if not due():
                raise Busy("Another one has just taken it.")
            _sweep(place)
            manifest = _dump(settings, place, watch, connection)
            connection.execute(sa.select(1))  # else the lock went with the connection, and this is no longer alone
            catalogue.save(place, manifest)
            _retire(place, settings.backup_keep, manifest)
    except db.RETRYABLE:
        raise
    except sa.exc.SQLAlchemyError as error:
        raise HeedError(f"Postgres: {db.first_line(error)}") from error
    finally:
        engine.dispose()
    return manifest


def counts(connection: sa.Connection, accepted: int | None) -> Counts:
    """What Postgres holds, as the connection's transaction sees it."""
    numbers = [
        connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in (feedback, quarantine, outbox)
    ]
    states = connection.execute(sa.select(tickets.c.state, sa.func.count()).group_by(tickets.c.state)).all()
    return Counts(
        feedback=numbers[0],
        quarantine=numbers[1],
        outbox=numbers[2],
        tickets={row[0]: row[1] for row in sorted(states)},
        accepted=accepted,
    )


def _dump(settings: Settings, place: Place, watch: Watch, connection: sa.Connection) -> Manifest:
    snapshot = connection.execute(sa.select(sa.func.pg_export_snapshot())).scalar_one()
    taken_at = datetime.now(UTC)
    watch.step("Counting")
    server = str(connection.execute(sa.text("SHOW server_version")).scalar_one())
    major = int(connection.execute(sa.text("SHOW server_version_num")).scalar_one()) // 10_000
    if connection.execute(sa.text("SELECT to_regclass('alembic_version')")).scalar() is None:
        raise HeedError("The database holds nothing of Heed; there is nothing to back up.")
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
    counted = counts(connection, _accepted(settings))
    name = catalogue.name_of(taken_at)
    file = catalogue.dump_of(name)
    if file in place.files():
        raise Later(f"There is a backup of this very moment already: {name}")

    program, version = programs.find("pg_dump", major)
    address, environment = programs.address(settings.need("database_url"))
    command = [str(program), "--format=custom", "--verbose", f"--snapshot={snapshot}", f"--dbname={address}"]
    digest, size = hashlib.sha256(), 0
    watch.step("Dumping")
    with (
        place.write(file) as write,
        programs.running(command, environment, table=watch.table, tick=watch.tick) as dump,
    ):
        for chunk in dump.output():
            write(chunk)
            digest.update(chunk)
            size += len(chunk)
            watch.moved(len(chunk))
        dump.finish()
    return Manifest(
        name=name,
        taken_at=taken_at,
        heed=__version__,
        revision=revision,
        postgres=server,
        pg_dump=version,
        bytes=size,
        sha256=digest.hexdigest(),
        counts=counted,
    )


def _accepted(settings: Settings) -> int | None:
    try:
        return Queue.connect(settings).snapshot().added
    except Later:
        return None


def _sweep(place: Place) -> None:
    try:
        catalogue.sweep(place)
    except Later as error:  # they cost room, and no backup
        log.warning("leftovers-kept", reason=str(error))


def _retire(place: Place, keep: int, new: Manifest) -> None:
    try:
        for name in catalogue.retire(place, keep, new):
            log.info("old-backup-deleted", name=name)
    except Later as error:  # the new one stands; the next run tries again
        log.warning("old-backups-kept", reason=str(error))
