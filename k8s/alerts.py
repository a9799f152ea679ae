"""`python k8s/alerts.py` writes monitoring/alerts.yml as the PrometheusRule that Kubernetes wants, word for word."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "k8s/overlays/eks/alerts.yaml"
HEAD = """# Written by `make alerts` from monitoring/alerts.yml, which has the rules, their reasons and their tests.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: heed}
spec:
"""


def written() -> str:
    """What has to stand in TARGET."""
    rules = (ROOT / "monitoring/alerts.yml").read_text(encoding="utf-8")
    body = rules[rules.index("groups:") :]
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in body.splitlines(keepends=True))


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
