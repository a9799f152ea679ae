"""The Zendesk sandbox as a process of its own, and what a test wants to ask or order it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from conftest import free_port, wait_for

TOKEN = "tests-only-token"


class Sandbox:
    """A running sandbox at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, auth=("agent@example.com/token", TOKEN), trust_env=False, timeout=10)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._http.get(path, params=query).raise_for_status().json()

    def fault(self, name: str, *, times: int = 1, seconds: float = 1, on: str = "any") -> None:
        order = {"fault": name, "times": times, "seconds": seconds, "on": on}
        self._http.post("/sandbox/faults", json=order).raise_for_status()

    def no_faults(self) -> None:
        self._http.delete("/sandbox/faults").raise_for_status()

    def faults_left(self) -> int:
        return len(self.get("/sandbox/faults")["faults"])

    def requests(self) -> int:
        return int(self.get("/sandbox/stats")["requests"])

    def tickets(self, external_id: object) -> list[dict[str, Any]]:
        return list(self.get("/api/v2/tickets.json", external_id=str(external_id))["tickets"])

    def comments(self, ticket_id: int) -> list[dict[str, Any]]:
        return list(self.get(f"/api/v2/tickets/{ticket_id}/comments.json")["comments"])

    def requester(self, ticket: dict[str, Any]) -> dict[str, Any]:
        return dict(self.get(f"/api/v2/users/{ticket['requester_id']}.json")["user"])

    def set_status(self, ticket_id: int, status: str) -> None:
        self.change(ticket_id, status=status)

    def change(self, ticket_id: int, **fields: Any) -> None:
        self._http.put(f"/api/v2/tickets/{ticket_id}.json", json={"ticket": fields}).raise_for_status()


@contextmanager
def running_sandbox(home: Path, **environment: str) -> Iterator[Sandbox]:
    """`python -m local.sandbox` on a free port, its data below `home`, until the block ends."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "local.sandbox"],
        env={**os.environ, "HEED_HOME": str(home), "HEED_SANDBOX_PORT": str(port), **environment},
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the sandbox ended"
        try:
            return httpx.get(f"{url}/healthz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    sandbox = Sandbox(url)
    try:
        wait_for(answers, what="the sandbox")
        yield sandbox
    finally:
        sandbox.close()
        process.terminate()
        process.wait(10)
