"""The SQS queue of events; the only module here with boto3.

Guarantees: no call waits longer than its time limits or retries by itself; a queue that is missing or cannot be
reached is `Later`; one that was made anew under its name is found again. Any thread may call.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from heed.errors import Later
from heed.settings import Settings
from heed.telemetry import EVENTS_QUEUE_FAILURES

BATCH = 10  # the most that SQS hands out at once
WAIT_SECONDS = 2  # of a long poll; a stop waits for its end
_VISIBILITY_MAX = 43_200


@dataclass(frozen=True, slots=True)
class Message:
    """A message in hand. `receives` counts its deliveries from 1."""

    id: str
    receipt: str
    body: str
    receives: int


class Queue:
    """The queue that the rule feeds, by its name."""

    def __init__(self, settings: Settings, connections: int) -> None:
        # A stand-in takes any credentials; without one they come from AWS's default chain.
        local = settings.aws_endpoint and {
            "endpoint_url": str(settings.aws_endpoint),
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
        self._name = settings.event_queue
        self._url: str | None = None
        self._sqs = boto3.client(
            "sqs",
            region_name=settings.aws_region,
            config=Config(
                connect_timeout=3,
                read_timeout=WAIT_SECONDS + 5,
                retries={"total_max_attempts": 1},
                max_pool_connections=connections,
            ),
            **(local or {}),
        )

    def receive(self, most: int) -> list[Message]:
        """Up to `most` messages (at most BATCH); waits WAIT_SECONDS for the first."""
        with self._call("receive") as url:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(most, BATCH),
                WaitTimeSeconds=WAIT_SECONDS,
                AttributeNames=["ApproximateReceiveCount"],
            )
        return [_message(found) for found in answer.get("Messages", ())]

    def delete(self, message: Message) -> None:
        """It is done with."""
        with self._call("delete") as url:
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message.receipt)

    def hide(self, message: Message, seconds: float) -> None:
        """Deliver it again after so many seconds."""
        seconds = min(max(math.ceil(seconds), 0), _VISIBILITY_MAX)
        with self._call("hide") as url:
            self._sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds)

    def check(self) -> str | None:
        """Readiness: None when the queue is there, else a sentence."""
        try:
            self._sqs.get_queue_url(QueueName=self._name)
        except (ClientError, BotoCoreError) as error:
            return _sentence(error)
        return None

    @contextmanager
    def _call(self, name: str) -> Iterator[str]:
        try:
            if self._url is None:
                self._url = self._sqs.get_queue_url(QueueName=self._name)["QueueUrl"]
            yield self._url
        except (ClientError, BotoCoreError, KeyError) as error:
            self._url = None
            EVENTS_QUEUE_FAILURES.labels(name).inc()
            raise Later(_sentence(error)) from error


def _message(found: dict[str, Any]) -> Message:
    receives = int(found.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return Message(found["MessageId"], found["ReceiptHandle"], found["Body"], receives)


def _sentence(error: ClientError | BotoCoreError | KeyError) -> str:
    if isinstance(error, ClientError):
        return f"SQS says {error.response.get('Error', {}).get('Code', 'no')}"
    if isinstance(error, KeyError):  # a proxy's page with status 200, say
        return f"SQS gave a surprising answer, without {error}"
    return f"SQS cannot be reached: {type(error).__name__}"
