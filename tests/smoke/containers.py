"""Heed in containers, as Compose and Swarm run it, for the smoke tests: started from nothing, taken down whole.

Names and ports are of the test's own, so a Heed that runs on the same engine is not touched.
"""

import json
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import free_port, need, wait_for

ROOT = Path(__file__).parents[2]
NAME = "heed-smoke"
VERSION = "smoke"
IMAGES = {"api": "api", "worker": "worker", "ticketing": "ticketing", "backup": "backup", "standins": "local"}

# The process that runs under the container's init is killed as the kernel would: no warning, no clean end.
_CRASH = "import os; os.kill(int(open('/proc/1/task/1/children').read().split()[0]), 9)"


def docker(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
    codes: Collection[int] = (0,),
) -> str:
    """What `docker …` prints; a failure, another exit code than `codes`, shows all that it said."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode in codes, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def need_engine() -> None:
    found = shutil.which("docker") is not None
    answers = found and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    need(answers, "a Docker engine (on Debian: .ci/engine installs and starts one)")


def build_images() -> None:
    for name, folder in IMAGES.items():
        image = f"heed-{name}:{VERSION}"
        docker("build", "-q", "-f", f"{folder}/Dockerfile", "--build-arg", f"VERSION={VERSION}", "-t", image, ".")


class Containers(ABC):
    """What Compose and Swarm have in common."""

    def __init__(self) -> None:
        self.ports = {name: free_port() for name in ("FEEDBACK", "RESULTS", "SANDBOX")}
        self.feedback, self.results, self.sandbox = (f"http://localhost:{port}" for port in self.ports.values())
        self.environment = {"HEED_VERSION": VERSION, "COMPOSE_PROGRESS": "plain"}
        self.environment |= {f"HEED_{name}_PORT": str(port) for name, port in self.ports.items()}

    @abstractmethod
    def container(self, service: str) -> str:
        """The id of one running container of the service."""

    def run(self, service: str, *command: str, seconds: float = 120) -> str:
        """What a command prints inside a running container of the service."""
        return docker("exec", self.container(service), *command, seconds=seconds)

    def crash(self, service: str) -> None:
        """Kill the service's process in one of its containers; the engine has to bring it back."""
        before = self.container(service)
        started = docker("inspect", "-f", "{{.State.StartedAt}}", before)
        # The container ends with its process, and may take this command with it (137) before that has ended.
        docker("exec", before, "python", "-c", _CRASH, codes=(0, 137))

        def back() -> bool:
            try:
                now = self.container(service)
                return now != before or docker("inspect", "-f", "{{.State.StartedAt}}", now) != started
            except AssertionError:  # between two containers
                return False

        wait_for(back, 60, f"{service} to be started again")

    def secret(self, service: str, name: str) -> str:
        return self.run(service, "cat", f"/run/secrets/{name}")

    def ready(self) -> None:
        """Until every site answers that it has what it needs."""
        for site in (self.feedback, self.results, self.sandbox):
            wait_for(lambda site=site: _answers(f"{site}/readyz"), 120, f"{site} to be ready")
        self.key = self.secret("feedback", "HEED_API_KEY")

    def answer(self, **body: Any) -> httpx.Response:
        """One submission by the API, as a server sends it."""
        return httpx.post(
            f"{self.feedback}/api/v1/surveys/default/feedback",
            json=body,
            headers={"Authorization": f"Bearer {self.key}"},
            trust_env=False,
        )

    def books(self) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(f"{self.results}/api/v1/books", headers=headers, trust_env=False).json()

    def settled(self, seconds: float = 90, **expected: int) -> Any:
        """The books once nothing is on its way any more, and their lines are as expected."""

        def at_rest() -> Any:
            try:
                taken = self.books()
            except (httpx.HTTPError, ValueError):
                return None
            wanted = {"queued": 0, "in_flight": 0, "balanced": True, **expected}
            self.last = taken
            return taken if all(taken.get(name) == value for name, value in wanted.items()) else None

        try:
            return wait_for(at_rest, seconds, "the books")
        except AssertionError:
            pytest.fail(f"expected {expected} at rest, the books are {self.last}")

    def desk(self) -> Any:
        return httpx.get(f"{self.sandbox}/sandbox/stats", trust_env=False).json()


