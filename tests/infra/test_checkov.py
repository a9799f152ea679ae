"""Checkov finds nothing in Terraform, Dockerfiles and rendered manifests that is not explained where it is skipped.

It runs from an environment of its own (`make build/checkov/.ready`): it pins older versions of what Heed uses.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import need

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / "build/checkov/bin/checkov"
OVERLAYS = sorted(path.parent for path in (ROOT / "k8s/overlays").glob("*/kustomization.yaml"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What checkov says of everything, by kind: one start of it, which takes longer than its work."""
    need(CHECKOV.exists(), "checkov (make build/checkov/.ready)")
    folder = tmp_path_factory.mktemp("checkov")
    shutil.copytree(ROOT / "terraform-eks", folder / "terraform-eks", ignore=shutil.ignore_patterns(".terraform*"))
    for path in ROOT.glob("*/Dockerfile"):
        (folder / path.parent.name).mkdir()
        shutil.copy(path, folder / path.parent.name)
    for overlay in OVERLAYS:
        need(shutil.which("kubectl") is not None, "kubectl")
        ran = subprocess.run(
            ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
        (folder / f"{overlay.name}.yaml").write_text(ran.stdout, encoding="utf-8")
    ran = subprocess.run(
        [str(CHECKOV), "--directory", str(folder), "--config-file", str(ROOT / ".checkov.yml"), "--output", "json"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return {each["check_type"]: each for each in json.loads(ran.stdout)}


@pytest.mark.parametrize(
    ("kind", "at_least"),
    [
        ("terraform", 80),
        ("dockerfile", 300),
        pytest.param("kubernetes", 500, marks=pytest.mark.skipif(not OVERLAYS, reason="there are no manifests")),
    ],
)
def test_nothing_is_found(reports: dict[str, dict[str, Any]], kind: str, at_least: int) -> None:
    found = reports[kind]
    assert [(each["check_id"], each["resource"]) for each in found["results"]["failed_checks"]] == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] >= at_least
    for each in found["results"]["skipped_checks"]:
        assert len(each["check_result"]["suppress_comment"]) > 30, (each["check_id"], each["resource"])


def test_what_is_skipped_everywhere_has_its_reason() -> None:
    text = (ROOT / ".checkov.yml").read_text(encoding="utf-8").partition("skip-check:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert len(line.partition("#")[2]) > 30, line
