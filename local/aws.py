"""The AWS stand-in: a moto server with Heed's bus, rule, queue and dead-letter queue.

Guarantees: it answers only when it is provisioned; what it holds is lost when it stops, which the outbox repairs.
Run as `python -m local.aws`, with HEED_AWS_ENDPOINT naming where to listen.
"""

import json
import logging
import sys
import threading
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from heed.contracts import rule_pattern
from heed.lifecycle import Stop
from heed.settings import Settings, load

MAX_RECEIVES = 10
RULE = "heed-negative-feedback"


def client(service: str, settings: Settings) -> Any:
    """A boto3 client of the stand-in; it takes any credentials."""
    return boto3.client(
        service,
        endpoint_url=str(settings.aws_endpoint),
        region_name=settings.aws_region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the stand-in checks none
    )


def provision(settings: Settings) -> None:
    """Make the bus, the queues and the rule between them; what exists already stays."""
    events, sqs = client("events", settings), client("sqs", settings)
    if settings.event_bus not in [bus["Name"] for bus in events.list_event_buses()["EventBuses"]]:
        events.create_event_bus(Name=settings.event_bus)
    dead = sqs.create_queue(QueueName=f"{settings.event_queue}-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    queue = sqs.create_queue(
        QueueName=settings.event_queue,
        Attributes={
            "VisibilityTimeout": str(settings.events_visibility),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES}),
        },
    )["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=RULE, EventBusName=settings.event_bus, EventPattern=json.dumps(rule_pattern()))
    events.put_targets(Rule=RULE, EventBusName=settings.event_bus, Targets=[{"Id": "tickets", "Arn": queue_arn}])


def main() -> None:
    """Serve until told to stop."""
    settings = load()
    stop = Stop().on_signals()
    endpoint = settings.aws_endpoint
    if endpoint is None:
        sys.exit("HEED_AWS_ENDPOINT is not set; it names where the stand-in listens.")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each poll of the queue
    # What the servers of one process hold is shared, so it is made through a port that nobody knows.
    hidden = _serve("127.0.0.1", 0)
    provision(settings.model_copy(update={"aws_endpoint": f"http://127.0.0.1:{hidden.port}"}))
    server = _serve(endpoint.host or "127.0.0.1", endpoint.port or 80)
    hidden.shutdown()
    while not stop.wait(60):
        pass
    server.shutdown()


def _serve(host: str, port: int) -> BaseWSGIServer:
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(host, port, app, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