class Compose(Containers):
    """`docker compose up` with the project's own files."""

    def __init__(self) -> None:
        super().__init__()
        port = free_port()
        self.prometheus = f"http://localhost:{port}"
        self.environment["HEED_PROMETHEUS_PORT"] = str(port)

    def compose(self, *arguments: str, seconds: float = 240) -> str:
        return docker("compose", "-p", NAME, *arguments, environment=self.environment, seconds=seconds)

    def container(self, service: str) -> str:
        found = self.compose("ps", "-q", "--status", "running", service).split()
        assert found, f"no container of {service} runs"
        return found[0]

    def state(self, service: str) -> list[dict[str, Any]]:
        lines = self.compose("ps", "-a", "--format", "json", service).splitlines()
        return [json.loads(line) for line in lines]


class Swarm(Containers):
    """`docker stack deploy` with the project's own files.

    Published in host mode, because the kernels of small machines often lack what the routing mesh needs (IPVS).
    """

    def __init__(self) -> None:
        super().__init__()
        self.environment |= {"HEED_FEEDBACK_URL": self.feedback, "HEED_RESULTS_URL": self.results}
        self.environment |= {"HEED_PUBLISH_MODE": "host", "HEED_SITE_REPLICAS": "1"}

    def deploy(self) -> None:
        files = ("-c", "docker-stack.yml", "-c", "docker-stack.standins.yml")
        docker("stack", "deploy", "--resolve-image", "never", *files, NAME, environment=self.environment)

    def container(self, service: str) -> str:
        label = f"label=com.docker.swarm.service.name={NAME}_{service}"
        found = docker("ps", "-q", "--filter", label, "--filter", "status=running").split()
        assert found, f"no container of {service} runs"
        return found[0]

    def service(self, name: str, *arguments: str, seconds: float = 240) -> None:
        docker("service", "update", "-q", *arguments, f"{NAME}_{name}", seconds=seconds)

    def scale(self, **replicas: int) -> None:
        docker("service", "scale", "-d", *(f"{NAME}_{name}={count}" for name, count in replicas.items()))
        for name, count in replicas.items():
            label = f"label=com.docker.swarm.service.name={NAME}_{name}"
            wait_for(
                lambda label=label, count=count: len(docker("ps", "-q", "--filter", label).split()) == count,
                60,
                f"{count} of {name}",
            )


@contextmanager
def compose() -> Iterator[Compose]:
    """A system under Compose, its stand-ins beside it; afterwards nothing of it is left."""
    need_engine()
    build_images()
    system = Compose()
    try:
        system.compose("up", "-d", "--no-build", seconds=180)
        system.ready()
        yield system
    except BaseException:
        _show(lambda: system.compose("ps", "-a"), lambda: system.compose("logs", "--tail", "25"))
        raise
    finally:
        system.compose("--profile", "*", "down", "-v", "--remove-orphans", "-t", "5")


@contextmanager
def swarm() -> Iterator[Swarm]:
    """A system on a Swarm of this machine alone; afterwards the machine is in no Swarm again."""
    need_engine()
    if docker("info", "-f", "{{.Swarm.LocalNodeState}}").strip() != "inactive":
        pytest.fail("This engine is in a Swarm already; the smoke test makes one of its own and ends it.")
    build_images()
    docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        node = docker("info", "-f", "{{.Swarm.NodeID}}").strip()
        docker("node", "update", "--label-add", "heed.data=true", node)
        subprocess.run([ROOT / "deploy" / "swarm-secrets"], check=True, capture_output=True, timeout=60)
        system = Swarm()
        system.deploy()
        system.ready()
        yield system
    except BaseException:
        _show(lambda: docker("stack", "ps", "--no-trunc", NAME))
        raise
    finally:
        subprocess.run(["docker", "stack", "rm", NAME], check=False, capture_output=True, timeout=60)
        label = f"label=com.docker.stack.namespace={NAME}"
        deadline = time.monotonic() + 90
        while docker("ps", "-aq", "--filter", label).strip() and time.monotonic() < deadline:
            time.sleep(0.5)
        docker("swarm", "leave", "--force")
        volumes = docker("volume", "ls", "-q", "--filter", label).split()
        if volumes:
            docker("volume", "rm", *volumes)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _show(*parts: Callable[[], str]) -> None:
    """What may explain a failure, with the test's output."""
    for part in parts:
        try:
            print(part())
        except (AssertionError, subprocess.SubprocessError) as error:
            print(error)
