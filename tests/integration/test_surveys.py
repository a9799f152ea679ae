"""Surveys and their versions: made and changed on the results site, shown by the form, kept with the answers."""

import html
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served, wait_for
from in_process import working
from results_data import answer

from api.feedback.app import create_app as create_form
from api.results.app import create_app
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, Role, Survey
from heed.db import people
from heed.db import tables as t
from heed.settings import Settings

DELIVERY: dict[str, Any] = {
    "slug": "delivery",
    "question": "How was our delivery?",
    "options": [{"key": "fine", "label": "Fine"}, {"key": "late", "label": "Late", "unhappy": True}],
}


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def api(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{site}/api/v1", headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        yield client


@contextmanager
def person(
    site: str, engine: sa.Engine, name: str, role: Role, only: list[str] | None = None
) -> Iterator[httpx.Client]:
    with engine.begin() as connection:
        people.add(connection, "tests", name, role, only, passwords.hash_of("their-password"))
    with logged_in(site, name, "their-password") as client:
        yield client


@contextmanager
def logged_in(site: str, name: str = "", password: str = ADMIN_PASSWORD) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site) as client:
        assert client.post("/login", data={"name": name, "password": password}).status_code == 303
        yield client


def fields_of(page: httpx.Response) -> dict[str, str]:
    """What a browser would send of the editor as it stands."""
    form = page.text[page.text.index('id="editor"') : page.text.index("</form>", page.text.index('id="editor"'))]
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name, tag
        if "checkbox" not in tag or " checked" in tag:
            fields[name[1]] = html.unescape(value[1]) if value else ""
    fields["origins"] = re.search(r'name="origins"[^>]*>\n([^<]*)</textarea>', form)[1]  # type: ignore[index]
    fields["language"] = re.search(r'<option value="([^"]*)" selected', form)[1]  # type: ignore[index]
    return fields


def test_made_changed_and_every_version_kept(api: httpx.Client, engine: sa.Engine) -> None:
    [default] = api.get("/surveys").json()
    assert (default["slug"], default["state"], default["version"], default["answers"]) == ("default", "open", 1, 0)
    made = api.put("/surveys/delivery", json=DELIVERY)
    assert (made.status_code, made.json()["version"], made.json()["saved_by"]) == (201, 1, "HEED_API_KEY")
    again = api.put("/surveys/delivery", json=DELIVERY)
    assert (again.status_code, again.json()["type"]) == (409, "urn:heed:problem:conflict"), "it is not to be new"

    first = made.json()["survey"]
    assert first["version"] == 1
    changed = api.put("/surveys/delivery", json=first | {"question": "And the delivery?", "color": "#FFCC00"})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert changed.json()["theme"]["light"]["moved"] is True
    stale = api.put("/surveys/delivery", json=first | {"question": "Mine?"})
    assert stale.status_code == 409
    assert "is now version 2; this was made from version 1" in stale.json()["detail"]
    same = api.put("/surveys/delivery", json=changed.json()["survey"])
    assert (same.status_code, same.json()["version"]) == (200, 2)

    newest, oldest = api.get("/surveys/delivery/versions").json()["items"]
    assert [each["field"] for each in newest["changes"]] == ["question", "color"]
    assert newest["changes"][0] == {
        "field": "question",
        "before": "How was our delivery?",
        "after": "And the delivery?",
    }
    assert (oldest["version"], oldest["changes"], oldest["survey"]["question"]) == (1, [], "How was our delivery?")
    assert api.get("/surveys/delivery/versions/1").json() == oldest
    assert api.get("/surveys/delivery/versions/3").status_code == 404
    assert [each["version"] for each in api.get("/surveys/delivery/versions?before=2").json()["items"]] == [1]
    lines = api.get("/audit?action=survey-saved").json()["items"]
    assert [(each["object"], each["detail"]) for each in lines] == [
        ("delivery", {"version": 2, "changed": ["question", "color"]}),
        ("delivery", {"version": 1, "changed": []}),
    ]
    with engine.begin() as connection:  # the survey that is there from the beginning has its version, too
        kept = connection.execute(sa.select(t.survey_versions).where(t.survey_versions.c.survey == "default")).one()
    assert (kept.version, kept.saved_by) == (1, None)
    assert Survey.model_validate(kept.definition) == DEFAULT_SURVEY


