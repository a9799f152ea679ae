"""The pages of people, keys, sessions and the audit in a real browser: by keyboard, without JavaScript, on a phone, in
light and dark; and results pages for those who may not do everything.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, BrowserContext, Page, expect
from results_data import answer

from api.results.app import create_app
from heed.contracts import DEFAULT_SURVEY, Label
from heed.db import surveys
from heed.settings import Settings

PHONE = {"width": 360, "height": 740}
# No link of the site lies over the one beside it.
APART = """() => {
    const boxes = [...document.querySelectorAll(".sites a")].map((each) => each.getBoundingClientRect());
    return boxes.length > 1 && boxes.every((one, place) =>
        boxes.every((other, later) => later <= place || one.right <= other.left + 1 || one.bottom <= other.top + 1));
}"""


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site)
    with watched(context, site) as opened:
        yield opened
    context.close()


def log_in(context: BrowserContext, name: str = "", password: str = ADMIN_PASSWORD) -> None:
    entered = context.request.post("/login", form={"name": name, "password": password}, max_redirects=0)
    assert entered.status == 303


def add(site: str, name: str, role: str) -> str:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    made = httpx.post(f"{site}/api/v1/people", json={"name": name, "role": role}, headers=headers)
    return str(made.json()["password"])


def test_somebody_is_added_by_keyboard_and_logs_in(browser: Browser, page: Page, site: str) -> None:
    log_in(page.context)
    page.goto("/")
    menu = page.locator("summary", has_text="admin")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="People")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Name").fill("ann")
    page.get_by_role("radio", name="manager").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The password of ann")).to_be_visible()
    password = page.locator(".secret code").inner_text()
    other = browser.new_context(base_url=site)
    with watched(other, site) as anns:
        anns.goto("/login")
        expect(anns.get_by_label("Name")).to_be_focused()
        anns.keyboard.type("Ann")
        anns.get_by_label("Password").fill(password)
        anns.keyboard.press("Enter")
        expect(anns.get_by_text("ann", exact=True)).to_be_visible()
        page.goto("/people/ann")
        page.get_by_role("checkbox", name="disabled").check()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("disabled", exact=True)).to_be_visible()
        anns.goto("/")
        expect(anns).to_have_url(f"{site}/login")
    other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_every_page_without_javascript(browser: Browser, site: str, engine: sa.Engine, scheme: Any, size: str) -> None:
    add(site, "ann.with-a-rather-long-name@shop.example", "viewer")
    view = {"width": 1200, "height": 800} if size == "desktop" else PHONE
    context = browser.new_context(base_url=site, java_script_enabled=False, color_scheme=scheme, viewport=view)  # type: ignore[arg-type]
    with watched(context, site) as page:
        log_in(context)
        page.goto("/keys")
        page.get_by_label("Name").fill("the shop's server")
        page.get_by_role("checkbox", name="submit").check()
        page.get_by_role("button", name="Make the key").click()
        expect(page.locator(".secret code")).to_contain_text("hk_")
        seen = ["/people", "/people/ann.with-a-rather-long-name@shop.example", "/keys", "/sessions", "/audit", "/none"]
        for path in ("made", *seen):
            if path != "made":
                page.goto(path)
            page.get_by_text("admin", exact=True).first.click()
            expect(page.get_by_role("button", name="Log out", exact=True)).to_be_visible()
            picture(page, f"people-{path.strip('/').partition('.')[0].replace('/', '-')}-{size}-{scheme}")
        page.goto("/sessions")
        page.get_by_role("button", name="Log out the session").click()
        expect(page).to_have_url(f"{site}/login?next=/sessions")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_for_axe_to_find_and_nothing_too_wide(
    browser: Browser, site: str, engine: sa.Engine, scheme: Any
) -> None:
    add(site, "ann", "viewer")
    with engine.begin() as connection:
        long = DEFAULT_SURVEY.model_copy(update={"slug": "long", "question": "Zufriedenheit" * 20})
        surveys.save(connection, "tests", long)
    context = browser.new_context(base_url=site, color_scheme=scheme, viewport=PHONE)  # type: ignore[arg-type]
    with watched(context, site) as page:
        page.goto("/login")
        assert_accessible(page)
        log_in(context)
        for path in ("/people", "/people/ann", "/people/admin", "/keys", "/sessions", "/audit", "/audit?actor=x"):
            page.goto(path)
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
            assert page.evaluate(APART), path
            assert "changed: ;" not in page.content()
        page.locator("summary", has_text="admin").click()
        assert_accessible(page)
    context.close()


def test_a_viewer_is_offered_what_a_viewer_may(page: Page, site: str, engine: sa.Engine) -> None:
    answer_id = answer(engine, "Hm.", label=Label.NEGATIVE, p_negative=0.5)
    log_in(page.context, "ann", add(site, "ann", "viewer"))
    page.goto("/")
    expect(page.get_by_role("status")).to_have_text("live")
    expect(page.get_by_text("Hm.")).to_be_visible()
    for name in ("Review", "All answers as CSV"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    page.goto(f"/feedback/{answer_id}")
    expect(page.get_by_text("Nobody has said anything yet.")).to_be_visible()
    expect(page.get_by_role("button", name="needs")).to_have_count(0)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    page.goto("/")
    expect(page.get_by_role("status")).to_have_text("live")
    assert httpx.patch(f"{site}/api/v1/people/ann", json={"disabled": True}, headers=headers).is_success
    page.evaluate("window.same = true")
    expect(page.get_by_role("status")).to_have_text("logged out", timeout=10_000)
    expect(page.get_by_text("Hm.")).to_be_visible()
    assert page.evaluate("window.same")
