"""The manifests of k8s/ as a cluster would get them, and what the code needs, read from the code itself."""

import json
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = ("local", "eks", "eks-managed", "eks with login-provider")
PACKAGES = ("heed", "api", "worker", "ticketing", "backup", "local")
# Where each workload's code begins. A test holds these to the manifests' commands.
ENTRIES: dict[str, tuple[str, ...]] = {
    "feedback": ("api.feedback.__main__",),
    "results": ("api.results.__main__",),
    "worker": ("worker.__main__",),
    "relay": ("worker.relay",),
    "ticketing": ("ticketing.__main__",),
    "backup": ("backup.__main__",),
    "backup-check": ("backup.check", "backup.place", "backup.display"),  # as backup/cli.py calls them for --check
    "migrate": ("heed.db.migrate",),
    "aws": ("local.aws",),
    "sandbox": ("local.sandbox.__main__",),
}

Object = dict[str, Any]


@cache
def rendered(overlay: str) -> str:
    name, _, component = overlay.partition(" with ")
    folder = ROOT / "k8s/overlays" / name
    if component:
        (ROOT / "build").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as own:
            text = f"resources: [../../k8s/overlays/{name}]\ncomponents: [../../k8s/components/{component}]\n"
            (Path(own) / "kustomization.yaml").write_text(text, encoding="utf-8")
            return _kustomized(Path(own))
    return _kustomized(folder)


def _kustomized(folder: Path) -> str:
    ran = subprocess.run(
        ["kubectl", "kustomize", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@cache
def objects(overlay: str) -> tuple[Object, ...]:
    return tuple(yaml.safe_load_all(rendered(overlay)))


def named(overlay: str, kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects(overlay) if each["kind"] == kind}


def one(overlay: str, kind: str, name: str) -> Object:
    """By its name, with or without the hash that kustomize ends it with."""
    [found] = [each for full, each in named(overlay, kind).items() if re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", full)]
    return found


@cache
def pods(overlay: str) -> dict[str, Object]:
    """The pod template of each workload."""
    found = {}
    for kind in ("Deployment", "StatefulSet", "Job", "CronJob"):
        for name, each in named(overlay, kind).items():
            spec = each["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else each["spec"]
            found[name] = spec["template"]
    return found


def container(pod: Object) -> Object:
    [only] = pod["spec"]["containers"]
    assert "initContainers" not in pod["spec"]
    return only


def ours(overlay: str) -> dict[str, Object]:
    """The workloads that run this repository's code."""
    return {name: pod for name, pod in pods(overlay).items() if "/heed-" in f"/{container(pod)['image']}"}


def environment(overlay: str, pod: Object) -> dict[str, str]:
    """The variables as the container sees them."""
    seen = {}
    for variable in container(pod).get("env", []):
        reference = variable.get("valueFrom", {}).get("configMapKeyRef")
        if reference:
            seen[variable["name"]] = named(overlay, "ConfigMap")[reference["name"]]["data"][reference["key"]]
        else:
            seen[variable["name"]] = variable["value"]
    return seen


def secret_files(pod: Object) -> dict[str, str]:
    """Which file holds which Secret's key: name of the file -> name of the Secret."""
    files = {}
    for volume in pod["spec"].get("volumes", []):
        sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
        if "secret" in volume:
            sources.append({"name": volume["secret"]["secretName"], "items": volume["secret"]["items"]})
        for source in sources:
            files |= {item["path"]: source["name"] for item in source["items"]}
    return files


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True)


@cache
def modules(workload: str) -> frozenset[str]:
    """Every module, ours and others', that the workload's code may import."""
    graph = _graph()
    found = set(ENTRIES[workload])
    for entry in ENTRIES[workload]:
        found |= graph.find_upstream_modules(entry)
    return frozenset(found)


@cache
def _source(module: str) -> str:
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8") if file.exists() else ""


_READ = re.compile(r"settings\.(\w+)\b")
_NEED = re.compile(r"\bneed\(['\"](\w+)['\"]\)")


@cache
def settings_read(workload: str) -> frozenset[str]:
    """The settings that the workload's code reads."""
    code = "\n".join(_source(module) for module in modules(workload) if module.split(".")[0] in PACKAGES)
    return frozenset(_READ.findall(code)) | settings_needed(workload)


@cache
def settings_needed(workload: str) -> frozenset[str]:
    """Those without which it stops."""
    code = "\n".join(_source(module) for module in modules(workload) if module.split(".")[0] in PACKAGES)
    return frozenset(_NEED.findall(code))


@cache
def schema(group: str, version: str, kind: str) -> Object:
    file = ROOT / "tests/infra/schemas" / f"{group}_{version}_{kind}.json"
    assert file.exists(), f"no schema of {group}/{version} {kind}: see tests/infra/schemas/README.md"
    loaded: Object = json.loads(file.read_text(encoding="utf-8"))
    return loaded