def test_many_versions_come_in_parts(api: httpx.Client) -> None:
    survey = api.get("/surveys/default").json()["survey"]
    for number in range(24):
        saved = api.put("/surveys/default", json=survey | {"question": f"And {number}?"})
        survey = saved.json()["survey"]
    part = api.get("/surveys/default/versions").json()
    assert ([each["version"] for each in part["items"]], part["next"]) == ([*range(25, 5, -1)], 6)
    rest = api.get("/surveys/default/versions", params={"before": part["next"]}).json()
    assert ([each["version"] for each in rest["items"]], rest["next"]) == ([5, 4, 3, 2, 1], None)
    assert part["items"][-1]["changes"], "what the last of a part changed is told, too"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": " "}, "question"),
        ({"slug": "other"}, "slug"),
        ({"treshold": 0.5}, "treshold"),
        ({"threshold": 2}, "threshold"),
        ({"origins": ["shop.example"]}, "origins.0"),
        ({"color": "red"}, "color"),
        ({"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z"}, "closes_at"),
        ({"burst": 10**400}, "burst"),
        ({"version": 10**40}, None),
    ],
)
def test_what_is_wrong_is_told_by_its_field(api: httpx.Client, change: dict[str, Any], field: str | None) -> None:
    refused = api.put("/surveys/default", json={**DEFAULT_SURVEY.written(), **change})
    assert refused.status_code == (422 if field else 409), refused.text
    if field:
        assert field in [each["field"] for each in refused.json()["errors"]]
    assert api.get("/surveys/default").json()["version"] == 1
    odd = (
        b'{"\\ud800": 1}',
        b'{"texts": {"\\ud800": {}}}',
        b'{"texts": {"de": {"question": "\\ud800"}}}',
        b"[" * 70_000,
    )
    for body in (b"[]", b"nonsense", b'"x"', b'{"slug": NaN}', b"", b"\xff", b"null", *odd):
        wrong = api.put("/surveys/default", content=body, headers={"Content-Type": "application/json"})
        assert wrong.status_code == 422, body
    described = api.get(str(api.base_url.join("/openapi.json"))).json()
    assert described["components"]["schemas"]["Survey"]["required"]
    assert api.put("/surveys/new", json=DELIVERY | {"slug": "new"}).status_code == 422, "a page's address"


def test_closed_and_opened_again(api: httpx.Client) -> None:
    closed = api.post("/surveys/default/close").json()
    assert (closed["state"], closed["version"]) == ("closed", 2)
    assert api.post("/surveys/default/close").json()["version"] == 2, "twice is once"
    opened = api.post("/surveys/default/reopen").json()
    assert (opened["state"], opened["version"], opened["survey"].get("closes_at")) == ("open", 3, None)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    api.put("/surveys/default", json=opened["survey"] | {"opens_at": tomorrow})
    assert api.post("/surveys/default/close").status_code == 409
    assert api.post("/surveys/nowhere/close").status_code == 404


def test_who_may_what(site: str, api: httpx.Client, engine: sa.Engine) -> None:
    api.put("/surveys/delivery", json=DELIVERY)
    survey = api.get("/surveys/delivery").json()["survey"]
    with person(site, engine, "few", Role.MANAGER, ["delivery"]) as few:
        assert [each["slug"] for each in few.get("/api/v1/surveys").json()] == ["delivery"]
        assert few.put("/api/v1/surveys/delivery", json=survey | {"burst": 9}).json()["version"] == 2
        assert few.put("/api/v1/surveys/default", json=DEFAULT_SURVEY.written()).status_code == 404
        fresh = {**DELIVERY, "slug": "third"}
        assert few.put("/api/v1/surveys/third", json=fresh).status_code == 403
        for path in ("/surveys/default", "/surveys/default/versions/1", "/surveys/default/preview"):
            assert few.get(path).status_code == 404, path
        for path in ("", "/preview", "/close", "/reopen", "/rehearsal"):
            assert few.post(f"/surveys/default{path}").status_code == 404, path
        page = few.get("/surveys").text
        assert ("How was our delivery?" in page, "How was your experience" in page) == (True, False)
        assert "/surveys/new" not in page
        assert few.get("/surveys/new").status_code == few.post("/surveys/new", data=DELIVERY).status_code == 403
    with person(site, engine, "looks", Role.VIEWER) as viewer:
        page = viewer.get("/surveys/delivery").text
        assert "version 2" in page
        for offer in ('id="editor"', "/close", "/rehearsal"):
            assert offer not in page, offer
        assert viewer.get("/surveys/delivery/preview").status_code == 200
        assert viewer.get("/surveys/new").status_code == 403
    assert api.get("/surveys/third").status_code == 404


