"""The customers' pages over plain HTTP, as a browser without scripts uses them."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis
from conftest import SECRET, Served, wait_for

from api.feedback.app import create_app
from api.feedback.surveys import FRESH_SECONDS
from heed.contracts import DEFAULT_SURVEY, StreamEntry, Survey, Texts, parse_entry
from heed.identity import identity_key, prove
from heed.settings import Settings
from heed.stream import surveys
from heed.stream.queue import Queue
from heed.web.languages import LANGUAGES


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(create_app(settings)).url, follow_redirects=True) as client:
        yield client


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue.connect(settings)


def key_of(page: httpx.Response) -> str:
    found = re.search(r'name="key" value="([^"]+)"', page.text)
    assert found
    return found[1]


def test_a_whole_visit(http: httpx.Client, queue: Queue) -> None:
    page = http.get("/")
    assert page.status_code == 200
    assert "How was your experience with us?" in page.text
    given = {"key": key_of(page), "vote": "bad", "rating": "", "comment": "one\r\ntwo", "name": "", "email": ""}
    thanks = http.post("/s/default", data=given)
    assert thanks.status_code == 200
    assert "Thank you" in thanks.text
    assert thanks.url.path.startswith("/r/")
    assert http.get(str(thanks.url)).status_code == 200  # reloading sends nothing
    assert http.post("/s/default", data=given).url == thanks.url  # nor does the same form sent twice
    assert queue.snapshot().added == 1
    [delivery] = queue.read("test", 1, 0.05)
    assert b'"comment":"one\\ntwo"' in delivery.fields[b"entry"]
    assert b'"source":"form"' in delivery.fields[b"entry"]
    again = http.post("/s/default", data=given | {"key": key_of(http.get("/"))})
    assert again.status_code == 409
    assert "already answered" in again.text
    assert thanks.url.path in again.text
    assert queue.snapshot().added == 1


@pytest.mark.parametrize(
    ("given", "says", "field"),
    [
        ({}, "Choose an option", "vote"),
        ({"vote": "maybe"}, "Choose one of the options", "vote"),
        ({"vote": "good", "rating": "7"}, "rating", "rating"),
        ({"vote": "good", "rating": "²"}, "rating", "rating"),
        ({"vote": "good", "reply": "yes"}, "give your e-mail", "email"),
        ({"vote": "good", "email": "nonsense"}, "Check the e-mail", "email"),
        ({"vote": "good", "name": "n" * 201}, "name to at most", "name"),
        ({"comment": "x" * 5001}, "comment to at most", "comment"),
        ({"comment": "a\x00b"}, "cannot be kept", "comment"),
    ],
)
def test_a_refused_form_comes_back(
    http: httpx.Client, queue: Queue, given: dict[str, str], says: str, field: str
) -> None:
    page = http.post("/s/default", data={"comment": "<b>my words</b>"} | given if given else {})
    assert page.status_code == 422
    assert says in page.text
    assert f'href="#{field}"' in page.text
    assert f'id="{field}"' in page.text
    assert "<b>" not in page.text
    if given and "comment" not in given:
        assert "&lt;b&gt;my words&lt;/b&gt;" in page.text
    assert queue.snapshot().added == 0


def test_looking_records_nothing(http: httpx.Client, queue: Queue) -> None:
    page = http.get("/s/default?vote=good&comment=x")
    assert re.search(r'value="good" checked', page.text)
    assert http.head("/s/default").status_code == 200
    assert queue.snapshot().added == 0


def test_what_is_not_there(http: httpx.Client) -> None:
    for path in ("/s/nowhere", "/s/%00", "/r/forged", "/r/" + "x" * 3000):
        page = http.get(path)
        assert page.status_code == 404
        assert "text/html" in page.headers["content-type"]
    assert http.post("/s/nowhere", data={"vote": "good"}).status_code == 404
    person = http.get("/nothing", headers={"Accept": "text/html,*/*"})
    assert (person.status_code, "Go to the form" in person.text) == (404, True)
    assert http.get("/nothing").headers["content-type"] == "application/problem+json"


def test_odd_bodies_are_no_server_errors(http: httpx.Client, queue: Queue) -> None:
    for content, kind in (
        (b"\xff\xfe%%%", "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
        (b"&".join(b"f%d=1" % number for number in range(100)), "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ):
        answer = http.post("/s/default", content=content, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, (content[:20], answer.status_code)
    assert queue.snapshot().added == 0


def test_cookies_and_caching(http: httpx.Client) -> None:
    page = http.get("/")
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert page.headers["cache-control"] == "no-store"
    assert "set-cookie" not in http.get("/").headers
    assert http.get("/static/base.css").status_code == 200
    assert http.get("/static/form.css").status_code == 200


def publish(redis_url: str, **changes: Any) -> Survey:
    """The default survey with changes, where the form reads it."""
    changed = DEFAULT_SURVEY.model_copy(update=changes)
    survey = Survey.model_validate(changed.model_dump())
    client = redis.Redis.from_url(redis_url)
    surveys.publish(client, [survey])
    client.close()
    return survey


def entry(queue: Queue) -> StreamEntry:
    [delivery] = queue.read("test", 10, 0.05)
    return parse_entry(delivery.fields)


def fill(http: httpx.Client, path: str = "/s/default", **fields: str) -> httpx.Response:
    """Show the form, fill it in and send it, as one visitor."""
    page = http.get(path)
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    return http.post(path, data=hidden | {"vote": "bad", "comment": "late"} | fields)


def test_every_language(http: httpx.Client) -> None:
    seen = set()
    for language in LANGUAGES.values():
        http.cookies.clear()
        page = http.get("/", headers={"Accept-Language": f"xx,{language.code}-XX;q=0.9,en;q=0.2"})
        assert f'<html lang="{language.code}" dir="{language.direction}"' in page.text
        assert page.headers["content-language"] == language.code
        seen.add(re.search("<h1>(.+?)</h1>", page.text)[1])  # type: ignore[index]
        refused = http.post(f"/s/default?lang={language.code}", data={"comment": "x" * 5001})
        assert language.number(5000) in refused.text
    assert len(seen) == len(LANGUAGES) == 7
    assert LANGUAGES["ar"].direction == "rtl"


def test_the_chosen_language_stays(http: httpx.Client) -> None:
    page = http.get("/?lang=fr", headers={"Accept-Language": "de"})
    assert 'lang="fr"' in page.text
    assert 'lang="fr"' in http.get("/", headers={"Accept-Language": "de"}).text
    assert "lang=fr" in str(fill(http, "/s/default?lang=fr").url)
    assert 'lang="en"' in http.get("/?lang=en").text
    for odd in ("xx", "%00", "d" * 5000, "../de"):
        assert http.get(f"/?lang={odd}").status_code == 200


def test_a_survey_speaks_its_own_words(http: httpx.Client, redis_url: str) -> None:
    german = Texts(question="Wie war <es>?", options={"good": "Fein"})
    publish(redis_url, question="How was <it>?", texts={"de": german})
    page = http.get("/s/default?lang=de").text
    assert "Wie war &lt;es&gt;?" in page
    assert "Fein" in page
    assert "<h1 lang=" not in page
    page = http.get("/s/default?lang=ja").text  # not translated: it says which language it is in
    assert '<h1 lang="en" dir="auto">How was &lt;it&gt;?</h1>' in page


def test_closed_and_early(settings: Settings, http: httpx.Client, queue: Queue, redis_url: str) -> None:
    api = "/api/v1/surveys/default/feedback"
    key = {"Idempotency-Key": "before"}
    taken = http.post(api, json={"vote": "good"}, headers=key).json()
    now = datetime.now(UTC)
    publish(redis_url, closes_at=now)
    time.sleep(FRESH_SECONDS + 0.1)
    http.get("/s/default")  # what is known is shown while it is looked up again
    wait_for(lambda: http.get("/s/default").status_code == 410)
    page = http.get("/s/default")
    assert "This survey is closed" in page.text
    kept = http.post("/s/default", data={"vote": "bad", "comment": "<b>words</b>"})
    assert (kept.status_code, "&lt;b&gt;words&lt;/b&gt;" in kept.text) == (410, True)
    fresh = httpx.post(f"{http.base_url}{api}", json={"vote": "good"})
    assert (fresh.status_code, fresh.json()["type"]) == (410, "urn:heed:problem:closed")
    # The first answer's repeat is what it was; that it closed meanwhile changes nothing.
    headers = key | {"X-Heed-Client": taken["client"]}
    assert http.post(api, json={"vote": "good"}, headers=headers).json()["id"] == taken["id"]
    assert queue.snapshot().added == 1
    publish(redis_url, opens_at=now + timedelta(days=400))
    time.sleep(FRESH_SECONDS + 0.1)
    http.get("/s/default")
    wait_for(lambda: http.get("/s/default").status_code == 403)
    assert "not open yet" in http.get("/s/default").text
    assert httpx.post(f"{http.base_url}{api}", json={"vote": "good"}).status_code == 403
    assert queue.snapshot().added == 1


@pytest.mark.parametrize(
    ("fields", "least", "flags"),
    [
        ({}, 0.15, ()),
        ({}, 600, ("fast",)),
        ({"website": "http://spam.example"}, 0.15, ("honeypot",)),
        ({"shown": "1.forged"}, 0.15, ("unseen",)),
        ({"shown": "", "website": "x"}, 0.15, ("honeypot", "unseen")),
    ],
)
def test_suspicious_ones_are_taken_and_flagged(
    settings: Settings,
    serve: Callable[[Any], Served],
    queue: Queue,
    fields: dict[str, str],
    least: float,
    flags: tuple[str, ...],
) -> None:
    app = create_app(settings.model_copy(update={"form_seconds": least}))
    with httpx.Client(base_url=serve(app).url, follow_redirects=True) as http:
        page = http.get("/s/default")
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        time.sleep(0.2)
        answered = http.post("/s/default", data=hidden | {"vote": "bad"} | fields)
        assert "Thank you" in answered.text  # who set the trap off learns nothing
    assert entry(queue).flags == flags


def test_a_receipt_is_in_its_surveys_colour(http: httpx.Client, redis_url: str) -> None:
    publish(redis_url, color="#e4572e")
    sheet = "/theme/e4572e.css"
    thanks = fill(http, "/s/default?lang=de", vote="good")
    assert sheet in thanks.text
    assert thanks.url.params["lang"] == "de"
    erase = http.get(re.findall(r'href="(/r/[^"]+/erase[^"]*)"', thanks.text)[0].replace("&amp;", "&"))
    assert sheet in erase.text
    assert sheet in http.post(str(erase.url)).text
    again = fill(http, "/s/default", vote="bad")
    assert again.status_code == 409
    assert sheet in http.get(re.findall(r'href="(/r/[^"]+)"', again.text)[0].replace("&amp;", "&")).text
    for strange in ("nowhere", "..%2f", "%00", "x" * 3000):
        page = http.get(f"{thanks.url.path}?survey={strange}")
        assert (page.status_code, "/theme/" in page.text, strange in page.text) == (200, False, False)


def test_where_an_answer_comes_from(http: httpx.Client, queue: Queue) -> None:
    fill(http, "/s/default?ref=mail-7&vote=good", vote="good")
    context = entry(queue).context
    assert context is not None
    assert (context.ref, context.language) == ("mail-7", "en")
    with httpx.Client(base_url=http.base_url, follow_redirects=True) as other:
        fill(other, ref="r" * 5000, url="https://shop.example/\x00" + "u" * 5000, app=" ")
    context = entry(queue).context
    assert context is not None
    assert len(context.ref or "") == 100
    assert len(context.url or "") == 2000
    assert context.app is None


def test_the_script_is_told_where_to_go(http: httpx.Client, queue: Queue) -> None:
    answer = http.post("/s/default?lang=de", data={"vote": "good"}, headers={"Accept": "application/json, text/html"})
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"/r/[^?#]+\?lang=de", answer.json()["location"])
    again = http.post("/s/default", data={"vote": "good"}, headers={"Accept": "application/json, text/html"})
    assert (again.status_code, again.headers["content-type"]) == (409, "text/html; charset=utf-8")


def test_embedded_pages(http: httpx.Client, queue: Queue, redis_url: str) -> None:
    publish(redis_url, origins=("https://shop.example", "http://localhost:8000"))
    assert "frame-ancestors 'none'" in http.get("/s/default").headers["content-security-policy"]
    with httpx.Client(base_url=http.base_url) as guest:  # no cookies there: it keeps none
        page = guest.get("/s/default?embed=default&lang=en")
        wanted = "frame-ancestors 'self' https://shop.example http://localhost:8000"
        assert wanted in page.headers["content-security-policy"]
        assert 'data-embed="default" data-origins="https://shop.example http://localhost:8000"' in page.text
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        assert {"client", "user", "user_hash", "url", "app", "ref", "key", "shown", "asked"} == hidden.keys()
        guest.cookies.clear()
        sent = guest.post("/s/default?embed=default&lang=en", data=hidden | {"vote": "good"})
        assert sent.status_code == 303
        path, _, client = sent.headers["location"].partition("#client=")
        assert path.endswith("?embed=default&lang=en")
        guest.cookies.clear()
        receipt = guest.get(path)
        assert wanted in receipt.headers["content-security-policy"]
        again = guest.get("/s/default?embed=default")
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', again.text))
        guest.cookies.clear()
        second = guest.post("/s/default?embed=default", data=hidden | {"vote": "good", "client": client})
        assert (second.status_code, "already answered" in second.text) == (409, True)
    assert queue.snapshot().added == 1


def test_one_vote_for_an_identified_user(http: httpx.Client, queue: Queue) -> None:
    proof = prove(identity_key(SECRET), "ann-1")
    for number, expected in ((1, 200), (2, 409)):  # a new device each time
        with httpx.Client(base_url=http.base_url, follow_redirects=True) as device:
            answer = device.post("/s/default", data={"vote": "good", "user": "ann-1", "user_hash": proof})
            assert answer.status_code == expected, number
    api = http.base_url.join("/api/v1/surveys/default/feedback")
    assert httpx.post(api, json={"vote": "good", "user": {"id": "ann-1", "hash": proof}}).status_code == 409
    assert httpx.post(api, json={"vote": "good", "user": {"id": "bob-1", "hash": proof}}).status_code == 422
    refused = http.post("/s/default", data={"vote": "good", "user": "bob-1", "user_hash": proof})
    assert (refused.status_code, "could not prove who you are" in refused.text) == (422, True)
    assert entry(queue).user == "ann-1"


def test_another_sites_page_sends_nothing_by_itself(http: httpx.Client, queue: Queue) -> None:
    """What it filled in is shown to the visitor, without what it says of who that is."""
    given = {"vote": "bad", "comment": "their words", "email": "somebody@example.com", "key": "theirs"}
    shown = http.post("/s/default", data=given, headers={"Sec-Fetch-Site": "cross-site"})
    assert shown.status_code == 403
    assert "This came from another site" in shown.text
    assert "their words" in shown.text
    assert "somebody@example.com" not in shown.text
    assert key_of(shown) != "theirs"
    assert queue.snapshot().added == 0


def test_another_language_keeps_what_was_written(http: httpx.Client, queue: Queue) -> None:
    key = key_of(http.get("/s/default"))
    shown = http.post("/s/default?lang=de", data={"vote": "bad", "comment": "mine", "key": key, "again": "yes"})
    assert (shown.status_code, shown.headers["content-language"]) == (200, "de")
    assert re.search(r'value="bad"[^>]* checked', shown.text)
    assert re.search(r"<textarea[^>]*>\s*mine\s*</textarea>", shown.text)
    assert key_of(shown) == key
    assert queue.snapshot().added == 0


def test_the_words_of_a_second_answer_are_given_back(http: httpx.Client, queue: Queue) -> None:
    fill(http)
    second = fill(http, comment="what I wanted to add")
    assert second.status_code == 409
    assert "what I wanted to add" in second.text
    assert queue.snapshot().added == 1


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example/x", "//evil.example/r/x/erase"])
def test_no_link_leads_elsewhere(http: httpx.Client, path: str) -> None:
    """A path may begin like another site's address."""
    page = http.get(httpx.URL(http.base_url, raw_path=path.encode()), headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert not re.search(r'(?:href|action)="(?://|/\\|http)', page.text)
    assert "/evil.example/" in page.text  # it was there to be led to
