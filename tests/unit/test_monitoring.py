"""The alerts are what they are said to be: each fires on what it is for and on nothing else, and says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import need

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"


def rules() -> dict[str, dict[str, object]]:
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    need(shutil.which("promtool") is not None, "promtool (Debian's package prometheus)")
    ran = subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_is_seen_silent_and_firing() -> None:
    silent, firing = set(), set()
    for test in yaml.safe_load((MONITORING / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]:
        for case in test["alert_rule_test"]:
            (firing if case["exp_alerts"] else silent).add(case["alertname"])
    assert silent == firing == set(rules())


def test_each_alert_has_its_page() -> None:
    document = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(rules())
    for name, text in sections.items():
        parts = [text.find(word) for word in ("**Means.**", "**Customers.**", "**Do.**")]
        assert parts == sorted(parts), name
        assert parts[0] >= 0, name
    for name, rule in rules().items():
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"  # type: ignore[index]
        assert rule["labels"]["severity"] in ("page", "ticket")  # type: ignore[index]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}  # type: ignore[call-overload]


def test_the_dashboard_can_be_provisioned() -> None:
    dashboard = json.loads((MONITORING / "grafana/dashboards/heed.json").read_text(encoding="utf-8"))
    folder = MONITORING / "grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert dashboard["uid"] == "heed"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["datasource"]["uid"] == source["uid"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    corners = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(corners)) == len(corners)
