"""`terraform output -json | python3 k8s/settings.py` writes what Terraform built into overlays/eks/settings.env and
installation.env: each variable that is in the file and that Terraform knows; the rest and the comments stay.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

OVERLAY = Path(__file__).parent / "overlays/eks"


def named(outputs: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Terraform's outputs (terraform-eks/outputs.tf) by the names that the files give them."""
    settings = outputs["settings"]["value"]
    assert isinstance(settings, dict)
    [environment] = {str(name).split("/")[1] for name in outputs["secrets"]["value"]}  # type: ignore[attr-defined]
    return {
        **{str(name): str(value) for name, value in settings.items()},
        "ENVIRONMENT": environment,
        "QUEUE_URL": str(outputs["queue_url"]["value"]),
        "REGISTRY": str(outputs["registry"]["value"]),
        "CLUSTER": str(outputs["kubeconfig"]["value"]).split()[-1],
        "DEPLOYER_ROLE": str(outputs["deployer_role"]["value"] or ""),
    }


def filled(text: str, values: Mapping[str, str]) -> str:
    """A file of `NAME=value` with the values that are known."""

    def known(line: re.Match[str]) -> str:
        return f"{line[1]}={values[line[1]]}" if line[1] in values else line[0]

    return re.sub(r"^(\w+)=.*$", known, text, flags=re.MULTILINE)


if __name__ == "__main__":
    try:
        values = named(json.load(sys.stdin))
    except (KeyError, ValueError) as error:
        sys.exit(f"Terraform says nothing of {error}: has terraform-eks been applied?")
    for name in ("settings.env", "installation.env"):
        file = OVERLAY / name
        file.write_text(filled(file.read_text(encoding="utf-8"), values), encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(Path.cwd())} says what was built; look at it and commit it.\n")
