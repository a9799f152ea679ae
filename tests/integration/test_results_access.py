"""Who may come in to the results site: by password, by a one-time link, by API key; nobody else, anywhere."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, SECRET, Served

from api.results.app import create_app
from heed.contracts import new_id
from heed.db.tables import used_links
from heed.links import make_login_token
from heed.settings import Settings

RESULTS = "/api/v1/surveys/default/results"
LIST = "/api/v1/feedback"


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def anyone(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site) as client:
        yield client


CLOSED = [
    RESULTS,
    "/api/v1/surveys/default/live",
    LIST,
    f"{LIST}?format=csv",
    f"{LIST}/0197a1b2-0000-7000-8000-000000000000",
    "/api/v1/surveys/default/triage",
    "/api/v1/books",
    "/api/v1/quarantine",
    "/api/v1/none",
    "/openapi.json",
]
CLOSED_PAGES = [
    "/",
    "/s/default",
    "/review",
    "/feedback/0197a1b2-0000-7000-8000-000000000000",
    "/none",
    "/login/",
    "/static",
]


SAMPLES = {
    "slug": "default",
    "answer_id": new_id(),
    "name": "ann",
    "number": 1,
    "session_id": "0" * 64,
    "color": "0b6b53",
}
NO_LOGIN = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"Cookie": "heed_session=x"}]


def test_closed_without_login(anyone: httpx.Client) -> None:
    for path, headers in product(CLOSED, NO_LOGIN):
        refused = anyone.get(path, headers=headers)
        assert refused.status_code == 401, path
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_pages_send_to_login(anyone: httpx.Client) -> None:
    for path in CLOSED_PAGES:
        sent = anyone.get(path)
        assert sent.status_code == 303, path
        assert sent.headers["location"].startswith("/login")
        assert anyone.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_every_route_is_closed_unless_meant_to_be_open(anyone: httpx.Client, settings: Settings) -> None:
    document = create_app(settings).openapi()
    assert len(document["paths"]) > 35
    for path in [*document["paths"], *CLOSED_PAGES]:
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
            assert anyone.request(method, path.format_map(SAMPLES)).status_code in (303, 401)


def test_open_without_login(anyone: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/login"):
        assert anyone.get(path).status_code == 200
    style = anyone.get("/static/base.css")
    assert style.headers["cache-control"] == "no-cache"
    again = anyone.get("/static/base.css", headers={"If-None-Match": style.headers["etag"]})
    assert again.status_code == 304
    assert anyone.get("/static/../templates/login.html").status_code in (303, 404)
    assert anyone.get("/static/%2e%2e/templates/login.html").status_code == 404


def test_password_opens_a_session(anyone: httpx.Client) -> None:
    wrong = anyone.post("/login", data={"password": "wrong"})
    assert wrong.status_code == 403
    assert "That is not the name and password of anybody here." in wrong.text
    right = anyone.post("/login", data={"password": ADMIN_PASSWORD, "next": "/s/default?a=b"})
    assert (right.status_code, right.headers["location"]) == (303, "/s/default?a=b")
    cookie = right.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "max-age=43200", "path=/"))
    assert "secure" not in cookie  # over https it is; this is http
    page = anyone.get("/")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert anyone.get(RESULTS).headers["cache-control"] == "no-store"
    anyone.post("/logout")
    assert anyone.get(RESULTS).status_code == 401


def test_a_changed_password_ends_the_admins_sessions(
    settings: Settings, serve: Callable[[Any], Served], anyone: httpx.Client
) -> None:
    anyone.post("/login", data={"password": ADMIN_PASSWORD})
    session = anyone.cookies["heed_session"]
    changed = settings.model_copy(update={"admin_password": settings.api_key})
    other = serve(create_app(changed)).url
    assert httpx.get(f"{other}{RESULTS}", headers={"Cookie": f"heed_session={session}"}).status_code == 401


def test_login_leads_nowhere_else(anyone: httpx.Client) -> None:
    for path in ("//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", ""):
        sent = anyone.post("/login", data={"password": ADMIN_PASSWORD, "next": path})
        assert (sent.status_code, sent.headers["location"]) == (303, "/"), path


def test_other_sites_cannot_log_in_or_out(anyone: httpx.Client, site: str) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        assert anyone.post("/login", data={"password": ADMIN_PASSWORD}, headers=headers).status_code == 403
    assert anyone.post("/login", data={"password": ADMIN_PASSWORD}, headers={"Origin": site}).status_code == 303
    assert anyone.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert anyone.get(RESULTS).status_code == 200


def test_guessing_is_slowed_down(anyone: httpx.Client) -> None:
    for _ in range(10):
        assert anyone.post("/login", data={"password": "guess"}).status_code == 403
    refused = anyone.post("/login", data={"password": ADMIN_PASSWORD})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300


def test_no_password_no_password_login(settings: Settings, serve: Callable[[Any], Served]) -> None:
    site = serve(create_app(settings.model_copy(update={"admin_password": None, "api_key": None}))).url
    assert "HEED_ADMIN_PASSWORD" in httpx.get(f"{site}/login").text
    assert httpx.post(f"{site}/login", data={"password": ""}).status_code == 403
    assert httpx.get(f"{site}{RESULTS}", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_link_works_once(anyone: httpx.Client, engine: sa.Engine) -> None:
    link = f"/login?once={make_login_token(SECRET)}"
    for headers in ({"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}):
        looked = anyone.get(link, headers=headers)
        assert (looked.status_code, "set-cookie" in looked.headers) == (503, False)
    with engine.begin() as connection:
        connection.execute(sa.insert(used_links).values(nonce="old", used_at=datetime.now(UTC) - timedelta(hours=3)))
    used = anyone.get(link)
    assert (used.status_code, used.headers["location"]) == (303, "/")
    assert anyone.get(RESULTS).status_code == 200
    again = httpx.get(f"{anyone.base_url}{link}")
    assert again.status_code == 403
    assert "already used" in again.text
    assert 'type="password"' in again.text
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(used_links)).scalar_one() == 1


def test_bad_links(anyone: httpx.Client) -> None:
    for token in ("x", "\ud800".encode("utf-8", "surrogatepass").hex(), make_login_token("another-" + SECRET)):
        refused = anyone.get("/login", params={"once": token})
        assert refused.status_code == 403
        assert "not a valid login link" in refused.text


def test_nonsense_in_forms(anyone: httpx.Client) -> None:
    for content, kind in [
        (b"password=%00%ff%ed%a0%80", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
        (b"\xff" * 1000, "text/plain"),
    ]:
        answered = anyone.post("/login", content=content, headers={"Content-Type": kind})
        assert answered.status_code in (400, 403, 422), kind
    assert anyone.post("/login", content=b"x" * 200_000).status_code == 413
