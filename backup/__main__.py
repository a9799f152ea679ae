"""`python -m backup`: a backup every HEED_BACKUP_EVERY_HOURS, counted from the newest that there is.

Guarantees: a restart neither shifts nor repeats a backup; where there is none, one is taken at once; what failed is
tried again after a growing pause; a stop does not wait for a dump, and leaves nothing half of it.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client.core import Metric
from starlette.applications import Starlette

from backup import catalogue, dump, programs
from backup.catalogue import Manifest
from backup.place import Place, connect
from backup.watch import Watch
from heed.db import engine as db
from heed.errors import HeedError
from heed.lifecycle import Backoff, Heartbeat, Stop
from heed.settings import Settings, load
from heed.telemetry import BACKUP_BYTES, BACKUP_FAILURES, BACKUP_LAST, BACKUP_SECONDS, configure, log
from heed.web import health
from heed.web.serve import serve_in_background

LOOK_SECONDS = 10.0
FIRST_PAUSE, MOST_PAUSE = 5.0, 600.0


class Stopped(HeedError):
    """A stop was asked for."""


class _Watch(Watch):
    """Shows that the dump makes progress, and ends it when a stop is asked for."""

    def __init__(self, stop: Stop, heartbeat: Heartbeat) -> None:
        super().__init__()
        self._stop, self._heartbeat = stop, heartbeat

    def tick(self) -> None:
        """Beat, or stop."""
        self._heartbeat.beat()
        if self._stop:
            raise Stopped("a stop was asked for")


class Schedule:
    """Takes backups when they are due."""

    def __init__(self, settings: Settings, place: Place, stop: Stop, heartbeat: Heartbeat) -> None:
        self._settings, self._place, self._stop, self._heartbeat = settings, place, stop, heartbeat
        self._every = timedelta(hours=settings.backup_every_hours)
        self._newest: Manifest | None = None

    def run(self) -> None:
        """Until told to stop."""
        pauses = Backoff(FIRST_PAUSE, MOST_PAUSE)
        while not self._stop:
            try:
                if self._is_due():
                    self._take()
                pauses.reset()
                self._rest(LOOK_SECONDS)
            except Stopped:
                return
            except dump.Busy as error:
                log.info("waiting", reason=str(error))
                self._rest(LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may go well
                BACKUP_FAILURES.inc()
                log.error("backup-failed", reason=str(error) if isinstance(error, HeedError) else type(error).__name__)
                self._rest(pauses.next())

    def measure(self) -> Iterator[Metric]:
        """The newest backup's gauges, once it is known."""
        if self._newest is not None:
            yield BACKUP_LAST.of(self._newest.taken_at.timestamp())
            yield BACKUP_BYTES.of(self._newest.bytes)

    def _is_due(self) -> bool:
        """Whether it is time. The place is asked when it seems so: somebody may have taken one by hand."""
        if self._seems_due():
            # One from the future, by a clock since put back, does not count.
            now = datetime.now(UTC)
            there = [each for each in catalogue.backups(self._place) if each.taken_at <= now]
            self._newest = there[0] if there else None
        return self._seems_due()

    def _seems_due(self) -> bool:
        if self._newest is None:
            return True
        age = datetime.now(UTC) - self._newest.taken_at
        return not timedelta() <= age < self._every

    def _take(self) -> None:
        started = time.monotonic()
        self._newest = dump.take(self._settings, self._place, _Watch(self._stop, self._heartbeat), self._is_due)
        seconds = time.monotonic() - started
        BACKUP_SECONDS.observe(seconds)
        log.info("backup-taken", name=self._newest.name, bytes=self._newest.bytes, seconds=round(seconds, 1))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._heartbeat.beat()
            if self._stop.wait(min(left, LOOK_SECONDS)):
                return


def main() -> None:
    """Take backups until told to stop."""
    settings = load()
    configure("backup", settings.log_level)
    place = connect(settings)
    stop = Stop().on_signals()
    heartbeat = Heartbeat(limit=2 * programs.STALL_SECONDS)
    engine = db.connect(settings, "backup", pool_size=1)
    checks = {"postgres": lambda: db.check(engine), "destination": place.check}
    schedule = Schedule(settings, place, stop, heartbeat)
    serve_in_background(Starlette(routes=health.routes(heartbeat, checks, [schedule.measure])), settings)
    log.info("started", to=place.name, every_hours=settings.backup_every_hours, keep=settings.backup_keep)
    schedule.run()
    log.info("stopped")


if __name__ == "__main__":
    main()
