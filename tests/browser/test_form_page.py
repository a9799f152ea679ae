"""The customer's form in a real browser, with scripts and without: no complaints, and no request leaves the site."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Served
from playwright.sync_api import Browser, Locator, Page, expect

from api.feedback.app import create_app
from heed.contracts import StreamEntry
from heed.contracts.entry import parse_entry
from heed.settings import Settings
from heed.stream.queue import Queue


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture(params=[True, False], ids=["with-scripts", "without-scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Page]:
    """A page on the form. Complaints of the browser fail the test, and so do requests to elsewhere.

    A browser reports a refused form (422) and a second answer (409) as failed loads, though both are pages.
    """
    context = browser.new_context(base_url=site, java_script_enabled=request.param)
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda sent: None if sent.url.startswith(f"{site}/") else complaints.append(sent.url))
    opened.goto("/")
    yield opened
    context.close()
    assert [text for text in complaints if not re.search(r"status of (409|422)", text)] == []


@pytest.fixture
def accepted(settings: Settings) -> Callable[[], list[StreamEntry]]:
    """Every entry that came onto the queue since last asked."""
    queue = Queue.connect(settings)
    return lambda: [parse_entry(delivery.fields) for delivery in queue.read("test", 100, 0.05)]


def option(page: Page, label: str) -> Locator:
    return page.get_by_role("radio", name=label, exact=True)


def test_an_answer_and_another(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    option(page, "Bad").check()
    page.get_by_role("radio", name="2 Bad").check()
    page.get_by_label("What should we know?").fill("<b>Late</b> & broken\nTwice.")
    page.get_by_text("Would you like a reply?").click()
    page.get_by_label("Name").fill("Ann")
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Yes, please reply to me").check()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    receipt = page.url
    [entry] = accepted()
    assert (entry.vote, entry.rating, entry.comment) == ("bad", 2, "<b>Late</b> & broken\nTwice.")
    assert entry.contact is not None
    assert (entry.contact.name, entry.contact.email, entry.contact.reply) == ("Ann", "ann@example.com", True)
    page.reload()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

    page.goto("/")
    option(page, "Good").check()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="You have already answered")).to_be_visible()
    page.get_by_role("link", name="See the receipt of your first answer").click()
    expect(page).to_have_url(receipt)
    assert accepted() == []


def test_a_double_click_counts_once(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    option(page, "Good").check()
    page.get_by_role("button", name="Send").dblclick()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert len(accepted()) == 1


def test_a_refused_form_says_what_to_change(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    page.get_by_role("button", name="Send").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Please choose an option")
    expect(alert).to_be_focused()
    expect(page).to_have_title(re.compile("^Please check: "))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Your vote")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(option(page, "Good")).to_be_checked()

    page.get_by_label("What should we know?").fill("\n  My <i>words</i>")
    page.get_by_text("Would you like a reply?").click()
    page.get_by_label("E-mail").fill("nonsense")
    page.get_by_label("Yes, please reply to me").check()
    page.get_by_role("button", name="Send").click()
    expect(option(page, "Good")).to_be_checked()
    expect(page.get_by_label("What should we know?")).to_have_value("\n  My <i>words</i>")
    expect(page.get_by_label("Yes, please reply to me")).to_be_checked()
    address = page.get_by_label("E-mail")
    expect(address).to_have_value("nonsense")
    expect(address).to_have_accessible_description(re.compile("check the e-mail address"))
    page.get_by_role("alert").get_by_role("link").click()
    expect(address).to_be_focused()
    assert accepted() == []

    address.fill("ann@example.com")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["\n  My <i>words</i>"]


def test_keyboard_and_small_screen(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for expected in ("Good", "1", "What should we know? optional", "Would you like a reply? optional", "Send"):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        name = focused.evaluate("e => (e.labels?.[0] ?? e).innerText.replace(/\\s+/g, ' ').trim()")
        assert expected in name
    box = page.locator("main").bounding_box()
    assert box is not None
    assert box["width"] <= 320
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("E-mail")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("By keyboard.")
    page.get_by_label("E-mail").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["By keyboard."]
