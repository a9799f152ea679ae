"""`heed survey` as a person runs it; and how soon the form knows of what was saved."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from conftest import free_port, wait_for
from in_process import working
from results_data import answer

from heed.contracts import DEFAULT_SURVEY, Survey
from heed.db import surveys
from heed.db import tables as t
from heed.settings import Settings
from heed.stream import keys
from local import valkey

Heed = Callable[..., subprocess.CompletedProcess[str]]
SECOND = {
    "slug": "delivery",
    "question": "How was [bold]our\tdelivery[/bold]? 🙂",
    "options": [{"key": "fine", "label": "Fine"}, {"key": "late", "label": "Late", "unhappy": True}],
    "texts": {"de": {"question": "Wie war die Lieferung?", "options": {"late": "Zu spät"}}},
    "closes_at": "2020-01-01T00:00:00Z",
}


@pytest.fixture
def heed(settings: Settings, tmp_path: Path) -> Heed:
    """Run `heed` beside the test's own Postgres."""

    def run(*arguments: object, given: str | bytes = "", **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"HEED_HOME": str(tmp_path), "HEED_DATABASE_URL": settings.need("database_url"), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-m", "heed", *map(str, arguments)],
            env={**os.environ, **known, **environment},
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        )

    return run


def definitions(engine: sa.Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return {row.slug: row.definition for row in connection.execute(sa.select(t.surveys))}


def test_made_shown_changed_listed(heed: Heed, engine: sa.Engine, tmp_path: Path) -> None:
    file = tmp_path / "delivery.json"
    file.write_text(json.dumps(SECOND), encoding="utf-8")
    made = heed("survey", "save", file)
    assert made.stdout == "The survey delivery is made. The form shows it within seconds.\n", made.stderr
    assert Survey.model_validate(definitions(engine)["delivery"]) == Survey.model_validate(SECOND)

    shown = heed("survey", "show", "delivery")
    assert "Zu spät" in shown.stdout, "for people to read"
    changed = heed("survey", "save", "-", given=shown.stdout.replace("Fine", "Just fine"))
    said = "The survey delivery is changed: version 2. The form shows it within seconds.\n"
    assert changed.stdout == said, changed.stderr
    again = heed("survey", "save", "-", given=shown.stdout)
    assert (again.returncode, "saved meanwhile and is now version 2" in again.stderr) == (1, True)
    same = heed("survey", "save", "-", given=heed("survey", "show", "delivery").stdout)
    assert same.stdout == "The survey delivery is what it was: version 2.\n", same.stderr
    assert definitions(engine)["delivery"]["options"][0]["label"] == "Just fine"
    assert Survey.model_validate(definitions(engine)["default"]) == DEFAULT_SURVEY.model_copy(
        update={"threshold": None, "review_threshold": None}
    )

    listed = heed("survey", "list")
    assert listed.returncode == 0
    [_, default, delivery] = listed.stdout.splitlines()
    assert " ".join(default.split()) == "default How was your experience with us? good, bad en open"
    assert "How was [bold]our delivery[/bold]? 🙂" in delivery
    assert delivery.split()[-4:] == ["late", "en,", "de", "closed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slug": "Not a slug"}, "slug: String should match pattern"),
        ({"options": SECOND["options"][:1]}, "options: Tuple should have at least 2 items"),  # type: ignore[index]
        ({"options": [{"key": "a b", "label": "A"}, {"key": "b", "label": "B"}]}, "options.0.key: String should match"),
        (
            {"options": [{"key": "a", "label": "A"}, {"key": "a", "label": "B"}]},
            "options.1.key: two options have the key 'a'",
        ),
        (
            {"options": [{"key": "a", "label": "A", "happy": 1}, {"key": "b", "label": "B"}], "texts": {}},
            "options.0.happy",
        ),
        ({"treshold": 0.5}, "treshold: there is no such field; there are: slug, question"),
        ({"threshold": 1.5}, "threshold: Input should be less than or equal to 1"),
        ({"origins": ["shop.example"]}, "origins.0: Value error, an origin is a scheme and a host"),
        ({"texts": {"de": {"question": "Wie?", "options": {"spät": "x"}}}}, "texts.de.options.spät"),
        (
            {"texts": {"de": {"question": "Wie?", "options": {"late-": "x"}}}},
            "texts.de.options.late-: the survey has no",
        ),
        ({"texts": {"de": {"question": "Wie?", "choices": {}}}}, "texts.de.choices: there is no such field"),
        ({"opens_at": "2021-01-01T00:00:00Z"}, "closes_at: it is not after opens_at"),
        ({"closes_at": "2021-01-01T00:00:00"}, "closes_at: Input should have timezone info"),
        ({"question": " "}, "question: it is empty"),
        ({"burst": 10**7}, "burst: it is more than 1000000"),
        ({"question": "a\x00b"}, "question: it contains a NUL character"),
        ({"question": "a\ud800b"}, "question: "),
        ({"a\ud800\x1b[0m": 1}, "a  [0m: there is no such field"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(heed: Heed, engine: sa.Engine, change: dict[str, Any], said: str) -> None:
    done = heed("survey", "save", "-", given=json.dumps(SECOND | change))
    assert done.returncode == 1
    assert done.stderr.startswith("heed: The survey is not saved.\n"), done.stderr
    assert said in done.stderr
    assert definitions(engine).keys() == {"default"}


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "This is not JSON"), ("[" * 100_000, "This is not JSON"), ("[]", "survey: "), (b"\xff\xfe", "UTF-8")],
)
def test_what_is_no_definition(heed: Heed, given: str | bytes, said: str) -> None:
    done = heed("survey", "save", "-", given=given)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


