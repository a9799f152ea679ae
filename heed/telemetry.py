"""Logs and metrics: JSON lines on standard error, Prometheus metrics with every name in this one place.

Guarantees: no log line carries a customer's words, address or a secret; what happened to a submission is logged with
its id in `id`, or in `ids` where it happened to several at once; a log that cannot be written (its disk is full) fails
nothing; a gauge whose source cannot be read is absent, never old.
"""

import contextlib
import io
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TextIO, cast

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from heed import __version__
from heed.errors import HeedError, word_for

disable_created_metrics()  # type: ignore[no-untyped-call]  # a third more series, for nothing that Prometheus reads

IDS_MOST = 250  # on one line: log drivers cut lines at 16 KB

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class _Output:
    """Standard error as structlog writes to it."""

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure(service: str, level: str = "info") -> None:
    """Set up logging for this process; libraries log from warnings on, through the same renderer."""

    def named(_logger: object, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        line["service"] = service  # in every thread, which a context variable would not reach
        return line

    # Without a buffer, as `python -u` does: what could not be written would be tried again at the end, and fail that.
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
    shared: list[structlog.types.Processor] = [
        named,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_where),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Output())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    sys.excepthook = lambda *error: log.critical("unexpected", exc_info=error)
    threading.excepthook = lambda error: log.critical("unexpected", exc_info=error[:3])
    BUILD.labels(__version__, service).set(1)


def _where(exc_info: structlog.typing.ExcInfo) -> str:
    """Where an error came from and what it was, without its text, which may be a customer's words; ours is not."""
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(told) < 10:  # a chain can be a ring
        name = type(error).__name__
        said = f"{name}: {error}" if isinstance(error, HeedError) else name
        told.append("".join(traceback.format_tb(error.__traceback__)) + said)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nafter\n\n".join(told)


def log_ids(event: str, ids: Sequence[str], **fields: object) -> None:
    """One line for what happened to several submissions; more lines when they are too many for one."""
    for start in range(0, len(ids), IDS_MOST):
        log.info(event, ids=ids[start : start + IDS_MOST], **fields)


class Reading:
    """A gauge that is read from elsewhere each time Prometheus asks, and is not there when that cannot be read."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels

    def of(self, value: float) -> Metric:
        """Its one value."""
        return GaugeMetricFamily(self._name, self._documentation, value=value)

    def by(self, values: Mapping[str, float] | Mapping[tuple[str, str], float]) -> Metric:
        """A value for each label, or for each pair of labels."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, value in values.items():
            family.add_metric((labels,) if isinstance(labels, str) else labels, value)
        return family


class Moment(Collector):
    """The time when something last went well in this process; not there before it first did."""

    def __init__(self, name: str, documentation: str) -> None:
        self._reading = Reading(name, documentation)
        self._at: float | None = None
        REGISTRY.register(self)

    def now(self) -> None:
        """It went well."""
        self._at = time.time()

    def describe(self) -> Iterable[Metric]:
        """Nothing to check names against: they are all in this file."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The time, if there is one."""
        return () if self._at is None else (self._reading.of(self._at),)


@contextlib.contextmanager
def timed(histogram: Histogram, *labels: str) -> Iterator[None]:
    """Observe how long a call takes; its last label says how it ended."""
    started = time.perf_counter()
    ended = "ok"
    try:
        yield
    except Exception as error:
        ended = word_for(error)
        raise
    finally:
        histogram.labels(*labels, ended).observe(time.perf_counter() - started)


# Seconds: of a request or a call, and of what waits for others and may take days.
_CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WAIT = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400)

