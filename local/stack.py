"""What the one-machine system consists of: its parts, what each needs, the settings they share.

Guarantees: what the environment names (a database, a queue, AWS, a Zendesk) is used as it is and no stand-in is
started for it; two systems with different HEED_HOME and site ports share nothing.
"""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from heed.settings import Settings
from local import ports, postgres
from local.home import Home
from local.supervisor import Part

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Stack:
    """The parts in order of their needs, and the environment that all of them get."""

    parts: list[Part]
    environment: dict[str, str]


def build(settings: Settings, home: Home, given: Mapping[str, str]) -> Stack:
    """The system for these settings; `given` is the environment they came from. HeedError when a port is taken."""
    valkey = not given.get("HEED_REDIS_URL")
    database = not given.get("HEED_DATABASE_URL")
    aws = not given.get("HEED_AWS_ENDPOINT")
    sandbox = settings.desk == "zendesk" and not (settings.zendesk_subdomain or settings.zendesk_url)

    known = {"HEED_FEEDBACK_PORT": settings.feedback_port, "HEED_RESULTS_PORT": settings.results_port}
    if sandbox:
        known["HEED_SANDBOX_PORT"] = settings.sandbox_port
    ports.check(known, settings.bind)
    host = ports.reached_at(settings.bind)
    redis_port, aws_port, *ops_ports = ports.choose(5)
    ops = dict(zip(("worker", "relay", "ticketing"), ops_ports, strict=True))

    environment = {
        "HEED_HOME": str(home.path),
        "HEED_FEEDBACK_URL": f"http://{host}:{settings.feedback_port}",
        "HEED_RESULTS_URL": f"http://{host}:{settings.results_port}",
        **{variable: str(port) for variable, port in known.items()},
        **home.secrets(given),
    }
    if valkey:
        environment["HEED_REDIS_URL"] = f"redis://127.0.0.1:{redis_port}/0"
    if database:
        environment["HEED_DATABASE_URL"] = postgres.url(home.path / "postgres")
    if aws:
        environment["HEED_AWS_ENDPOINT"] = f"http://127.0.0.1:{aws_port}"
    if sandbox:
        environment |= {
            "HEED_ZENDESK_URL": f"http://{host}:{settings.sandbox_port}",
            "HEED_ZENDESK_TOKEN": "sandbox",
            "HEED_ZENDESK_POLL_SECONDS": "2",
            "HEED_SANDBOX_WEBHOOK_URL": f"http://{host}:{ops['ticketing']}/webhook",
        }
    environment |= {name: given[name] for name in environment if given.get(name) and name != "HEED_HOME"}
    environment |= _beside_proxies(given, host)

    parts = []
    if valkey:
        parts.append(_valkey(home, redis_port))
    if database:
        parts.append(_postgres(home))
    if aws:
        parts.append(_service("aws", "local.aws", f"http://127.0.0.1:{aws_port}/moto-api/"))
    if sandbox:
        parts.append(_site("sandbox", "local.sandbox", host, settings.sandbox_port))
    parts += [
        _site("feedback", "api.feedback", host, settings.feedback_port, "valkey"),
        Part(name="migrate", command=_python("heed", "migrate"), ready=None, needs=("postgres",)),
        _site("results", "api.results", host, settings.results_port, "migrate"),
        _loop("worker", "worker", host, ops["worker"], "valkey", "migrate"),
        _loop("relay", "worker.relay", host, ops["relay"], "migrate", "aws"),
        _loop("ticketing", "ticketing", host, ops["ticketing"], "migrate", "aws", "sandbox"),
    ]
    return Stack(_without_strangers(parts), environment)


def _valkey(home: Home, port: int) -> Part:
    async def ready() -> bool:
        return (await _ask("127.0.0.1", port, b"PING\r\n")).startswith(b"+PONG")

    command = [*_python("local.valkey"), str(home.path / "valkey"), str(port)]
    return Part(name="valkey", command=command, ready=ready)


def _postgres(home: Home) -> Part:
    folder = home.path / "postgres"

    async def ready() -> bool:
        return await asyncio.to_thread(postgres.ready, folder)

    # SIGTERM would wait for every client to go; SIGINT rolls their transactions back.
    command = [*_python("local.postgres"), str(folder)]
    return Part(name="postgres", command=command, ready=ready, stop_signal=signal.SIGINT)


def _site(name: str, module: str, host: str, port: int, *needs: str) -> Part:
    return _service(name, module, f"http://{host}:{port}/readyz", *needs)


def _loop(name: str, module: str, host: str, port: int, *needs: str) -> Part:
    return _service(name, module, f"http://{host}:{port}/readyz", *needs, environment={"HEED_OPS_PORT": str(port)})


def _service(name: str, module: str, readiness: str, *needs: str, environment: Mapping[str, str] | None = None) -> Part:
    address, _, path = readiness.removeprefix("http://").partition("/")
    host, _, port = address.rpartition(":")

    async def ready() -> bool:
        answer = await _ask(
            host, int(port), f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
        )
        return answer.split(b" ")[1:2] == [b"200"]

    return Part(
        name=name,
        command=_python(module),
        ready=ready,
        needs=needs,
        environment=environment or {},
        address=f"http://{address}",
    )


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _without_strangers(parts: list[Part]) -> list[Part]:
    """The parts, with needs only of each other: what the environment names is not ours to wait for."""
    names = {part.name for part in parts}
    return [replace(part, needs=tuple(need for need in part.needs if need in names)) for part in parts]


def _beside_proxies(given: Mapping[str, str], host: str) -> dict[str, str]:
    """The parts reach each other directly, whatever proxy leads out of here."""
    names = given.get("no_proxy") or given.get("NO_PROXY") or ""
    if names != "*":
        names = ",".join(dict.fromkeys(filter(None, (names, "127.0.0.1", host))))
    return {"no_proxy": names, "NO_PROXY": names}


async def _ask(host: str, port: int, question: bytes) -> bytes:
    """The first line that comes back; nothing when nobody answers."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError):
        return b""
