"""Traces: one for each submission, across all services. A submission's id is its trace's id (see docs/decisions/0011).

Guarantees: off unless HEED_OTLP_ENDPOINT is set, and then nothing of OpenTelemetry is loaded; no span carries a
customer's words or an address; spans may get lost, work never does, and never waits for them.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import time_ns
from typing import TYPE_CHECKING
from uuid import UUID

from heed.settings import Settings

if TYPE_CHECKING:
    from heed.otlp import Tracer

Value = str | bool | int | float

_tracer: "Tracer | None" = None

now = time_ns  # the clock of `started` and `ended` below


def configure(settings: Settings, service: str) -> None:
    """Begin to trace this process, if there is a collector."""
    global _tracer
    if settings.otlp_endpoint is not None:
        try:
            from heed.otlp import Tracer
        except ImportError as error:
            sys.exit(f"HEED_OTLP_ENDPOINT is set, but what sends traces is not installed here ({error}).")
        _tracer = Tracer(str(settings.otlp_endpoint), service)


def on() -> bool:
    """Whether anybody gets the spans: for work that is done for them alone."""
    return _tracer is not None


def admit(submission: UUID, started: int, **attributes: Value) -> None:
    """The root of a submission's trace, from `started` until now."""
    if _tracer is not None:
        _tracer.root(submission, "admit", started, now(), attributes)


def record(submission: UUID, name: str, started: int, ended: int, **attributes: Value) -> None:
    """A span that is over, below the root."""
    if _tracer is not None:
        _tracer.record(submission, name, started, ended, attributes)


def span(submission: UUID, name: str, **attributes: Value) -> AbstractContextManager[None]:
    """A span for what happens inside, below the root; `step` and `note` add to it."""
    return nullcontext() if _tracer is None else _tracer.span(submission, name, attributes)


@contextmanager
def step(name: str) -> Iterator[None]:
    """A part of the span that this thread is in, if it is in one."""
    if _tracer is None:
        yield
    else:
        with _tracer.step(name):
            yield


def note(**attributes: Value) -> None:
    """Say more about the span that this thread is in."""
    if _tracer is not None:
        _tracer.note(attributes)


def close() -> None:
    """Send what is left, for a bounded time; called by itself when the process ends normally."""
    if _tracer is not None:
        _tracer.close()
