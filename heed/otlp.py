"""Spans by OpenTelemetry, sent to a collector (OTLP over HTTP). Loaded only where tracing is on (heed.tracing).

Guarantees: a collector that hangs or is away costs only spans: so many wait for it and no more, they are sent beside
the work, and the end of the process waits END_SECONDS for the last of them; an error's text, which may be a customer's
words, is in no span; nothing is registered globally, so no library adds spans of its own.
"""

import atexit
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from heed import __version__
from heed.errors import word_for

Attributes = Mapping[str, str | bool | int | float]

WAITING_MOST = 4096
SEND_SECONDS = 1.0
TIMEOUT_SECONDS = 3.0
END_SECONDS = 2.0
COMPLAIN_SECONDS = 60.0


def root_of(submission: UUID) -> SpanContext:
    """The root span of a submission's trace, known to every service without being told.

    The trace's id is the submission's, the span's id are its lower 64 bits: mostly random, never zero (they begin with
    the UUID's variant, 10).
    """
    return SpanContext(submission.int, submission.int & (1 << 64) - 1, True, TraceFlags(TraceFlags.SAMPLED))


class _Ids(RandomIdGenerator):
    """Random ids, but for a root span those that `root_of` names."""

    def __init__(self) -> None:
        self._next = threading.local()

    @contextmanager
    def of(self, root: SpanContext) -> Iterator[None]:
        """The span that this thread starts now is `root`."""
        self._next.root = root
        try:
            yield
        finally:
            self._next.root = None

    def generate_trace_id(self) -> int:
        root: SpanContext | None = getattr(self._next, "root", None)
        return root.trace_id if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        root: SpanContext | None = getattr(self._next, "root", None)
        return root.span_id if root else super().generate_span_id()


class _NowAndThen(logging.Filter):
    """Lets one complaint about the collector through every COMPLAIN_SECONDS."""

    _next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        due = time.monotonic() >= self._next
        if due:
            self._next = time.monotonic() + COMPLAIN_SECONDS
        return due


class Tracer:
    """The spans of one service."""

    def __init__(self, endpoint: str, service: str) -> None:
        logging.getLogger(trace_exporter.__name__).addFilter(_NowAndThen())
        exporter = trace_exporter.OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_SECONDS)
        self._ids = _Ids()
        self._provider = TracerProvider(
            # All of them: OpenTelemetry's samplers by ratio take the trace's lower bits for a random number, which a
            # UUID's are not. A collector may choose.
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": f"heed-{service}", "service.version": __version__}),
            shutdown_on_exit=False,  # it would wait for half a minute
            id_generator=self._ids,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, WAITING_MOST, SEND_SECONDS * 1000, max_export_batch_size=512)
        )
        self._tracer = self._provider.get_tracer("heed", __version__)
        self._end = threading.Event()
        # Made now, because a process that ends may start no thread.
        self._ending = threading.Thread(target=self._shut_down, name="tracing-end", daemon=True)
        self._ending.start()
        atexit.register(self.close)

    def root(self, submission: UUID, name: str, started: int, ended: int, attributes: Attributes) -> None:
        """The root span, which is over."""
        with self._ids.of(root_of(submission)):
            span = self._tracer.start_span(name, Context(), attributes=attributes, start_time=started)
        span.end(ended)

    def record(self, submission: UUID, name: str, started: int, ended: int, attributes: Attributes) -> None:
        """A span below the root, which is over."""
        self._tracer.start_span(name, _below(submission), attributes=attributes, start_time=started).end(ended)

    @contextmanager
    def span(self, submission: UUID, name: str, attributes: Attributes) -> Iterator[None]:
        """A span below the root."""
        with self._current(self._tracer.start_span(name, _below(submission), attributes=attributes)):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A span below the current one, if there is one."""
        if trace.get_current_span().get_span_context().is_valid:
            with self._current(self._tracer.start_span(name)):
                yield
        else:
            yield

    def note(self, attributes: Attributes) -> None:
        """More attributes of the current span."""
        trace.get_current_span().set_attributes(attributes)

    def close(self) -> None:
        """Send what is left, for END_SECONDS at most; harmless when called again."""
        self._end.set()
        self._ending.join(END_SECONDS)

    @contextmanager
    def _current(self, span: trace.Span) -> Iterator[None]:
        # Neither the error nor its text: only what kind it was.
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error", word_for(error))
                raise

    def _shut_down(self) -> None:
        self._end.wait()
        self._provider.shutdown()


def _below(submission: UUID) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(root_of(submission)), Context())
