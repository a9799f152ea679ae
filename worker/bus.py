"""EventBridge: the only module of the worker and relay that speaks to AWS.

Guarantees: a call returns within its time-outs; what the bus did not take is told entry by entry.
"""

import json
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from heed.contracts import EVENT_SOURCE, EVENT_TYPE
from heed.errors import Later
from heed.settings import Settings
from heed.telemetry import BUS_SECONDS, timed

ENTRIES_MOST = 10  # of one PutEvents call; an event is about 500 bytes, far below the 256 KB limit


class Bus:
    """One EventBridge bus."""

    def __init__(self, settings: Settings) -> None:
        local = settings.aws_endpoint is not None
        self._name = settings.event_bus
        self._client = boto3.client(
            "events",
            region_name=settings.aws_region,
            endpoint_url=str(settings.aws_endpoint) if local else None,
            # The stand-in takes any credentials; AWS gets those of the environment or the service's role.
            aws_access_key_id="local" if local else None,
            aws_secret_access_key="local" if local else None,
            config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}),
        )

    def publish(self, events: Sequence[dict[str, Any]]) -> list[str | None]:
        """Put up to ENTRIES_MOST events; for each, in order, None or why the bus did not take it.

        Raises Later when the bus cannot be reached or refuses the whole call.
        """
        entries = [
            {
                "EventBusName": self._name,
                "Source": EVENT_SOURCE,
                "DetailType": EVENT_TYPE,
                "Detail": json.dumps(event),
                "Resources": [],
            }
            for event in events
        ]
        with timed(BUS_SECONDS):
            try:
                answer = self._client.put_events(Entries=entries)
            except ClientError as error:  # its code only: its text may repeat credentials
                raise Later(f"EventBridge says {error.response.get('Error', {}).get('Code', 'no')}") from error
            except BotoCoreError as error:
                raise Later(f"EventBridge cannot be reached: {type(error).__name__}") from error
            results = answer.get("Entries", ())  # a proxy's page with status 200 has none
            if len(results) != len(events):
                raise Later(f"EventBridge answered for {len(results)} of {len(events)} events")
        return [
            None if "EventId" in result else f"{result.get('ErrorCode')}: {result.get('ErrorMessage')}"
            for result in results
        ]
