"""The webhook that tells Heed of a ticket's new status, signed as Zendesk signs its own.

Guarantees: it runs in the background and no request waits for it or fails by it; three tries, then it is dropped,
as Zendesk does (the reconciliation poll finds what was missed).
"""

import base64
import contextlib
import hashlib
import hmac
import json
import queue
import threading
from datetime import UTC, datetime

import httpx

from heed.lifecycle import Backoff, Stop
from heed.settings import Settings
from heed.telemetry import log
from local.sandbox.store import Row

TRIES = 3
WAITING_MAX = 10_000
TIMEOUT_SECONDS = 5.0


class Webhook:
    """A queue of messages and the one thread that delivers them in order."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret.encode()
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING_MAX)
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    @classmethod
    def of(cls, settings: Settings) -> "Webhook | None":
        """The webhook that the settings name, if they name one; it needs its signing secret."""
        if settings.sandbox_webhook_url is None:
            return None
        return cls(str(settings.sandbox_webhook_url), settings.need("zendesk_webhook_secret"))

    def send(self, ticket: Row) -> None:
        """Tell of this ticket's status, soon."""
        told = {"ticket_id": ticket["id"], "external_id": ticket["external_id"], "status": ticket["status"]}
        try:
            self._waiting.put_nowait(json.dumps(told).encode())
        except queue.Full:
            log.warning("webhook dropped: too many are waiting", ticket=ticket["id"])

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is still waiting is dropped."""
        self._stop.request()
        with contextlib.suppress(queue.Full):  # then there is something to wake the thread already
            self._waiting.put_nowait(None)
        self._thread.join(TIMEOUT_SECONDS + 1)

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            while (body := self._waiting.get()) is not None and not self._stop:
                self._deliver(client, body)

    def _deliver(self, client: httpx.Client, body: bytes) -> None:
        backoff = Backoff()
        for _ in range(TRIES):
            try:
                if client.post(self._url, content=body, headers=sign(self._secret, body)).is_success:
                    return
            except httpx.HTTPError:
                pass  # the other side is away; the next try may find it
            if self._stop.wait(backoff.next()):
                return
        log.warning("webhook not delivered", tries=TRIES)


def sign(secret: bytes, body: bytes) -> dict[str, str]:
    """The headers that go with a message sent now."""
    timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hmac.new(secret, timestamp.encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": timestamp,
    }
