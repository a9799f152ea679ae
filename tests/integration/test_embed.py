"""What other sites get, over HTTP: the widget, leave to frame and to send (CORS), QR codes; and docs/embed.md."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import segno
from conftest import SECRET, Served

from api.feedback.app import create_app
from api.feedback.tokens import Tokens
from heed.contracts import DEFAULT_SURVEY
from heed.identity import identity_key
from heed.settings import Settings
from heed.stream.surveys import publish
from heed.web.guards import BODY_MAX

SHOP = "https://shop.example"
URL = "/api/v1/surveys/default/feedback"
DOCUMENT = Path(__file__).parents[2] / "docs" / "embed.md"


@pytest.fixture
def http(settings: Settings, serve: Callable[[Any], Served]) -> Iterator[httpx.Client]:
    mine = DEFAULT_SURVEY.model_copy(update={"origins": (SHOP, "http://localhost:8080")})
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        publish(client, [mine, DEFAULT_SURVEY.model_copy(update={"slug": "closed-to-all"})])
    with httpx.Client(base_url=serve(create_app(settings)).url, trust_env=False) as client:
        yield client


def test_the_widget_as_served(http: httpx.Client) -> None:
    served = http.get("/widget.js", headers={"Accept-Encoding": "identity", "Origin": "https://anywhere.example"})
    assert served.status_code == 200
    assert len(served.content) < 10_000
    assert served.headers["content-type"] == "text/javascript; charset=utf-8"
    assert served.headers["cache-control"] == "public, max-age=300"
    assert served.headers["cross-origin-resource-policy"] == "cross-origin"
    assert served.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in served.headers
    again = http.get("/widget.js", headers={"If-None-Match": served.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def ancestors(answer: httpx.Response) -> str:
    return answer.headers["content-security-policy"].rpartition("frame-ancestors ")[2]


def test_who_may_frame_what(http: httpx.Client) -> None:
    assert ancestors(http.get("/s/default?embed=default")) == f"'self' {SHOP} http://localhost:8080"
    assert ancestors(http.post("/s/default?embed=default", data={})) == f"'self' {SHOP} http://localhost:8080"
    assert ancestors(http.get("/s/closed-to-all?embed=closed-to-all")) == "'self'"
    # Not even by naming another survey, whose pages it is not for.
    assert SHOP not in ancestors(http.get("/s/closed-to-all?embed=default"))
    for plain in ("/s/default", "/", "/demo", "/s/none?embed=none", "/s/default/qr.svg", "/widget.js"):
        assert ancestors(http.get(plain)) == "'none'"


def test_a_script_of_an_origin_on_the_list(http: httpx.Client) -> None:
    asked = http.options(
        URL,
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,idempotency-key,x-heed-client",
        },
    )
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert asked.headers["access-control-allow-methods"] == "POST"
    allowed = {name.strip().lower() for name in asked.headers["access-control-allow-headers"].split(",")}
    assert allowed == {"content-type", "idempotency-key", "x-heed-client"}
    body = {"vote": "good", "context": {"url": f"{SHOP}/orders"}}
    sent = http.post(URL, json=body, headers={"Origin": SHOP})
    assert sent.status_code == 202
    token = {"X-Heed-Client": sent.json()["client"]}
    refused = {
        409: http.post(URL, json=body, headers={"Origin": SHOP, **token}),
        413: http.post(
            URL, content=b"x" * (BODY_MAX + 1), headers={"Origin": SHOP, "Content-Type": "application/json"}
        ),
        415: http.post(URL, content=b"x", headers={"Origin": SHOP}),
        422: http.post(URL, json={}, headers={"Origin": SHOP}),
    }
    for status, answer in {202: sent, **refused}.items():
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert "Origin" in answer.headers["vary"]
    for answer in (asked, sent, *refused.values()):
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil.example", "http://shop.example", "null", f"{SHOP}/", "é"]
)
def test_a_script_of_another_origin(origin: str, http: httpx.Client) -> None:
    headers = {"Origin": origin.encode(), "Access-Control-Request-Method": "POST"}
    asked = http.options(URL, headers=headers)
    sent = http.post(URL, json={"vote": "good"}, headers={"Origin": origin.encode()})
    nowhere = http.options("/api/v1/surveys/none/feedback", headers=headers)
    assert (asked.status_code, sent.status_code, nowhere.status_code) == (403, 202, 404)
    for answer in (asked, sent, nowhere):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["vary"] == "Origin"
    other = http.options("/api/v1/surveys/closed-to-all/feedback", headers={**headers, "Origin": SHOP})
    assert other.status_code == 403


def test_no_other_path_allows_anything(http: httpx.Client) -> None:
    for path in ("/s/default", "/openapi.json", "/healthz", "/api/v1/surveys/default/results"):
        answer = http.get(path, headers={"Origin": SHOP})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert http.options(URL).status_code == 405


def drawn(svg: str) -> list[list[int]]:
    """The modules that an SVG draws dark, from its path of horizontal strokes."""
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    scale = float(re.fullmatch(r"scale\((.+)\)", root.find(f"{space}g").attrib["transform"])[1])  # type: ignore[union-attr,index]
    side = int(int(root.attrib["width"]) / scale)
    modules = [[0] * side for _ in range(side)]
    [path] = [each for each in root.iter(f"{space}path") if "stroke" in each.attrib]
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", path.attrib["d"]):
        values = [float(number) for number in re.findall(r"-?[0-9.]+", numbers)]
        if command == "h":
            for at in range(int(values[0])):
                modules[int(y)][int(x) + at] = 1
            x += values[0]
        else:
            x, y = (values[0], values[1]) if command == "M" else (x + values[0], y + values[1])
    return modules


def test_a_code_for_paper(http: httpx.Client) -> None:
    for asked, address in {
        "": "",
        "?ref=poster-1&vote=good&lang=de": "?vote=good&ref=poster-1&lang=de",
        "?ref=a%26b%3Dc%20%C3%A4&vote=nonsense&lang=xx&evil=1": "?ref=a%26b%3Dc+%C3%A4",
    }.items():
        served = http.get(f"/s/default/qr.svg{asked}")
        assert served.status_code == 200
        assert served.headers["content-type"] == "image/svg+xml"
        expected = f"{str(http.base_url).rstrip('/')}/s/default{address}"
        assert ET.fromstring(served.text).findtext("{http://www.w3.org/2000/svg}title") == expected
        code = segno.make_qr(expected, error="m")
        assert drawn(served.text) == [list(row) for row in code.matrix_iter(border=4)]
        assert 200 <= int(ET.fromstring(served.text).attrib["width"]) <= 500
    assert http.get("/s/none/qr.svg").status_code == 404
    assert http.get("/demo?survey=none", headers={"Accept": "text/html"}).status_code == 404
    long = http.get(f"/s/default/qr.svg?ref={'x' * 5000}")
    assert long.status_code == 200


def test_the_public_address_is_the_one_that_is_set(settings: Settings, serve: Callable[[Any], Served]) -> None:
    public = settings.model_validate({**settings.model_dump(), "feedback_url": "https://feedback.example/"})
    site = serve(create_app(public)).url
    assert (
        "<title>https://feedback.example/s/default</title>"
        in httpx.get(f"{site}/s/default/qr.svg", trust_env=False).text
    )
    assert "https://feedback.example/widget.js" in httpx.get(f"{site}/demo", trust_env=False).text


def test_the_lines_that_the_document_gives(tmp_path: Path) -> None:
    """The host's server makes a hash that proves the id."""
    document = DOCUMENT.read_text(encoding="utf-8")
    key = identity_key(SECRET)
    [block] = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    file = tmp_path / "snippet.py"
    file.write_text(f"user_id = 'ann@shop 😀'\n{block}\nprint(user_hash)\n", encoding="utf-8")
    made = subprocess.run(
        [sys.executable, str(file)], env={"HEED_IDENTITY_KEY": key}, capture_output=True, text=True, check=True
    )
    assert Tokens(SECRET).proves("ann@shop 😀", made.stdout.strip())


def test_the_document_names_every_setting() -> None:
    script = (Path(__file__).parents[2] / "frontend" / "widget" / "widget.js").read_text(encoding="utf-8")
    document = DOCUMENT.read_text(encoding="utf-8")
    read = set(re.findall(r"data\.([a-z]\w*)", script)) | set(re.findall(r'check\("(\w+)"', script)) - {"data"}
    settings = {"data-" + re.sub(r"[A-Z]", lambda big: "-" + big[0].lower(), name) for name in read}
    assert {"data-survey", "data-user-hash", "data-target", "data-url"} <= settings
    assert settings == {f"data-{name}" for name in re.findall(r"^\| `data-([a-z-]+)`", document, re.MULTILINE)}