def test_by_forms_alone(site: str, api: httpx.Client) -> None:
    with logged_in(site) as http:
        given = fields_of(http.get("/surveys/new"))
        refused = http.post("/surveys/new", data=given | {"question": "", "slug": "Not a name", "color": "blue"})
        assert refused.status_code == 422
        for field in ("question", "slug", "color"):
            assert f'href="#{field}"' in refused.text
            assert f'id="{field}"' in refused.text
            assert f'id="{field}-error"' in refused.text
        assert 'value="Not a name"' in refused.text, "what was written is kept"
        taken = http.post("/surveys/new", data=given | {"slug": "default"})
        assert (taken.status_code, "There is a survey" in taken.text, 'href="#slug"' in taken.text) == (409, True, True)
        made = http.post("/surveys/new", data=given | {"slug": "shop", "question": "<b>Well</b>?"})
        assert (made.status_code, made.headers["location"]) == (303, "/surveys/shop?said=made")
        page = http.get("/surveys/shop?said=made")
        assert "&lt;b&gt;Well&lt;/b&gt;?" in page.text
        assert "The survey is made." in page.text

        before = api.get("/surveys/shop").json()["survey"]
        same = http.post("/surveys/shop", data=fields_of(page))
        assert same.headers["location"] == "/surveys/shop?said=same"
        assert api.get("/surveys/shop").json()["survey"] == before, "there and back it is the same"
        change = {
            "question": "Well?",
            "threshold": "62,5",
            "review_threshold": "30",
            "texts.de.question": "Nun?",
            "texts.de.options.1": "Schlecht",
            "origins": "https://shop.example\r\nhttps://www.shop.example",
            "opens_at": "2026-01-01T10:00",
            "closes_at": "2099-01-01T10:00:30",
            "burst": "50",
            "color": "#FFCC00",
        }
        saved = http.post("/surveys/shop", data=fields_of(page) | change)
        assert saved.headers["location"] == "/surveys/shop?said=saved", saved.text
        survey = api.get("/surveys/shop").json()["survey"]
        assert {name: survey[name] for name in ("threshold", "review_threshold", "burst", "color", "version")} == {
            "threshold": 0.625,
            "review_threshold": 0.3,
            "burst": 50,
            "color": "#ffcc00",
            "version": 2,
        }
        assert survey["texts"] == {"de": {"question": "Nun?", "options": {"bad": "Schlecht"}}}
        assert survey["origins"] == ["https://shop.example", "https://www.shop.example"]
        assert (survey["opens_at"], survey["closes_at"]) == ("2026-01-01T10:00:00Z", "2099-01-01T10:00:30Z")
        now = http.get("/surveys/shop")
        assert http.post("/surveys/shop", data=fields_of(now)).headers["location"].endswith("said=same")

        stale = http.post("/surveys/shop", data=fields_of(page) | {"question": "Mine?"})
        assert stale.status_code == 409
        assert "is now version 2" in stale.text
        assert 'value="Mine?"' in stale.text, "what was written is kept"
        assert "Ticket line" in stale.text, "and it is told what was changed meanwhile"
        assert api.get("/surveys/shop").json()["version"] == 2

        assert http.post("/surveys/shop/close").headers["location"].endswith("said=closed")
        assert http.post("/surveys/shop/reopen").headers["location"].endswith("said=open")
        listed = http.get("/surveys").text
        assert "version 4" in listed
        version = http.get("/surveys/shop/versions/2").text
        assert "62.5 %" in version
        assert http.get("/surveys/shop/versions/9").status_code == 404
        code = http.get("/surveys/shop/qr.svg")
        assert (code.headers["content-type"], "/s/shop" in code.text) == ("image/svg+xml", True)
        assert "/s/shop" in http.get("/surveys/shop/poster").text


