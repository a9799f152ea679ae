"""The AWS stand-in: a moto server with Heed's bus, rule, queue and dead-letter queue.

Guarantees: it answers only when it is provisioned; what it holds is lost when it stops, which the outbox repairs.
Run as `python -m local.aws`, with HEED_AWS_ENDPOINT naming where to listen.
"""

import json
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

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
    assert endpoint is not None
    server = ThreadedMotoServer(endpoint.host or "127.0.0.1", endpoint.port or 0, verbose=False)
    server.start()
    provision(settings)
    while not stop.wait(60):
        pass
    server.stop()


if __name__ == "__main__":
    main()
