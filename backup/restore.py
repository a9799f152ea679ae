"""Restoring a backup: into a new database, migrated and verified, and only then put in the place of the old one.

Guarantees: the backup is read and checked whole before anything is touched; up to the switch the present database is
not touched either; nothing but a verified database is switched to; the old one is kept under another name; the books
are settled as far as that is certain.
"""

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from backup import check, dump, programs
from backup.catalogue import Manifest
from backup.place import Place
from backup.switch import Databases
from backup.watch import Watch
from heed import books
from heed.books import Difference
from heed.db import engine as db
from heed.db.migrate import migrate
from heed.db.tables import feedback, rollup, ticket_counts, tickets
from heed.errors import HeedError, Later
from heed.settings import Settings
from heed.stream.queue import Queue


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of it: where the old database is now, and what was settled (None: the queue could not be asked)."""

    manifest: Manifest
    before: str | None
    settled: Difference | None


def restore(settings: Settings, place: Place, manifest: Manifest, watch: Watch, *, replace: bool) -> Restored:
    """Restore this backup; with `replace` also where there is feedback already."""
    try:
        databases = Databases(settings)
        with databases.alone():
            databases.refuse_in_use()
            if not replace and databases.exists() and _holds_feedback(settings):
                raise HeedError(
                    f"The database {databases.name} holds feedback. To put the backup in its place: --replace "
                    "(the present database is kept under another name)."
                )
            watch.step("Checking", manifest.bytes)
            for _ in check.whole(place, manifest, watch):
                pass
            before = _switch_to(databases, place, manifest, watch)
        return Restored(manifest, before, _settle(settings, manifest))
    except db.RETRYABLE as error:
        raise Later(f"Postgres: {db.first_line(error)}") from error
    except sa.exc.SQLAlchemyError as error:
        raise HeedError(f"Postgres: {db.first_line(error)}") from error


def _switch_to(databases: Databases, place: Place, manifest: Manifest, watch: Watch) -> str | None:
    databases.create()
    try:
        _fill(databases.settings(databases.new), place, manifest, watch)
        watch.step("Verifying")
        _verify(databases.settings(databases.new), manifest)
        watch.step("Switching")
        return databases.switch()
    except BaseException:
        databases.drop(databases.new)
        raise


def _fill(new: Settings, place: Place, manifest: Manifest, watch: Watch) -> None:
    watch.step("Restoring", manifest.bytes)
    program, _ = check.restorer(manifest)
    address, environment = programs.address(new.need("database_url"))
    # Roles and their rights are the server's, and may be others on this one.
    options = ["--exit-on-error", "--no-owner", "--no-privileges", "--verbose"]
    command = [str(program), *options, f"--dbname={address}"]
    with programs.running(command, environment, table=watch.table, tick=watch.tick, fed=True) as reader:
        for chunk in check.whole(place, manifest, watch):
            reader.feed(chunk)
        reader.finish()


def _verify(new: Settings, manifest: Manifest) -> None:
    """Bring the new database to this version's schema; `HeedError` when it is not what was backed up."""
    engine = db.connect(new, "restore", statement_seconds=0)
    try:
        migrate(engine)
        with db.begin(engine) as connection:
            connection.execute(sa.text("ANALYZE"))  # the planner knows nothing of restored tables
            problems = _problems(connection, manifest)
    finally:
        engine.dispose()
    if problems:
        raise HeedError(f"{manifest.name} was restored and is not what it should be: {'; '.join(problems)}.")


def _problems(connection: sa.Connection, manifest: Manifest) -> list[str]:
    found = dump.counts(connection, manifest.counts.accepted)
    problems = [
        f"{name} are {getattr(found, name)} instead of {wanted}"
        for name, wanted in manifest.counts
        if getattr(found, name) != wanted
    ]
    stored = sa.select(feedback.c.survey, sa.func.count(), sa.func.count().filter(feedback.c.selected)).group_by(
        feedback.c.survey
    )
    totals = (
        sa.select(rollup.c.survey, sa.func.sum(rollup.c.answers), sa.func.sum(rollup.c.selected))
        .where(rollup.c.grain == "total")
        .group_by(rollup.c.survey)
    )
    if _rows(connection, stored) != _rows(connection, totals):
        problems.append("the totals are not those of the feedback")
    counted = (
        sa.select(feedback.c.survey, tickets.c.state, sa.func.count())
        .join(feedback, feedback.c.id == tickets.c.feedback_id)
        .group_by(feedback.c.survey, tickets.c.state)
    )
    kept = sa.select(ticket_counts).where(ticket_counts.c.tickets != 0)
    if _rows(connection, counted) != _rows(connection, kept):
        problems.append("the counts of tickets are not those of the tickets")
    return problems


def _rows(connection: sa.Connection, query: "sa.Select[tuple[object, ...]]") -> Counter[tuple[str, ...]]:
    return Counter(tuple(map(str, row)) for row in connection.execute(query))


def _holds_feedback(settings: Settings) -> bool:
    engine = db.connect(settings, "restore", pool_size=1)
    try:
        with db.begin(engine) as connection:
            if not sa.inspect(connection).has_table("feedback"):
                return False
            return bool(connection.execute(sa.select(sa.exists().where(feedback.c.id.is_not(None)))).scalar_one())
    finally:
        engine.dispose()


def _settle(settings: Settings, manifest: Manifest) -> Difference | None:
    engine, queue = db.connect(settings, "restore"), Queue.connect(settings)
    try:
        return books.settle(engine, queue, f"restored from {manifest.name}", books.difference(engine, queue))
    except (Later, sa.exc.SQLAlchemyError):  # the backup is in its place; settling can be done again
        return None
    finally:
        engine.dispose()