MOODS = [{"key": f"m{number}", "label": f"Mood {number}", "unhappy": number > 3} for number in range(1, 6)]


def test_two_to_five_options(api: httpx.Client) -> None:
    for many in (2, 5):
        made = api.put(f"/surveys/with-{many}", json=DELIVERY | {"slug": f"with-{many}", "options": MOODS[:many]})
        assert made.status_code in (200, 201), made.text
        assert [each["key"] for each in made.json()["survey"]["options"]] == [f"m{n}" for n in range(1, many + 1)]
    for options in (MOODS[:1], [*MOODS, {"key": "m6", "label": "Mood 6"}]):
        refused = api.put("/surveys/wrong", json=DELIVERY | {"slug": "wrong", "options": options})
        assert (refused.status_code, [each["field"] for each in refused.json()["errors"]]) == (422, ["options"])
    twice = [*MOODS[:4], {"key": "m3", "label": "Again"}]
    refused = api.put("/surveys/wrong", json=DELIVERY | {"slug": "wrong", "options": twice})
    assert [each["field"] for each in refused.json()["errors"]] == ["options.4.key"]


def test_options_by_forms(site: str, api: httpx.Client) -> None:
    """Those that are left empty close up, with their labels in other languages."""
    with logged_in(site) as http:
        given = fields_of(http.get("/surveys/new")) | {"slug": "moods", "question": "Well?"}
        third = {"options.3.key": "so", "options.3.label": "So so", "options.3.face": "😐"}
        fifth = {"options.4.key": "awful", "options.4.label": "Awful", "options.4.unhappy": "yes"}
        words = {"texts.de.question": "Nun?", "texts.de.options.3": "Naja", "texts.de.options.4": "Furchtbar"}
        made = http.post("/surveys/moods", data=given)
        assert made.status_code == 404
        made = http.post("/surveys/new", data=given | third | fifth | words | {"options.2.unhappy": "yes"})
        assert made.status_code == 303, made.text
        survey = api.get("/surveys/moods").json()["survey"]
        keys = [(each["key"], each["unhappy"]) for each in survey["options"]]
        assert keys == [("good", False), ("bad", True), ("so", False), ("awful", True)]
        assert survey["texts"]["de"]["options"] == {"so": "Naja", "awful": "Furchtbar"}

        page = http.get("/surveys/moods")
        assert http.post("/surveys/moods", data=fields_of(page)).headers["location"].endswith("said=same")
        gone = {f"options.0.{part}": "" for part in ("key", "label", "face")}
        saved = http.post("/surveys/moods", data=fields_of(page) | gone)
        assert saved.headers["location"].endswith("said=saved"), saved.text
        survey = api.get("/surveys/moods").json()["survey"]
        assert [each["key"] for each in survey["options"]] == ["bad", "so", "awful"]
        assert survey["texts"]["de"]["options"] == {"so": "Naja", "awful": "Furchtbar"}

        page = http.get("/surveys/moods")
        all_gone = {f"options.{n}.{part}": "" for n in range(3) for part in ("key", "label", "face")}
        refused = http.post("/surveys/moods", data=fields_of(page) | all_gone)
        assert refused.status_code == 422
        assert 'href="#options.0.label"' in refused.text
        assert 'id="options.0.label"' in refused.text
        same = http.post("/surveys/moods", data=fields_of(page) | {"options.2.key": "so"})
        assert (same.status_code, 'href="#options.2.key"' in same.text) == (422, True)
        assert "Another option has this key." in same.text


