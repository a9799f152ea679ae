"""docs/api.md is true: every JSON route of both sites has its curl line and its Python, and all work as written."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, Served, need
from results_data import answer

from api.feedback.app import create_app as create_feedback
from api.feedback.openapi import document as feedback_document
from api.results.app import create_app as create_results
from heed.contracts import DEFAULT_SURVEY, Label
from heed.settings import Settings
from heed.stream.surveys import publish

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_ROUTE = re.compile(r"^### `([A-Z]+) (\S+)`$", re.MULTILINE)
_SNIPPET = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = {"Authorization": f"Bearer {API_KEY}"}


@dataclass(frozen=True)
class Section:
    """What the page says of one route: `language, text` of each snippet."""

    method: str
    path: str
    snippets: list[tuple[str, str]]


def sections(page: str) -> tuple[str, list[Section]]:
    """What is before the first route, and each route's section."""
    begin, *rest = _ROUTE.split(page)
    found = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    return begin, [Section(method, path, _SNIPPET.findall(text)) for method, path, text in found]


def documented(settings: Settings) -> set[tuple[str, str]]:
    both = (feedback_document(), create_results(settings).openapi())
    return {(method.upper(), path) for each in both for path, methods in each["paths"].items() for method in methods}


def test_every_route_has_its_snippets_and_no_other_is_there(settings: Settings) -> None:
    _, found = sections(PAGE.read_text(encoding="utf-8"))
    told = [(each.method, each.path) for each in found]
    assert len(told) == len(set(told))
    assert documented(settings) - set(told) == set(), "routes that docs/api.md does not tell of"
    assert set(told) - documented(settings) == set(), "routes that there are not"
    for each in found:
        assert sorted(language for language, _ in each.snippets) == ["python", "sh"], f"{each.method} {each.path}"
        path = re.sub(r"{\w+}", "", each.path).split("//")[0]
        assert all(path.rstrip("/") in text for _, text in each.snippets), f"{each.method} {each.path}"


@pytest.fixture
def sites(settings: Settings, serve: Callable[[Any], Served], engine: sa.Engine) -> dict[str, str]:
    """What the page's addresses stand for."""
    import redis

    client = redis.Redis.from_url(settings.need("redis_url"))
    publish(client, [DEFAULT_SURVEY])
    client.close()
    for text in ("It arrived broken.", "Nobody answers."):
        answer(engine, text, vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    return {
        "http://127.0.0.1:5000": serve(create_feedback(settings)).url,
        "http://127.0.0.1:5001": serve(create_results(settings)).url,
    }


def test_every_snippet_works_as_written(sites: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(shutil.which("curl") is not None, "curl")
    monkeypatch.setenv("KEY", API_KEY)
    page = PAGE.read_text(encoding="utf-8")
    for address, served in sites.items():
        page = page.replace(address, served)
    begin, found = sections(page)
    space: dict[str, Any] = {}
    passwords: list[str] = []
    for language, text in _SNIPPET.findall(begin):
        assert language == "python"
        exec(compile(text, "docs/api.md", "exec"), space)
    for section in found:
        for language, text in section.snippets:
            where = f"{section.method} {section.path} ({language})"
            if language == "python":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(text, f"docs/api.md, {where}", "exec"), space)
                if "password" in space:
                    passwords.append(space["password"])
                continue
            said = shell(text, sites["http://127.0.0.1:5001"], passwords, tmp_path, where)
            if isinstance(said, dict) and "password" in said:
                passwords.append(said["password"])
    for each in ("feedback", "results", "ann"):
        space[each].close()


def shell(text: str, results: str, passwords: list[str], folder: Path, where: str) -> Any:
    """What a line answers, as JSON where it is."""
    assert text.count("\n") == text.count("curl "), f"{where}: each line is one curl"
    known = {"PASSWORD": passwords[-1] if passwords else ""}
    with httpx.Client(base_url=results, headers=KEY) as http:
        known["ID"] = http.get("/api/v1/feedback").json()["items"][0]["id"]
        if "$NUMBER" in text:
            known["NUMBER"] = str(http.get("/api/v1/keys").json()[0]["id"])
        if "$SESSION" in text:
            known["SESSION"] = http.get("/api/v1/people/ann/sessions").json()[0]["id"]
    done = subprocess.run(
        ["bash", "-euc", text], env={**os.environ, **known}, cwd=folder, capture_output=True, text=True, timeout=30
    )
    ended = 28 if "--max-time" in text else 0  # a stream ends when its reader has had enough
    assert done.returncode == ended, f"{where}: {done.stdout} {done.stderr}"
    if ended:
        assert "event: results" in done.stdout, where
        return None
    return json.loads(done.stdout) if done.stdout else None
