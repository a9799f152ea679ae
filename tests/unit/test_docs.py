"""What the documentation says is what the code does."""

import re
from pathlib import Path

import pytest

from heed.settings import Settings, table

ROOT = Path(__file__).parents[2]


def test_readme_tells_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [written] = re.findall(r"<!-- settings:.*?-->\n(.*?)<!-- /settings -->", readme, re.DOTALL)
    assert written.strip() == table(), "run: python -m heed.settings, and put its table into the README"


def test_every_setting_is_used() -> None:
    folders = ("heed", "api", "worker", "ticketing", "backup", "local")
    code = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    unused = [
        name
        for name in Settings.model_fields
        if not re.search(rf"(?:settings|_settings)\.{name}\b|need\(\"{name}\"\)", code)
    ]
    assert unused == []


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")) + sorted(ROOT.glob("[!.]*/README.md")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", text):
        link = target[0] or target[1]
        if not link.startswith(("http:", "https:")):
            assert (path.parent / link).exists(), f"{path.name} links to {link}, which is not there"


def test_every_make_target_has_its_word_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert {name for name in phony.split() if not re.search(rf"^{name}:.*## \w", makefile, re.MULTILINE)} == set()
