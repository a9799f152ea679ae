"""The results site in a real browser: logging in, and a page that follows what happens without a reload."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, SECRET, Served
from playwright.sync_api import Browser, Page, expect
from results_data import answer

from api.results.app import create_app
from heed.contracts import Contact, Label, TicketState
from heed.db.notify import changed
from heed.db.tables import ticket_counts, tickets
from heed.links import make_login_token
from heed.settings import Settings


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings.model_copy(update={"zendesk_subdomain": "acme"}))).url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that may not complain: script errors, refused content and failed requests fail the test.

    What answers 503 is away for a moment, which pages are made for.
    """
    context = browser.new_context(base_url=site)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert [text for text in complaints if "status of 503" not in text] == []


def log_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("live")


def test_from_nothing_to_the_first_answers(page: Page, engine: sa.Engine) -> None:
    log_in(page)
    expect(page.get_by_role("heading", name="No answers yet")).to_be_visible()
    expect(page.get_by_role("link", name="Open the form")).to_have_attribute("href", "http://127.0.0.1:5000/")
    expect(page.get_by_role("heading", name="Votes", exact=True)).to_be_hidden()
    page.evaluate("window.same = true")

    answer(engine, "Only words.", label=Label.NEUTRAL, p_negative=0.2)
    expect(page.get_by_text("Only words.")).to_be_visible()
    expect(page.get_by_text("No votes yet").first).to_be_visible()
    expect(page.get_by_role("heading", name="No answers yet")).to_be_hidden()

    answer_id = answer(engine, "<b>Late</b> & broken", vote="bad", rating=1, label=Label.NEGATIVE, p_negative=0.9)
    expect(page.get_by_text("<b>Late</b> & broken")).to_be_visible()
    expect(page.get_by_role("region", name="Votes", exact=True)).to_contain_text("1 · 100 %")
    expect(page.get_by_text("Ticket waiting")).to_be_visible()
    assert page.locator("#newest li").first.get_attribute("data-id") == str(answer_id)

    with engine.begin() as connection:
        values = {"feedback_id": answer_id, "state": TicketState.OPENED, "attempts": 1, "desk_id": 7}
        connection.execute(sa.insert(tickets).values(**values, desk_status="open", first_attempt_at=sa.func.now()))
        connection.execute(sa.insert(ticket_counts).values(survey="default", state=TicketState.OPENED, tickets=1))
        changed(connection, "default")
    link = page.get_by_role("link", name="Ticket 7: open")
    expect(link).to_have_attribute("href", "https://acme.zendesk.com/agent/tickets/7")

    assert page.evaluate("window.same")  # all that without a reload


def test_one_answer_and_back(page: Page, engine: sa.Engine) -> None:
    turning = "\u202eAnn"  # what follows reads from right to left, if nothing keeps it in its place
    contact = Contact(name=turning, email="ann@example.com", reply=True)
    answer(engine, "Nobody answers.", vote="bad", label=Label.NEGATIVE, p_negative=0.9, contact=contact)
    log_in(page)
    page.get_by_role("link", name="Details").click()
    expect(page.get_by_role("heading", name="One answer")).to_be_visible()
    for words in (
        "Nobody answers.",
        "the words read negative; the chosen option counts as unhappy; the customer asks to be contacted",
        "90 % likely",
        "Ticket waiting",
    ):
        expect(page.get_by_text(words)).to_be_visible()
    expect(page.locator("bdi")).to_have_text([turning, "ann@example.com"])
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_text("admin", exact=True).click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Name")).to_be_focused()


def test_a_link_logs_in_once(browser: Browser, page: Page, site: str) -> None:
    link = f"/login?once={make_login_token(SECRET)}"
    page.goto(link)
    expect(page.get_by_role("status")).to_have_text("live")
    other = browser.new_context(base_url=site)
    second = other.new_page()
    second.goto(link)
    expect(second.get_by_role("alert")).to_contain_text("already used")
    expect(second.get_by_label("Password")).to_be_visible()
    second.goto("/")
    expect(second).to_have_url(f"{site}/login")
    other.close()


def test_the_database_goes_and_comes_back(page: Page, engine: sa.Engine) -> None:
    answer(engine, "Seen before.", vote="good")
    log_in(page)
    name = engine.url.database
    engine.dispose()
    admin = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        expect(page.get_by_role("status")).to_have_text("reconnecting")
        expect(page.get_by_text("The database cannot be reached")).to_be_visible()
        expect(page.get_by_text("Seen before.")).to_be_visible()
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    admin.dispose()
    answer(engine, "Back again.", vote="good")
    expect(page.get_by_text("Back again.")).to_be_visible(timeout=10_000)
    expect(page.get_by_role("status")).to_have_text("live")
    expect(page.get_by_text("The database cannot be reached")).to_be_hidden()
    expect(page.locator(".tile").first).to_have_text("Answers2▲ 2 more (0 before)")


def test_shares_are_not_rounded_to_none_or_all(page: Page) -> None:
    log_in(page)
    shown = """import("/static/dom.js").then(({ figure }) =>
      [0, 1, 5, 500, 996, 1000].map((number) => figure("", number, 1000).textContent.split("· ")[1]))"""
    assert page.evaluate(shown) == ["0 %", "< 1 %", "1 %", "50 %", "> 99 %", "100 %"]


def test_small_screen_and_keyboard(page: Page, engine: sa.Engine) -> None:
    answer(engine, "word " * 200 + "x" * 300, vote="good", rating=5, label=Label.POSITIVE)
    page.set_viewport_size({"width": 360, "height": 700})
    log_in(page)
    expect(page.get_by_text("Rated 5.0 of 5")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="7 days").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
