"""Logs and metrics: JSON lines on standard error, Prometheus metrics with every name in this one place.

Guarantees: no log line carries a customer's words, address or a secret; submission ids are in `id`; a log that cannot
be written (its disk is full) fails nothing.
"""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog
from prometheus_client import Counter, Gauge, Histogram

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
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
    structlog.contextvars.bind_contextvars(service=service)


# Admission
ADMISSIONS = Counter("heed_admissions_total", "Submissions by outcome", ["outcome"])
ADMISSION_BATCH = Histogram(
    "heed_admission_batch_size",
    "Submissions that shared one round trip",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
# Queue and worker
QUEUE_DEPTH = Gauge("heed_queue_depth", "Entries in the queue")
QUEUE_AGE = Gauge("heed_queue_oldest_age_seconds", "Age of the oldest entry in the queue")
PROCESSED = Counter("heed_processed_total", "Entries that the worker finished, by outcome", ["outcome"])
BATCH_SECONDS = Histogram("heed_batch_seconds", "Time to score and store one batch")
# Relay
EVENTS = Counter("heed_events_published_total", "Events handed to the bus, by outcome", ["outcome"])
OUTBOX_DEPTH = Gauge("heed_outbox_depth", "Selected submissions without a ticket yet")
# Ticketing
TICKETS = Counter("heed_tickets_total", "Handled ticket requests, by outcome", ["outcome"])
DESK_SECONDS = Histogram("heed_desk_seconds", "Time of one call to the ticket desk", ["call"])
# Results
LIVE_VIEWERS = Gauge("heed_live_viewers", "Open live connections")
# Books
BOOKS_IMBALANCE = Gauge("heed_books_imbalance", "Submissions and tickets missing from the books or counted double")
