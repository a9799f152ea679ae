"""Logging in by an OpenID provider: a real one, and ones that lie, are slow or break."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import API_KEY, SECRET, Served, free_port
from itsdangerous import URLSafeTimedSerializer
from provider import CLIENT, CLIENT_SECRET, Provider, answers, drips, floods, hangs, parameters

from api.results import oidc, sign_in
from api.results.app import create_app
from heed.db import logins
from heed.db.tables import audit, login_attempts, users
from heed.settings import Settings, load

# The real provider of the tests is made with parts of Authlib that its authors have replaced.
pytestmark = [
    pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning"),
]
ME = "/api/v1/me"
KEY = {"Authorization": f"Bearer {API_KEY}"}
ANN = {"sub": "248289761001", "email": "Ann@example.com", "email_verified": True}
DESCRIBED = "/.well-known/openid-configuration"


def patient() -> httpx.Client:
    return httpx.Client(timeout=30)


def patiently(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=30, **more)


@dataclass
class Site:
    """The results site, whose people log in by `provider`."""

    url: str
    provider: Provider

    def begin(self, http: httpx.Client, then: str = "/") -> str:
        """Where the provider sends the browser back to, as it does."""
        sent = http.get(f"{self.url}/login/oidc", params={"next": then})
        assert sent.status_code == 303, sent.text
        there = patiently(sent.headers["location"])
        assert there.status_code == 302
        return str(there.headers["location"])

    def log_in(self, http: httpx.Client, then: str = "/") -> httpx.Response:
        return http.get(self.begin(http, then))

    def add(self, name: str = "ann@example.com", role: str = "viewer", **more: Any) -> Any:
        wanted = {"name": name, "role": role, "password": False, **more}
        made = httpx.post(f"{self.url}/api/v1/people", json=wanted, headers=KEY)
        assert made.status_code == 201, made.text
        return made.json()


def with_provider(settings: Settings, issuer: str, port: int) -> Settings:
    given = {
        "results_url": f"http://127.0.0.1:{port}/",
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Example",
    }
    return Settings.model_validate({**settings.model_dump(), **given})


@pytest.fixture
def site(settings: Settings, serve: Callable[..., Served]) -> Site:
    port, theirs = free_port(), free_port()
    provider = Provider(f"http://127.0.0.1:{theirs}", claims=dict(ANN))
    serve(provider.app(), theirs)
    url = serve(create_app(with_provider(settings, provider.issuer, port)), port).url
    return Site(url, provider)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with patient() as client:
        yield client


def refused(site: Site, http: httpx.Client, answered: httpx.Response, status: int, said: str) -> None:
    assert (answered.status_code, said in answered.text) == (status, True), (answered.status_code, answered.text)
    assert "heed_session" not in http.cookies
    assert "heed_sign_in" not in http.cookies, "nothing is left to be used again"
    assert http.get(f"{site.url}{ME}").status_code == 401


def audited(engine: sa.Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(audit.c.actor, audit.c.action).order_by(audit.c.id))]


# Who gets in


def test_a_real_provider(
    settings: Settings, serve: Callable[..., Served], engine: sa.Engine, http: httpx.Client
) -> None:
    from oidc_provider_mock import User, run_server_in_thread

    claims = {"email": "ann@example.com", "email_verified": True}
    port = free_port()
    with run_server_in_thread(user_claims=[User(sub="ann", claims=claims)]) as server:
        issuer = f"http://localhost:{server.server_port}"
        url = serve(create_app(with_provider(settings, issuer, port)), port).url
        made = Site(url, Provider(issuer)).add()
        assert (made["password"], made["person"]["has_password"], made["person"]["signs_in"]) == (None, False, False)
        page = http.get(f"{url}/login", params={"next": "/s/default?a=b"}).text
        assert "Log in with Example" in page
        sent = http.get(f"{url}/login/oidc", params={"next": "/s/default?a=b"})
        cookie = sent.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=lax", "max-age=600", "path=/login/oidc"))
        asked = parameters(sent.headers["location"])
        assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "openid email")
        back = httpx.post(sent.headers["location"], data={"sub": "ann"})
        assert back.status_code == 302, back.text
        entered = http.get(back.headers["location"])
        assert (entered.status_code, entered.headers["location"]) == (303, "/s/default?a=b"), entered.text
        assert http.get(f"{url}{ME}").json() == {"actor": "ann@example.com", "level": "viewer", "surveys": None}
        denied = httpx.post(http.get(f"{url}/login/oidc").headers["location"], data={"action": "deny"})
        said = http.get(denied.headers["location"])
        assert (said.status_code, "Nobody was logged in" in said.text) == (403, True)
    assert audited(engine)[1:] == [("ann@example.com", "sign-in-known"), ("ann@example.com", "login")]


def test_somebody_is_known_by_subject_from_the_first_time_on(site: Site, http: httpx.Client, engine: sa.Engine) -> None:
    site.add()
    site.add("bob@example.com")
    assert site.log_in(http).status_code == 303
    with engine.connect() as connection:
        kept = connection.execute(sa.select(users.c.subject).where(users.c.name == "ann@example.com")).scalar_one()
    assert kept == f"{site.provider.issuer} 248289761001"
    site.provider.claims = {"sub": ANN["sub"], "email": "bob@example.com", "email_verified": True}
    with patient() as other:
        assert site.log_in(other).status_code == 303
        assert other.get(f"{site.url}{ME}").json()["actor"] == "ann@example.com", "whatever her address is now"
    site.provider.claims = {**ANN, "sub": "the next Ann"}
    with patient() as other:
        refused(site, other, site.log_in(other), 403, "an admin has to add ann@example.com")
    forgotten = httpx.delete(f"{site.url}/api/v1/people/ann@example.com/sign-in", headers=KEY)
    assert (forgotten.status_code, forgotten.json()["signs_in"]) == (200, False)
    assert http.get(f"{site.url}{ME}").status_code == 401, "and she is logged out"
    with patient() as other:
        assert site.log_in(other).status_code == 303


STRANGERS: list[tuple[dict[str, Any], str]] = [
    ({"email": "eve@example.com"}, "an admin has to add eve@example.com"),
    ({"email_verified": False}, "has not verified your e-mail address"),
    ({"email_verified": "true"}, "has not verified your e-mail address"),
    ({"email_verified": None}, "has not verified your e-mail address"),
    ({"email": None}, "has not verified your e-mail address"),
    ({"email": ["ann@example.com"]}, "has not verified your e-mail address"),
    ({"email": "admin"}, "an admin has to add admin"),
    ({"email": "<b>@example.com"}, "&lt;b&gt;@example.com"),
    ({"email": "a\x00n@example.com"}, "has not verified your e-mail address"),
]


def test_an_address_that_only_looks_like_hers_in_small_letters_is_not_hers(site: Site, http: httpx.Client) -> None:
    site.add("kim@example.com")
    kelvin = "\N{KELVIN SIGN}im@example.com"  # another mailbox, whose small letters are kim@example.com
    assert kelvin.lower() == "kim@example.com"
    site.provider.claims = {**ANN, "email": kelvin}
    refused(site, http, site.log_in(http), 403, "has not verified your e-mail address")


def test_a_directory_does_not_get_in_by_itself(site: Site, engine: sa.Engine) -> None:
    site.add()
    for told, said in STRANGERS:
        site.provider.claims = {**ANN, **told}
        with patient() as http:
            refused(site, http, site.log_in(http), 403, said)
        assert audited(engine)[-1] == ("(nobody)", "login-failed")


def test_who_is_disabled_stays_out(site: Site, http: httpx.Client) -> None:
    site.add()
    person = f"{site.url}/api/v1/people/ann@example.com"
    for known in (False, True):
        assert httpx.patch(person, json={"disabled": True}, headers=KEY).is_success
        said = "you may no longer log in" if known else "an admin has to add"
        with patient() as other:
            refused(site, other, site.log_in(other), 403, said)
        assert httpx.patch(person, json={"disabled": False}, headers=KEY).is_success
        assert site.log_in(http).status_code == 303
    assert httpx.patch(person, json={"disabled": True}, headers=KEY).is_success
    assert http.get(f"{site.url}{ME}").status_code == 401


def test_who_has_no_password_has_none(site: Site, http: httpx.Client) -> None:
    site.add()
    for password in ("", "None", "ann@example.com"):
        tried = http.post(f"{site.url}/login", data={"name": "ann@example.com", "password": password})
        assert tried.status_code == 403
    wanted = {"name": "ann", "role": "viewer", "password": False}
    nameless = httpx.post(f"{site.url}/api/v1/people", json=wanted, headers=KEY)
    assert (nameless.status_code, "e-mail address" in nameless.text) == (422, True)
    assert site.log_in(http).status_code == 303
    page = http.get(f"{site.url}/sessions").text
    assert "you log in by the provider" in page
    changed = http.post(f"{site.url}/api/v1/me/password", json={"old": "x", "new": "x" * 12})
    assert changed.status_code == 422


def test_the_address_may_be_told_apart_and_only_of_the_same_person(site: Site, http: httpx.Client) -> None:
    site.add()
    site.provider.claims = {"sub": ANN["sub"]}
    site.provider.userinfo = {**ANN, "sub": "somebody else"}
    refused(site, http, site.log_in(http), 403, "is not to be trusted")
    site.provider.userinfo = dict(ANN)
    assert site.log_in(http).status_code == 303


# Providers that lie


WRONG: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another site"},
    {"aud": "another site", "azp": CLIENT},
    {"aud": [CLIENT, "another site"]},
    {"aud": None},
    {"azp": "another site"},
    {"iss": "https://accounts.example"},
    {"iss": None},
    {"exp": 1_700_000_000},
    {"exp": None},
    {"exp": "tomorrow"},
    {"iat": 4_000_000_000},
    {"nbf": 4_000_000_000},
    {"at_hash": "AAAA"},
    {"at_hash": 7},
    {"sub": None},
    {"sub": 7},
    {"sub": ""},
    {"sub": "x" * 256},
    {"sub": "a\nb"},
]
SIGNED_BY = [
    "another key",
    "another key that it brings along",
    "nobody",
    "its public key as a secret",
    "the client's secret",
    "x",
    "a.b.c",
    "",
]


def test_what_is_not_told_for_this_login_counts_for_nothing(site: Site, engine: sa.Engine) -> None:
    site.add()
    for wrong in WRONG:
        site.provider.wrong = wrong
        forget_attempts(engine)
        with patient() as http:
            refused(site, http, site.log_in(http), 403, "is not to be trusted")
    site.provider.wrong = {}
    forget_attempts(engine)
    with patient() as http:
        assert site.log_in(http).status_code == 303, "and it is that which was wrong"


def test_what_its_key_has_not_signed_counts_for_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "RENEW_SECONDS", 0)
    site.add()
    for by in SIGNED_BY:
        site.provider.signed_by = by
        site.provider.seen.clear()
        with patient() as http:
            refused(site, http, site.log_in(http), 403, "is not to be trusted")
        assert "/jwks" in site.provider.seen, "it might have had a new key"
    site.provider.signed_by = "its key"
    with patient() as http:
        assert site.log_in(http).status_code == 303


def forget_attempts(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(login_attempts))


def test_a_minute_of_a_clock_that_goes_wrong_is_forgiven(site: Site, http: httpx.Client) -> None:
    site.add()
    site.provider.wrong = {"exp": int(time.time()) - 20, "iat": int(time.time()) + 20}
    assert site.log_in(http).status_code == 303


def test_a_new_key_is_found(site: Site, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add()
    assert site.log_in(http).status_code == 303
    site.provider.key = site.provider.new_key()
    with patient() as other:
        refused(site, other, site.log_in(other), 403, "is not to be trusted")
    monkeypatch.setattr(oidc, "RENEW_SECONDS", 0)
    with patient() as other:
        assert site.log_in(other).status_code == 303


# Providers that are slow or broken

NESTED = "[" * 60_000 + "]" * 60_000
BROKEN: dict[str, list[tuple[str, Any, int]]] = {
    DESCRIBED: [
        ("hangs", hangs, 503),
        ("drips", drips, 503),
        ("floods", floods, 403),
        ("errors", answers(500), 503),
        ("is not there", answers(404, {}), 403),
        ("leads away", answers(302, {}, {"Location": "/elsewhere"}), 403),
        ("no JSON", answers(200, "<html>"), 403),
        ("no object", answers(200, [1]), 403),
        ("nested", answers(200, NESTED), 403),
        ("another issuer", answers(200, {"issuer": "https://accounts.example"}), 403),
        ("packed", answers(200, "x", {"Content-Encoding": "gzip"}), 403),
    ],
    "/token": [
        ("token hangs", hangs, 503),
        ("token drips", drips, 503),
        ("token errors", answers(502, "Bad gateway"), 503),
        ("token is busy", answers(429, {}), 503),
        ("token refuses", answers(400, {"error": "invalid_grant"}), 403),
        ("token is none", answers(200, {"id_token": 7}), 403),
        ("token is null", answers(200, None), 403),
    ],
    "/jwks": [
        ("keys hang", hangs, 503),
        ("keys are none", answers(200, {"keys": "none"}), 403),
        ("keys are strange", answers(200, {"keys": [{"kty": "RSA", "n": 7}, 7]}), 403),
        ("keys are missing", answers(200, {}), 403),
    ],
}


@pytest.mark.parametrize("path", [DESCRIBED, "/token", "/jwks"])
def test_a_broken_provider_is_a_clear_page(
    site: Site, path: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "SECONDS", 0.7)
    monkeypatch.setattr(oidc, "AWAY_SECONDS", 0)
    site.add()
    for how, answer, status in BROKEN[path]:
        site.provider.instead[path] = answer
        forget_attempts(engine)
        with patient() as http:
            began = time.monotonic()
            answered = http.get(f"{site.url}/login/oidc") if path == DESCRIBED else site.log_in(http)
            assert time.monotonic() - began < 15, how
            refused(site, http, answered, status, "does not answer" if status == 503 else "is not to be trusted")
            assert ("retry-after" in answered.headers) is (status == 503), how
            assert 'name="password"' in answered.text, "who has a password can go on"
    site.provider.instead.clear()
    forget_attempts(engine)
    with patient() as http:
        assert site.log_in(http).status_code == 303, "and it was that which was broken"


def test_what_is_too_long_is_not_read(site: Site, http: httpx.Client) -> None:
    """Though it would be right."""
    described = patiently(f"{site.provider.issuer}{DESCRIBED}").json()
    site.provider.instead[DESCRIBED] = answers(200, {**described, "padding": " " * oidc.BYTES_MOST})
    refused(site, http, http.get(f"{site.url}/login/oidc"), 403, "is not to be trusted")
    site.provider.instead[DESCRIBED] = answers(200, {**described, "padding": " " * 1_000})
    assert http.get(f"{site.url}/login/oidc").status_code == 303


def test_endpoints_that_are_none(site: Site, http: httpx.Client) -> None:
    described = {
        "issuer": site.provider.issuer,
        "token_endpoint": f"{site.provider.issuer}/token",
        "jwks_uri": f"{site.provider.issuer}/jwks",
    }
    for address in (None, 7, "javascript:alert(1)", "//elsewhere", "http://[", "/authorize", "file:///etc/passwd"):
        told = {**described, "authorization_endpoint": address}
        site.provider.instead[DESCRIBED] = answers(200, told)
        answered = http.get(f"{site.url}/login/oidc")
        refused(site, http, answered, 403, "is not to be trusted")
    there = f"{site.provider.issuer}/authorize"
    for issuer in (f"{site.provider.issuer}/", "https://accounts.example", None):
        told = {**described, "authorization_endpoint": there, "issuer": issuer}
        site.provider.instead[DESCRIBED] = answers(200, told)
        refused(site, http, http.get(f"{site.url}/login/oidc"), 403, "is not to be trusted")
    site.provider.instead[DESCRIBED] = answers(200, {**described, "authorization_endpoint": there})
    assert http.get(f"{site.url}/login/oidc").status_code == 303


def test_those_who_come_at_once_wait_together(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "SECONDS", 0.7)
    monkeypatch.setattr(oidc, "AWAY_SECONDS", 60)
    patiently(f"{site.url}/login")  # FastAPI builds its routes at the first request
    site.provider.instead[DESCRIBED] = hangs
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: patiently(f"{site.url}/login/oidc").status_code, range(8)))
    assert codes == [503] * 8
    assert site.provider.seen == [DESCRIBED], "one has asked for all"


def test_nobody_waits_for_a_provider_that_is_away(
    settings: Settings, serve: Callable[..., Served], http: httpx.Client
) -> None:
    port = free_port()
    url = serve(create_app(with_provider(settings, f"http://127.0.0.1:{free_port()}", port)), port).url
    for _ in range(2):
        answered = http.get(f"{url}/login/oidc")
        assert (answered.status_code, "does not answer" in answered.text) == (503, True)
    assert http.post(f"{url}/login", data={"password": settings.need("admin_password")}).status_code == 303


# What comes back


def test_what_comes_back_counts_once(site: Site, http: httpx.Client) -> None:
    site.add()
    back = site.begin(http)
    cookie = {"heed_sign_in": http.cookies["heed_sign_in"]}
    patiently(f"{site.url}/login")  # FastAPI builds its routes at the first request
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(each.status_code for each in pool.map(lambda _: patiently(back, cookies=cookie), range(4)))
    assert codes == [303, 403, 403, 403]
    again = patiently(back, cookies=cookie)
    assert (again.status_code, "over already" in again.text) == (403, True)
    assert "heed_session" not in again.cookies


def test_what_was_begun_elsewhere_counts_for_nothing(site: Site, http: httpx.Client) -> None:
    site.add()
    back = site.begin(http)
    good = http.cookies["heed_sign_in"]
    with patient() as eve:
        elsewhere = site.begin(eve)
        eves = eve.cookies["heed_sign_in"]
    old = URLSafeTimedSerializer(SECRET, salt="heed.sign-in")
    old.make_signer = _in_the_past(old.make_signer)  # type: ignore[method-assign]
    state = parameters(back)["state"]
    forged = URLSafeTimedSerializer("x" * 32, salt="heed.sign-in").dumps([state, "n", "v", "/"])
    link = URLSafeTimedSerializer(SECRET, salt="heed.login-link").dumps([state, "n", "v", "/"])
    for cookie in ("", eves, forged, link, f"{good}x", good[:-3], old.dumps([state, "n", "v", "/"]), "é"):
        jar = httpx.Headers([(b"cookie", f"heed_sign_in={cookie}".encode())])
        answered = patiently(back, headers=jar if cookie else {})
        refused(site, patient(), answered, 403, "begun in another browser")
    refused(site, patient(), patiently(elsewhere, cookies={"heed_sign_in": good}), 403, "another browser")
    callback = back.partition("?")[0]
    for query in ("", "?state=", "?code=x", "?state=%00&code=%ff", f"?state={state}&code=x&iss=https://evil.example"):
        answered = patiently(callback + query, cookies={"heed_sign_in": good})
        assert answered.status_code == 403
        assert "heed_session" not in answered.cookies
    assert patiently(f"{callback}?state={'x' * 9000}", cookies={"heed_sign_in": good}).status_code in (403, 422)
    assert http.get(back).status_code == 303, "and it was that which was wrong"


def _in_the_past(make: Any) -> Any:
    def made(*given: Any) -> Any:
        signer = make(*given)
        signer.get_timestamp = lambda: int(time.time()) - sign_in.SECONDS - 2
        return signer

    return made


def test_a_way_back_that_leads_away_is_not_taken(site: Site, http: httpx.Client) -> None:
    site.add()
    for then in ("//evil.example", "https://evil.example", "/\\evil.example", "/" + "x" * 5000):
        assert site.log_in(http, then).headers["location"] == "/"


def test_one_address_does_not_try_for_ever(site: Site, http: httpx.Client) -> None:
    site.provider.signed_by = "another key"
    codes = [site.log_in(http).status_code for _ in range(logins.MOST_OF_ADDRESS + 1)]
    assert codes == [403] * logins.MOST_OF_ADDRESS + [429]


def test_while_the_database_is_away(site: Site, http: httpx.Client, engine: sa.Engine) -> None:
    site.add()
    back = site.begin(http)
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE used_links"))
        answered = http.get(back)
    assert (answered.status_code, "the database is away" in answered.text) == (503, True)


# Settings


def test_without_a_provider_there_is_none(settings: Settings, serve: Callable[..., Served]) -> None:
    url = serve(create_app(settings)).url
    assert "single sign-on" not in patiently(f"{url}/login").text
    assert patiently(f"{url}/login/oidc").status_code == 404
    assert patiently(f"{url}/login/oidc/callback?code=x&state=y").status_code == 404


@pytest.mark.parametrize("missing", ["results_url", "oidc_client_id", "oidc_client_secret"])
def test_half_a_provider_is_named_at_the_start(missing: str) -> None:
    half = with_provider(Settings(secret_key=SECRET), "https://accounts.example", 1).model_copy(update={missing: None})
    with pytest.raises(SystemExit, match=f"HEED_{missing.upper()} is not set"):
        create_app(half)


@pytest.mark.parametrize(
    "issuer",
    ["http://accounts.example", "https://a.example/?x", "https://a.example/#x", "https://[", "accounts", "https:"],
)
def test_an_issuer_that_is_none_is_named_at_the_start(
    issuer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEED_OIDC_ISSUER", issuer)
    with pytest.raises(SystemExit):
        load()
    assert capsys.readouterr().err.startswith("HEED_OIDC_ISSUER: ")


def test_how_the_site_proves_itself(site: Site, http: httpx.Client) -> None:
    """In the form, where the provider takes nothing else."""
    site.add()
    described = {
        "issuer": site.provider.issuer,
        "authorization_endpoint": f"{site.provider.issuer}/authorize",
        "token_endpoint": f"{site.provider.issuer}/token",
        "jwks_uri": f"{site.provider.issuer}/jwks",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }
    site.provider.instead[DESCRIBED] = answers(200, described)
    forms: list[bytes] = []

    async def token(request: Any) -> Any:
        assert "authorization" not in request.headers
        forms.append(await request.body())
        return await answers(400, {"error": "invalid_grant"})(request)

    site.provider.instead["/token"] = token
    refused(site, http, site.log_in(http), 403, "is not to be trusted")
    assert f"client_secret={CLIENT_SECRET}".encode() in forms[0]
