"""The feedback page in a real browser: searching, keys, verdicts and what undoes them, what changes meanwhile, choosing
and exporting, views that are kept; on a phone, in the dark, without scripts.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, Served
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from results_data import answer, erase

from api.results.app import create_app
from heed import passwords
from heed.contracts import Contact, Judge, Label, Role, TicketState
from heed.db import people
from heed.db.notify import changed
from heed.db.tables import outbox, tickets, verdicts
from heed.db.verdicts import say
from heed.settings import Settings

PHONE = {"width": 320, "height": 700}
LIVE = 20_000  # the page looks every few seconds, and this machine may be busy


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings.model_copy(update={"zendesk_subdomain": "acme"}))).url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site, timezone_id="Asia/Tokyo")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(context)
    with watched(context, site) as opened:
        yield opened
    context.close()


def log_in(context: BrowserContext, name: str = "", password: str = ADMIN_PASSWORD) -> None:
    assert context.request.post("/login", form={"name": name, "password": password}, max_redirects=0).status == 303


def row(page: Page, answer_id: UUID) -> Locator:
    return page.locator(f'#rows > li[data-id="{answer_id}"]')


def open_list(page: Page, query: str = "") -> None:
    page.goto(f"/feedback{query}")
    expect(page.locator("#live")).to_have_text("live")


def said(engine: sa.Engine) -> list[tuple[UUID, bool]]:
    with engine.begin() as connection:
        rows = connection.execute(sa.select(verdicts.c.feedback_id, verdicts.c.needs_person).order_by("id")).all()
    return [(row.feedback_id, row.needs_person) for row in rows]


def fill(engine: sa.Engine) -> dict[str, UUID]:
    """One answer of each kind, oldest first."""
    at = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)
    bad = {"vote": "bad", "label": Label.NEGATIVE, "p_negative": 0.9}
    made = {
        "ticket": answer(engine, "The delivery was late, twice.", rating=1, at=at, **bad),
        "failed": answer(
            engine, "Broken. I want my money back!", contact=Contact(email="a@example.com", reply=True), **bad
        ),
        "plain": answer(
            engine, "The late delivery was not too bad.", vote="good", rating=4, label=Label.NEUTRAL, p_negative=0.2
        ),
        "german": answer(engine, "Die Lieferung kam spät.", language="de"),
        "flagged": answer(
            engine, "Buy cheap watches", flags=("honeypot", "fast"), label=Label.POSITIVE, p_negative=0.1
        ),
        "gone": answer(engine, "My address is …", vote="good"),
        "silent": answer(engine, "", vote="good", rating=5),
    }
    erase(engine, made["gone"])
    with engine.begin() as connection:
        for key, state, desk in (("ticket", TicketState.OPENED, 7), ("failed", TicketState.FAILED, None)):
            values = {"feedback_id": made[key], "state": state, "attempts": 1, "first_attempt_at": sa.func.now()}
            connection.execute(sa.insert(tickets).values(**values, desk_id=desk, desk_status="open" if desk else None))
    return made


def test_found_read_and_judged_by_keyboard(page: Page, engine: sa.Engine) -> None:
    made = fill(engine)
    open_list(page)
    assert_accessible(page)
    picture(page, "feedback-light")
    expect(row(page, made["ticket"]).locator("time")).to_have_text("2 Mar 2026, 05:30")  # of this place
    expect(row(page, made["ticket"]).get_by_role("link", name="Ticket 7: open")).to_have_attribute(
        "href", "https://acme.zendesk.com/agent/tickets/7"
    )
    page.get_by_label("Words in the comment").fill("late delivery")
    page.keyboard.press("Enter")
    page.wait_for_url("**/feedback?survey=default&q=late+delivery")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("mark")).to_have_text(["late", "delivery", "delivery", "late"])
    # Keys do nothing in fields.
    page.get_by_label("Words in the comment").focus()
    page.keyboard.press("End")
    page.keyboard.type("xyn?j")
    expect(page.get_by_label("Words in the comment")).to_have_value("late deliveryxyn?j")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("heading", name="Feedback").click()
    page.keyboard.press("y")  # on no row yet
    page.keyboard.press("j")
    expect(row(page, made["plain"])).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")  # there is none further
    expect(row(page, made["ticket"])).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#said")).to_have_text("Noted: a false alarm. The ticket stays as it is.")
    expect(row(page, made["ticket"])).to_contain_text("Judged: a false alarm")
    expect(row(page, made["ticket"]).get_by_role("button", name="False alarm", pressed=True)).to_be_visible()
    picture(page, "feedback-undo")
    expect(row(page, made["ticket"])).to_be_focused()
    expect(row(page, made["ticket"]).locator("mark")).to_have_text(["delivery", "late"])
    page.keyboard.press("u")
    expect(page.locator("#said")).to_have_text("Noted: it needed a person.")
    expect(row(page, made["ticket"])).to_contain_text("Judged: needs a person")
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(page.locator("#said")).to_have_text("Noted: it needs nobody.")
    expect(row(page, made["plain"])).to_contain_text("Judged: needs nobody")
    expect(page.get_by_role("button", name="Open a ticket after all")).to_be_visible()
    page.keyboard.press("u")  # not for what opens a ticket, and undoes nothing
    page.get_by_role("button", name="Close this message").click()
    expect(row(page, made["plain"])).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#said")).to_have_text("Noted: it needs nobody.")
    page.keyboard.press("y")
    expect(page.locator("#said")).to_have_text("Noted. The ticket is on its way.")
    expect(row(page, made["plain"])).to_contain_text("Ticket waiting")
    expect(page.locator("#undo button")).to_have_count(0)  # a ticket is not taken back
    ticket, plain = made["ticket"], made["plain"]
    assert said(engine) == [(ticket, False), (ticket, True), (plain, False), (plain, True)]
    with engine.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one() == 3
    picture(page, "feedback-judged")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert_accessible(page)
    picture(page, "feedback-keys")
    page.get_by_label("Use these keys in this browser").uncheck()
    page.keyboard.press("Escape")
    row(page, made["plain"]).focus()
    for key in ("j", "n", "x", "?"):
        page.keyboard.press(key)
    expect(row(page, made["plain"])).to_be_focused()
    open_list(page, "?q=late+delivery")
    page.keyboard.press("j")
    expect(row(page, made["plain"])).not_to_be_focused()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys in this browser").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    # The answer, and those beside it in the view.
    expect(page.get_by_role("heading", name="One answer")).to_be_visible()
    expect(page.get_by_text("The late delivery was not too bad.")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("j")
    expect(page.get_by_text("The delivery was late, twice.")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_role("status")).to_have_text("Thank you. Your verdict is kept.")
    page.keyboard.press("k")
    expect(page.get_by_text("The late delivery was not too bad.")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    page.wait_for_url("**/feedback?survey=default&q=late+delivery")
    assert said(engine)[4:] == [(made["ticket"], False)]


def test_what_comes_and_changes_meanwhile(page: Page, engine: sa.Engine) -> None:
    first = answer(engine, "First of all.", vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    other = answer(engine, "Not that unhappy.", vote="good", label=Label.NEUTRAL, p_negative=0.1)
    open_list(page, "?label=negative")
    expect(row(page, other)).to_have_count(0)
    details = row(page, first).get_by_role("link", name="Details")
    address = details.get_attribute("href")
    details.focus()
    with engine.begin() as connection:  # from another browser, and from the desk
        say(connection, first, True, Judge.MANAGER)
        values = {"feedback_id": first, "state": TicketState.OPENED, "attempts": 1, "first_attempt_at": sa.func.now()}
        connection.execute(sa.insert(tickets).values(**values, desk_id=9, desk_status="new"))
        changed(connection, "default")
    expect(row(page, first)).to_contain_text("Judged: needs a person", timeout=LIVE)
    expect(row(page, first).get_by_role("link", name="Ticket 9: new")).to_be_visible(timeout=LIVE)
    expect(details).to_be_focused()
    assert details.get_attribute("href") == address
    answer(engine, "Quite content.", label=Label.POSITIVE, p_negative=0.1)
    later = [answer(engine, f"Later {n}.", label=Label.NEGATIVE, p_negative=0.9) for n in range(2)]
    fresh = page.get_by_role("link", name="2 new answers: show")
    expect(fresh).to_be_visible(timeout=LIVE)
    assert_accessible(page)
    picture(page, "feedback-fresh")
    expect(page.locator("#rows > li")).to_have_count(1)  # nothing moves by itself
    fresh.click()
    expect(page.locator("#rows > li")).to_have_count(3)
    expect(page.locator("#live")).to_have_text("live")
    erase(engine, later[0])
    with engine.begin() as connection:
        changed(connection, "default")
    expect(row(page, later[0])).to_contain_text("Erased on", timeout=LIVE)
    # Without a connection the list stays, and a verdict is not shown as given.
    page.context.set_offline(True)
    row(page, first).get_by_role("button", name="False alarm").click()
    expect(page.get_by_role("alert")).to_contain_text("Your verdict may not be kept", timeout=LIVE)
    expect(page.get_by_text("The connection is lost")).to_be_visible()
    expect(row(page, first)).to_contain_text("Judged: needs a person")
    picture(page, "feedback-offline")
    page.context.set_offline(False)
    row(page, first).get_by_role("button", name="False alarm").click()
    expect(row(page, first)).to_contain_text("Judged: a false alarm", timeout=LIVE)
    expect(page.get_by_role("alert")).to_be_empty()


def test_chosen_exported_and_kept_as_a_view(page: Page, engine: sa.Engine) -> None:
    made = fill(engine)
    open_list(page)
    expect(page.get_by_role("button", name="Export as CSV")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("x")
    row(page, made["failed"]).get_by_role("checkbox").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Export as JSON lines").click()
    lines = coming.value.path().read_text(encoding="utf-8").splitlines()
    assert [str(made[key]) in line for key, line in zip(("silent", "failed"), lines, strict=True)] == [True, True]
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("7 selected")).to_be_visible()
    page.get_by_label("Select all on this page").uncheck()
    page.locator("#filters summary").click()
    assert page.locator("#tz").input_value() == "Asia/Tokyo"
    page.get_by_label("Reads").select_option(label="Negative (2)")
    page.get_by_label("From").fill("2026-03-02")
    page.get_by_label("To", exact=True).fill("2026-03-02")
    assert_accessible(page)
    picture(page, "feedback-filters")
    page.get_by_role("button", name="Show").last.click()
    expect(page.locator("#rows > li")).to_have_count(1)
    expect(row(page, made["ticket"])).to_be_visible()  # on that day here, the day before in UTC
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV of all that fits").click()
    assert coming.value.path().read_text(encoding="utf-8-sig").count("The delivery was late") == 1
    page.get_by_role("button", name="Copy link to this view").click()
    expect(page.locator("#said")).to_have_text("The link is copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.get_by_text("Keep this view").click()
    page.get_by_label("Name").fill("That <b>Monday</b>")
    page.keyboard.press("Enter")
    kept = page.get_by_role("navigation", name="Your views")
    expect(kept.get_by_role("link", name="That <b>Monday</b>")).to_have_attribute("aria-current", "page")
    assert_accessible(page)
    page.get_by_role("link", name="From 2026-03-02").click()
    page.get_by_role("link", name="Clear filters").first.click()
    expect(page.locator("#rows > li")).to_have_count(7)
    kept.get_by_role("link", name="That <b>Monday</b>").click()
    expect(page.locator("#rows > li")).to_have_count(1)
    page.get_by_role("button", name="Remove That <b>Monday</b>").click()
    expect(kept).to_be_hidden()
    page.evaluate("localStorage.setItem('feedback-views:admin', '{nonsense')")
    open_list(page, "?q=never")
    expect(page.get_by_role("heading", name="No answer fits")).to_be_visible()
    assert_accessible(page)
    picture(page, "feedback-none")
    page.get_by_role("link", name="Clear filters").last.click()
    expect(page.locator("#rows > li")).to_have_count(7)


def test_views_are_their_persons_in_a_browser_that_is_shared(page: Page, engine: sa.Engine) -> None:
    fill(engine)
    with engine.begin() as connection:
        people.add(connection, "tests", "ann", Role.MANAGER, None, passwords.hash_of("their-password"))
    kept = page.get_by_role("navigation", name="Your views")
    open_list(page, "?q=delivery")
    page.get_by_text("Keep this view").click()
    page.get_by_label("Name", exact=True).fill("About Mrs Smith")
    page.keyboard.press("Enter")
    expect(kept.get_by_role("link", name="About Mrs Smith")).to_be_visible()
    page.locator(".bar .menu > summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    log_in(page.context, "ann", "their-password")
    open_list(page)
    expect(page.locator("#keep")).to_be_visible()  # the views were looked for
    expect(kept).to_be_hidden()
    log_in(page.context)
    open_list(page)
    expect(kept.get_by_role("link", name="About Mrs Smith")).to_be_visible()


def test_menus_close_when_they_are_left(page: Page, engine: sa.Engine) -> None:
    fill(engine)
    open_list(page)
    you, keep = page.locator(".bar .menu"), page.locator("#keep .menu")
    account = page.get_by_role("link", name="Your account")
    you.locator("summary").click()
    expect(account).to_be_visible()
    page.keyboard.press("Escape")
    expect(account).to_be_hidden()
    keep.locator("summary").click()
    page.get_by_label("Name", exact=True).fill("Mine")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Name", exact=True)).to_be_hidden()
    expect(keep.locator("summary")).to_be_focused()
    you.locator("summary").click()
    expect(account).to_be_visible()
    page.get_by_role("heading", name="Feedback", exact=True).click()
    expect(account).to_be_hidden()
    you.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(account).to_be_visible()
    page.get_by_role("link", name="Overview").focus()
    expect(account).to_be_hidden()


def test_a_viewer_on_a_phone_in_the_dark(browser: Browser, site: str, engine: sa.Engine) -> None:
    made = fill(engine)
    answer(engine, "x" * 400)
    with engine.begin() as connection:
        people.add(connection, "tests", "few", Role.VIEWER, None, passwords.hash_of("their-password"))
    context = browser.new_context(base_url=site, viewport=PHONE, color_scheme="dark")
    log_in(context, "few", "their-password")
    with watched(context, site) as page:
        open_list(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for offered in ("False alarm", "Export", "CSV"):
            expect(page.get_by_text(offered)).to_have_count(0)
        expect(page.get_by_role("checkbox")).to_have_count(0)
        page.keyboard.press("j")
        page.keyboard.press("n")
        page.keyboard.press("y")
        assert_accessible(page)
        picture(page, "feedback-phone-dark")
        page.locator("#filters summary").click()
        page.get_by_text("Keep this view").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        picture(page, "feedback-phone-dark-filters")
        row(page, made["plain"]).get_by_role("link", name="Details").click()
        expect(page.get_by_text("The late delivery was not too bad.")).to_be_visible()
        expect(page.get_by_role("button", name="This needs")).to_have_count(0)
        page.keyboard.press("y")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        picture(page, "answer-phone-dark")
    context.close()
    assert said(engine) == []


def test_without_scripts(browser: Browser, site: str, engine: sa.Engine) -> None:
    fill(engine)
    context = browser.new_context(base_url=site, java_script_enabled=False)
    log_in(context)
    page = context.new_page()
    page.goto("/feedback")
    page.get_by_label("Words in the comment").fill("late")
    page.locator("#filters summary").click()
    page.get_by_label("Vote").select_option("good")
    page.get_by_role("button", name="Show").first.click()
    expect(page.locator("#rows > li")).to_have_count(1)
    expect(page.locator("mark")).to_have_text("late")
    expect(page.get_by_role("button", name="Keys")).to_have_count(0)
    expect(page.get_by_role("button", name="Needs nobody")).to_have_count(0)
    page.get_by_role("checkbox").check()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Export as CSV").click()
    assert len(coming.value.path().read_text(encoding="utf-8").splitlines()) == 2
    page.get_by_role("link", name="Vote: ").click()
    expect(page.locator("#rows > li")).to_have_count(2)
    context.close()