def test_the_preview_is_the_form_and_sends_nothing(site: str) -> None:
    with logged_in(site) as http:
        given = fields_of(http.get("/surveys/default"))
        own = {"question": "Well?", "color": "#ffcc00", "texts.de.question": "Nun?", "preview_language": "de"}
        shown = http.post("/surveys/default/preview", data=given | own)
        assert shown.status_code == 200
        assert "Nun?" in shown.text
        assert "Ihre Bewertung" in shown.text or "Bewertung" in shown.text
        assert "<script" not in shown.text
        assert "/theme/ffcc00.css" in shown.text
        assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
        assert http.get("/theme/ffcc00.css").headers["content-type"].startswith("text/css")
        for path in ("/static/base.css", "/static/form.css"):
            assert http.get(path).status_code == 200
        wrong = http.post("/surveys/default/preview", data=given | {"question": ""})
        assert (wrong.status_code, "Ask something" in wrong.text) == (422, True)
        assert "How was your experience" in http.get("/surveys/default/preview").text
        assert "frame-src 'self'" in http.get("/surveys/default").headers["content-security-policy"]


def test_a_change_reaches_the_form_and_what_was_asked_stays(
    site: str, api: httpx.Client, settings: Settings, engine: sa.Engine, serve: Callable[[Any], Served]
) -> None:
    """Through the worker; a form that was open, and a repeat of an answer, are of the version that was seen."""
    form = serve(create_form(settings)).url
    with working(settings, engine), httpx.Client(base_url=form) as http:
        page = http.get("/").text
        assert 'name="asked" value="1"' in page
        assert "/theme/" not in page
        fields = {"key": re.search(r'name="key" value="([^"]+)"', page)[1], "asked": "1", "vote": "bad"}  # type: ignore[index]
        survey = api.get("/surveys/default").json()["survey"]
        changed = survey | {"question": "And now?", "color": "#ffcc00"}
        changed["options"][1]["label"] = "Poor"
        assert api.put("/surveys/default", json=changed).status_code == 200
        wait_for(lambda: "And now?" in http.get("/").text, what="the change on the form")
        page = http.get("/").text
        assert 'name="asked" value="2"' in page
        assert '<link rel="stylesheet" href="/theme/ffcc00.css">' in page
        sheet = http.get("/theme/ffcc00.css")
        assert "--accent: " in sheet.text
        assert sheet.headers["cache-control"] == "public, max-age=86400"
        assert http.get("/theme/red.css").status_code == 404

        taken = [http.post("/s/default", data=fields).headers["location"] for _ in range(2)]
        # From a form that claims to have seen what is not published yet, and from one that says nothing of it.
        ids = []
        for asked in ("99", "-1", "x", "0", "²", "9" * 40):
            with httpx.Client(base_url=form) as other:
                other.post("/s/default", data={"vote": "good", "asked": asked})
        path, headers = "/api/v1/surveys/default/feedback", {"Idempotency-Key": "once"}
        for question in ("And now?", "And then?"):  # sent again after yet another version, it is the same answer
            ids.append(httpx.post(form + path, json={"vote": "good"}, headers=headers).json()["id"])
            current = api.get("/surveys/default").json()["survey"]
            api.put("/surveys/default", json=current | {"question": question + "!"})
            wait_for(lambda question=question: f"{question}!" in http.get("/").text, what="the next version")
        wait_for(lambda: len(api.get("/feedback").json()["items"]) == 8, what="the answers")
    assert len(set(taken)) == 1
    assert len(set(ids)) == 1
    with engine.begin() as connection:
        rows = connection.execute(sa.select(t.feedback.c.id, t.feedback.c.vote, t.feedback.c.asked)).all()
    [old] = [row for row in rows if row.vote == "bad"]
    assert (old.asked, {row.asked for row in rows if row is not old}) == (1, {2})
    shown = api.get(f"/feedback/{old.id}").json()["asked"]
    assert (shown["version"], shown["question"]) == (1, "How was your experience with us?")
    assert [each["label"] for each in shown["options"]] == ["Good", "Bad"]
    with logged_in(site) as http:
        data = re.search(r'id="data">(.*?)</script>', http.get(f"/feedback/{old.id}").text)
        assert data
        assert [each["label"] for each in json.loads(data[1])["options"]] == ["Good", "Bad"]


def test_answers_from_before_versions_claim_nothing(api: httpx.Client, engine: sa.Engine) -> None:
    shown = api.get(f"/feedback/{answer(engine, vote='bad')}").json()
    assert shown["asked"] is None