# Every service
BUILD = Gauge("heed_build_info", "Which version runs as which service", ["version", "service"])
READY = Reading("heed_ready", "Whether what the service needs is there (1) or not (0)", "check")
HEARTBEAT_AGE = Reading("heed_heartbeat_age_seconds", "Time since the service's loop last went round")
# Sites
REQUESTS = Counter("heed_http_requests_total", "Answers, by route, method and status", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "heed_http_request_seconds", "Time until an answer begins", ["route", "method"], buckets=_CALL
)
# Admission
ADMISSIONS = Counter("heed_admissions_total", "Submissions by outcome", ["outcome"])
ADMISSION_BATCH = Histogram(
    "heed_admission_batch_size",
    "Submissions that shared one round trip",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
ADMISSION_SECONDS = Histogram(
    "heed_admission_round_trip_seconds", "Time of one round trip to Redis, by how it ended", ["ended"], buckets=_CALL
)
# Queue and worker
QUEUE_DEPTH = Reading("heed_queue_depth", "Entries in the queue")
QUEUE_PENDING = Reading("heed_queue_pending", "Entries in the queue that a worker has and has not done with")
QUEUE_AGE = Reading("heed_queue_oldest_age_seconds", "Age of the oldest entry in the queue")
QUEUE_MEMORY = Reading("heed_queue_memory_ratio", "Memory that Redis uses, of what it may; 0 where nothing limits it")
PROCESSED = Counter("heed_processed_total", "Entries that the worker finished, by outcome", ["outcome"])
BATCH_SECONDS = Histogram("heed_batch_seconds", "Time to store and acknowledge one batch")
STORED_DELAY = Histogram(
    "heed_stored_delay_seconds", "Time from received to stored, of each batch's oldest answer", buckets=_WAIT
)
# Relay
EVENTS = Counter("heed_events_published_total", "Events handed to the bus, by outcome", ["outcome"])
BUS_SECONDS = Histogram("heed_bus_seconds", "Time of one PutEvents call, by how it ended", ["ended"], buckets=_CALL)
OUTBOX_DEPTH = Reading("heed_outbox_depth", "Selected submissions without a ticket yet")
OUTBOX_AGE = Reading("heed_outbox_oldest_age_seconds", "Age of the oldest of them in the outbox")
QUARANTINE = Reading("heed_quarantine_standing", "What stands in quarantine, by kind and reason", "kind", "reason")
# Ticketing
TICKETS = Counter("heed_tickets_total", "Handled ticket requests, by outcome", ["outcome"])
TICKETS_STANDING = Reading("heed_tickets_standing", "Tickets by state", "state")
TICKET_DELAY = Histogram("heed_ticket_delay_seconds", "Time from received to its ticket being complete", buckets=_WAIT)
DESK_SECONDS = Histogram(
    "heed_desk_seconds", "Time of one call to the ticket desk, by how it ended", ["call", "ended"], buckets=_CALL
)
EVENTS_QUEUE_FAILURES = Counter(
    "heed_events_queue_failures_total", "Calls to the queue of events that failed", ["call"]
)
GATE_OPEN = Reading("heed_gate_open", "Whether tickets are worked on (1) or the desk does not work (0)")
WEBHOOKS = Counter("heed_webhooks_total", "What the desk told by webhook, by outcome", ["outcome"])
RECONCILED = Moment("heed_reconciled_timestamp_seconds", "When the desk was last asked what changed, with success")
# Results
LIVE_VIEWERS = Gauge("heed_live_viewers", "Open live connections")
LOGINS = Counter("heed_logins_total", "Attempts to log in to the results site, by outcome", ["outcome"])
# Books
BOOKS = Reading("heed_books", "The books: how many submissions and tickets stand where", "entry")
BOOKS_IMBALANCE = Reading("heed_books_imbalance", "Submissions and tickets missing or counted double")
BOOKS_TAKEN = Moment("heed_books_taken_timestamp_seconds", "When the books were last taken, both sides of them")
# Backups
BACKUP_LAST = Reading("heed_backup_last_success_timestamp_seconds", "When the newest backup was taken")
BACKUP_BYTES = Reading("heed_backup_bytes", "Size of the newest backup")
BACKUP_SECONDS = Histogram(
    "heed_backup_duration_seconds", "Time to take one backup", buckets=(1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)
)
BACKUP_FAILURES = Counter("heed_backup_failures_total", "Scheduled backups that failed")
