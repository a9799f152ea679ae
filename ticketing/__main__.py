"""`python -m ticketing`: the ticketing service's composition root."""

import threading
from collections.abc import Iterator
from functools import partial

import sqlalchemy as sa
from prometheus_client.core import Metric
from starlette.applications import Starlette
from starlette.middleware import Middleware

from heed import telemetry, tracing
from heed.db import engine as db
from heed.db import ledger, schema
from heed.lifecycle import Heartbeat, Stop
from heed.settings import Settings, load
from heed.web import health, problems
from heed.web.guards import BodyLimit, SecurityHeaders
from heed.web.measure import Measure
from heed.web.serve import serve_in_background
from ticketing import reconcile, webhook
from ticketing.consumer import THREADS, Consumer
from ticketing.desk import ConsoleDesk, Desk
from ticketing.gate import Gate
from ticketing.handler import LEASE_SECONDS, Handler
from ticketing.queue import Queue
from ticketing.text import Anonymous
from ticketing.zendesk import ZendeskDesk


def create_app(settings: Settings, engine: sa.Engine, events: Queue, gate: Gate, heartbeat: Heartbeat) -> Starlette:
    """Health, metrics and the desk's webhook."""
    secret = settings.zendesk_webhook_secret
    ready: dict[str, health.Check] = {
        "postgres": lambda: db.check(engine),
        "schema": lambda: schema.check(engine),
        "queue": events.check,
        "desk": gate.problem,
    }
    return Starlette(
        routes=[
            *health.routes(heartbeat, ready, [partial(_tickets, engine), partial(_gate, gate)]),
            webhook.route(engine, secret.get_secret_value() if secret else None),
        ],
        middleware=[Middleware(Measure), Middleware(SecurityHeaders), Middleware(BodyLimit, most=webhook.BODY_MAX)],
        exception_handlers={problems.Problem: problems.answer},
    )


def _tickets(engine: sa.Engine) -> Iterator[Metric]:
    with engine.connect() as connection:
        yield telemetry.TICKETS_STANDING.by(ledger.counts(connection))


def _gate(gate: Gate) -> Iterator[Metric]:
    yield telemetry.GATE_OPEN.of(gate.problem() is None)


def main() -> None:
    """Run until told to stop."""
    settings = load()
    telemetry.configure("ticketing", settings.log_level)
    tracing.configure(settings, "ticketing")
    stop = Stop().on_signals()
    desk: Desk = ZendeskDesk(settings) if settings.desk == "zendesk" else ConsoleDesk()
    engine = db.connect(settings, "ticketing", pool_size=THREADS + 2)
    events = Queue(settings, connections=THREADS + 2)
    gate = Gate()
    # A round may wait for calls that use all of their time, no longer.
    heartbeat = Heartbeat(LEASE_SECONDS)
    results_url = str(settings.results_url) if settings.results_url else None
    handler = Handler(engine, desk, Anonymous(settings.anonymous_name, settings.anonymous_email), results_url)

    serve_in_background(create_app(settings, engine, events, gate, heartbeat), settings)
    schema.wait(engine, stop, heartbeat)
    threading.Thread(
        target=reconcile.run,
        args=(engine, desk, stop, settings.zendesk_poll_seconds),
        name="reconcile",
        daemon=True,
    ).start()
    telemetry.log.info("ticketing runs", desk=settings.desk, queue=settings.event_queue)
    Consumer(events, handler, gate, stop, heartbeat).run()
    telemetry.log.info("ticketing stopped")


if __name__ == "__main__":
    main()
