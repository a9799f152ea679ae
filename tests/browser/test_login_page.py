"""The login page and one's own account in a real browser: by a provider all the way, without JavaScript, by keyboard,
on a phone, in light and dark.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import API_KEY, Served, free_port
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, Page, expect
from provider import CLIENT, CLIENT_SECRET, Provider, answers

from api.results.app import create_app
from heed.settings import Settings

PHONE, DESKTOP, NARROW = {"width": 390, "height": 844}, {"width": 1280, "height": 800}, {"width": 320, "height": 640}
KEY = {"Authorization": f"Bearer {API_KEY}"}
ANN = {"sub": "248289761001", "email": "ann@example.com", "email_verified": True}
NEW = "four words of hers"


@pytest.fixture
def provider(serve: Callable[..., Served]) -> Provider:
    port = free_port()
    made = Provider(f"http://localhost:{port}", claims=dict(ANN))  # another site to the browser, as a real one is
    serve(made.app(), port)
    return made


@pytest.fixture
def site(settings: Settings, serve: Callable[..., Served], provider: Provider) -> str:
    port = free_port()
    given = {
        "results_url": f"http://127.0.0.1:{port}",
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Example",
    }
    return serve(create_app(Settings.model_validate({**settings.model_dump(), **given})), port).url


def add(site: str, name: str, password: bool = True) -> str:
    wanted = {"name": name, "role": "viewer", "password": password}
    made = httpx.post(f"{site}/api/v1/people", json=wanted, headers=KEY)
    return str(made.raise_for_status().json()["password"])


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_by_the_provider_and_without_javascript(browser: Browser, site: str, provider: Provider, scheme: Any) -> None:
    add(site, "ann@example.com", password=False)
    context = browser.new_context(
        base_url=site,
        color_scheme=scheme,
        viewport=PHONE,
        java_script_enabled=scheme == "light",  # type: ignore[arg-type]
    )
    with watched(context, site, provider.issuer) as page:
        provider.instead["/token"] = answers(500)
        page.goto("/sessions")
        expect(page).to_have_url(f"{site}/login?next=/sessions")
        picture(page, f"login-provider-phone-{scheme}")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Log in with Example")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(
            "Nobody was logged in: Example does not answer at the moment. Try again."
        )
        picture(page, f"login-provider-away-phone-{scheme}")
        provider.instead.clear()
        page.get_by_role("link", name="Log in with Example").click()
        expect(page).to_have_url(f"{site}/sessions")
        expect(page.get_by_text("you log in by the provider that knows you")).to_be_visible()
        picture(page, f"account-provider-phone-{scheme}")
        cookies = {each["name"] for each in context.cookies(f"{site}/login/oidc")}
        assert cookies == {"heed_session"}
        page.locator("summary", has_text="ann@example.com").click()
        page.get_by_role("button", name="Log out", exact=True).click()
        provider.claims = {**ANN, "sub": "the next Ann"}
        page.get_by_role("link", name="Log in with Example").click()
        expect(page.get_by_role("alert")).to_contain_text("an admin has to add ann@example.com")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_password_of_ones_own_by_keyboard(browser: Browser, site: str, scheme: Any) -> None:
    old = add(site, "ann")
    context = browser.new_context(base_url=site, color_scheme=scheme, viewport=DESKTOP)  # type: ignore[arg-type]
    with watched(context, site) as page:
        page.goto("/login")
        assert_accessible(page)
        picture(page, f"login-provider-desktop-{scheme}")
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill(old)
        page.keyboard.press("Enter")
        page.locator("summary", has_text="ann").click()
        page.get_by_role("link", name="Your account").click()
        page.get_by_label("Password you have now").focus()
        for word in ("wrong", NEW, NEW):
            page.keyboard.type(word)
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Change it")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the password that you have now.")
        assert page.get_by_label("Password you have now").input_value() == ""
        assert_accessible(page)
        picture(page, f"account-wrong-desktop-{scheme}")
        page.get_by_label("Password you have now").fill(old)
        page.get_by_label("New password", exact=True).fill(NEW)
        page.get_by_label("New password again").fill(NEW)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("Your password is changed. You are logged out everywhere else.")
        assert_accessible(page)
        for size, view in (("desktop", DESKTOP), ("phone", PHONE), ("narrow", NARROW)):
            page.set_viewport_size(view)  # type: ignore[arg-type]
            fits(page)
            picture(page, f"account-{size}-{scheme}")
    context.close()


def test_an_admin_lets_people_in_by_the_provider(browser: Browser, site: str, provider: Provider) -> None:
    context = browser.new_context(base_url=site, viewport=PHONE)  # type: ignore[arg-type]
    with watched(context, site, provider.issuer) as page:
        context.request.post("/login", form={"password": "tests-only-password"})
        page.goto("/people")
        page.get_by_role("textbox", name="Name").fill("ann@example.com")
        page.get_by_role("checkbox", name="without a password").check()
        picture(page, "people-without-password-phone")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("status")).to_contain_text("ann@example.com may log in by the provider")
        assert_accessible(page)
        fits(page)
        with httpx.Client() as ann:
            asked = ann.get(f"{site}/login/oidc").headers["location"]
            assert ann.get(httpx.get(asked).headers["location"]).status_code == 303
            page.goto("/people/ann@example.com")
            assert_accessible(page)
            fits(page)
            picture(page, "person-known-to-the-provider-phone")
            page.get_by_role("button", name="Forget whom it knew").click()
            expect(page.get_by_role("heading", name="The provider")).to_have_count(0)
            assert ann.get(f"{site}/api/v1/me").status_code == 401
        page.goto("/audit?action=sign-in-known")
        expect(page.get_by_role("cell", name="sign-in-known")).to_be_visible()
        assert_accessible(page)
        picture(page, "audit-phone")
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        page.goto("/audit")
        picture(page, "audit-desktop")
        page.goto("/people")
        picture(page, "people-desktop")
    context.close()
