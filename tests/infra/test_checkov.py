"""Checkov finds nothing in Terraform, Dockerfiles and rendered manifests that is not explained where it is skipped.

It runs from an environment of its own (`make build/checkov/.ready`): it pins older versions of what Heed uses.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from conftest import need

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / "build/checkov/bin/checkov"
OVERLAYS = sorted(path.parent for path in (ROOT / "k8s/overlays").glob("*/kustomization.yaml"))


# What has to be looked at, and at least how much of it: a kind that is not found would be a kind without faults.
KINDS = {"terraform": 80, "dockerfile": 300, "kubernetes": 500}


def reports(folder: Path) -> dict[str, dict[str, Any]]:
    """What checkov says of everything, by kind: one start of it, which takes longer than its work."""
    need(CHECKOV.exists(), "checkov (make build/checkov/.ready)")
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


def test_nothing_is_found(tmp_path: Path) -> None:
    found = reports(tmp_path)
    assert found.keys() == KINDS.keys()
    for kind, report in found.items():
        failed = [(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]]
        assert failed == [], kind
        assert report["summary"]["parsing_errors"] == 0, kind
        assert report["summary"]["passed"] >= KINDS[kind], kind
        for each in report["results"]["skipped_checks"]:
            assert len(each["check_result"]["suppress_comment"]) > 30, (each["check_id"], each["resource"])


def test_what_is_skipped_everywhere_has_its_reason() -> None:
    text = (ROOT / ".checkov.yml").read_text(encoding="utf-8").partition("skip-check:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert len(line.partition("#")[2]) > 30, line