def test_other_mistakes(heed: Heed, tmp_path: Path) -> None:
    for arguments, said in (
        (("save", tmp_path / "none.json"), "cannot be read: No such file"),
        (("save", tmp_path), "cannot be read: Is a directory"),
        (("show", "nowhere"), "There is no survey nowhere"),
    ):
        done = heed("survey", *arguments)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    away = heed("survey", "list", HEED_DATABASE_URL="postgresql://127.0.0.1:1/heed")
    assert away.stderr.startswith("heed: Postgres: ")


def test_an_option_that_was_chosen_stays(heed: Heed, engine: sa.Engine) -> None:
    other = DEFAULT_SURVEY.written()
    other["options"][1] = {"key": "poor", "label": "Poor", "unhappy": True}
    for _ in range(2):
        answer(engine, vote="bad")
    refused = heed("survey", "save", "-", given=json.dumps(other))
    assert refused.returncode == 1
    assert refused.stderr == "heed: options: 'bad' has to stay, since 2 answers chose it.\n"
    assert definitions(engine)["default"]["options"][1]["key"] == "bad"
    # What nobody chose may go, and labels may change.
    kept = DEFAULT_SURVEY.written()
    kept["options"] = [{"key": "great", "label": "Great"}, {"key": "bad", "label": "Not so good", "unhappy": True}]
    done = heed("survey", "save", "-", given=json.dumps(kept))
    assert done.returncode == 0, done.stderr


def test_two_at_once_are_one_after_the_other(engine: sa.Engine) -> None:
    survey = Survey.model_validate(SECOND)
    with engine.begin() as first:
        assert surveys.save(first, "tests", survey).new
        second = threading.Thread(target=lambda: saved.append(_save(engine, survey)))
        saved: list[surveys.Saved] = []
        second.start()
        second.join(0.3)
        assert saved == []
    second.join(10)
    assert saved == [surveys.Saved(survey)]


def _save(engine: sa.Engine, survey: Survey) -> surveys.Saved:
    with engine.begin() as connection:
        return surveys.save(connection, "tests", survey)


def published(client: redis.Redis, slug: str) -> dict[str, Any]:
    try:
        found = client.hget(keys.SURVEYS, slug)
    except redis.ConnectionError:
        return {}
    return json.loads(found) if found else {}  # type: ignore[arg-type]


def test_the_form_is_told_within_seconds(settings: Settings, engine: sa.Engine, folder: Path) -> None:
    """Also by a Redis that was emptied, and by one that was away."""
    port = free_port()
    command = valkey.command(folder / "own-valkey", port)
    url = f"redis://127.0.0.1:{port}/0"
    settings = settings.model_copy(update={"redis_url": type(settings.redis_url)(url)})
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis.from_url(url)
    survey = Survey.model_validate(SECOND)
    try:
        with working(settings, engine):
            wait_for(lambda: published(client, "default"), what="the first surveys")
            _save(engine, survey)
            wait_for(lambda: published(client, "delivery"), what="the new survey")
            client.flushall()
            wait_for(lambda: published(client, "delivery"), what="the surveys to come back")
            server.terminate()
            server.wait(10)
            _save(engine, survey.model_copy(update={"question": "And now?"}))
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            wait_for(lambda: published(client, "delivery").get("question") == "And now?", 20, "the change")
    finally:
        client.close()
        server.kill()
        server.wait(10)
