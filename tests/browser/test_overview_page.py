"""The overview in a real browser: periods and charts, live and paused, two browsers at once, without scripts, and the
digest."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from results_data import answer

from api.results.app import create_app
from heed.contracts import DEFAULT_SURVEY, Driver, Label, TicketState
from heed.db import outbox
from heed.db.notify import changed
from heed.db.tables import surveys, ticket_counts, tickets
from heed.settings import Settings

BERLIN: dict[str, Any] = {"timezone_id": "Europe/Berlin", "locale": "en-GB"}
PHONE: dict[str, Any] = {"viewport": {"width": 320, "height": 700}}


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings.model_copy(update={"zendesk_subdomain": "acme"}))).url


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Callable[..., BrowserContext]]:
    """Contexts that are logged in."""
    made: list[BrowserContext] = []

    def open_one(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=site, **{**BERLIN, **options})
        made.append(context)
        assert context.request.post("/login", form={"name": "admin", "password": ADMIN_PASSWORD}).ok
        return context

    yield open_one
    for context in made:
        context.close()


def unhappy(engine: sa.Engine, words: str, at: datetime | None = None, **more: Any) -> Any:
    drivers = [Driver("~work", 0, 4, -0.5), Driver("software", 0, 4, -0.4)]
    read: dict[str, Any] = {"label": Label.NEGATIVE, "p_negative": 0.9, "score": -1.0, "drivers": drivers}
    return answer(engine, words, at=at, **{**read, **more})


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile").filter(has=page.get_by_text(name, exact=True))


def loaded(page: Page) -> None:
    """The period's figures are there, whatever was shown before."""
    expect(page.locator("#overview")).to_have_attribute("aria-busy", "false")


def test_periods_charts_words_and_print(site: str, engine: sa.Engine, opened: Callable[..., BrowserContext]) -> None:
    now = datetime.now(UTC)
    for number in range(6):
        unhappy(engine, f"It does not work {number}", now - timedelta(days=2 * number), vote="bad", rating=2)
        answer(engine, f"Lovely {number}", vote="good", rating=5, label=Label.POSITIVE, at=now - timedelta(days=number))
    first = unhappy(engine, "Software fails.", now - timedelta(days=40))
    with engine.begin() as connection:
        times = {"first_attempt_at": now, "opened_at": now - timedelta(days=40) + timedelta(seconds=12)}
        values = {"feedback_id": first, "state": TicketState.OPENED, "attempts": 1, "desk_id": 7}
        connection.execute(sa.insert(tickets).values(**values, **times))
        connection.execute(sa.insert(ticket_counts).values(survey="default", state=TicketState.OPENED, tickets=1))
        outbox.close(connection, first)
    with watched(opened(color_scheme="light"), site) as page:
        held: list[Route] = []
        page.route("**/overview?*", lambda route: held.append(route))
        page.goto("/")
        expect(page.get_by_text("Reading the figures …")).to_be_visible()
        assert_accessible(page)
        picture(page, "overview-reading")
        for each in held:
            each.continue_()
        page.unroute("**/overview?*")
        loaded(page)
        expect(tile(page, "Answers")).to_contain_text("12▲ 11 more (1 before)")
        expect(tile(page, "Negative, of the words read")).to_contain_text("50 %▼ 50 points less (100 % before)")
        expect(tile(page, "Until the ticket is there")).to_contain_text("no tickets12 s before")
        expect(tile(page, "Open tickets now")).to_contain_text("1oldest without a ticket: 10 days")
        expect(page.locator("#span")).to_contain_text("by day, in the time of Europe/Berlin")
        moods = page.get_by_role("img", name="What the words say, over time: 12 answers: Negative 50 %")
        expect(moods).to_be_visible()
        light = moods.evaluate("canvas => canvas.toDataURL()")
        blank = (
            "canvas => Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height })"
        )
        assert light != moods.evaluate(f"canvas => ({blank})(canvas).toDataURL()")
        word = page.get_by_role("link", name="not … work")
        period = r"&from=\d{4}-\d\d-\d\d&to=\d{4}-\d\d-\d\d&tz=Europe%2FBerlin"
        expect(word).to_have_attribute("href", re.compile(rf"/feedback\?survey=default&label=negative&q=work{period}$"))
        expect(page.get_by_role("region", name="Why tickets were asked for")).to_contain_text(
            "The words read negative6 · 100 %"
        )
        polls = page.get_by_role("region", name="Votes over time", exact=True)
        polls.get_by_text("As a table").click()
        expect(polls.get_by_role("row")).to_have_count(10)  # the head, and nine days with answers
        expect(polls.get_by_role("columnheader")).to_have_text(["Day", "Good", "Bad"])
        assert_accessible(page)
        picture(page, "overview-light")

        page.emulate_media(color_scheme="dark")
        page.wait_for_function("light => document.querySelector('#moods canvas').toDataURL() !== light", arg=light)
        assert_accessible(page)
        picture(page, "overview-dark")

        page.get_by_role("button", name="90 days").click()
        expect(page).to_have_url(f"{site}/?period=90d")
        expect(tile(page, "Answers")).to_contain_text("13")
        page.get_by_role("combobox", name="By").select_option("month")
        expect(page).to_have_url(f"{site}/?period=90d&group=month")
        expect(page.locator("#span")).to_contain_text("by month")
        expect(polls.get_by_role("columnheader").first).to_have_text("Month")
        page.go_back()
        expect(page.locator("#span")).to_contain_text("by week")
        expect(page.get_by_role("combobox", name="By")).to_have_value("")
        page.go_forward()
        expect(page.locator("#span")).to_contain_text("by month")
        page.reload()
        loaded(page)
        expect(page.get_by_role("button", name="90 days")).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_role("combobox", name="By")).to_have_value("month")
        page.get_by_role("button", name="Dates …").click()
        page.get_by_label("From", exact=True).fill("2020-01-01")
        page.get_by_label("to", exact=True).fill("2026-01-01")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("at most 400 can be shown at once")
        assert_accessible(page)
        page.get_by_label("From", exact=True).fill("2025-12-01")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator("#span")).to_contain_text("1 December 2025 – 1 January 2026, by day")
        expect(page.get_by_text("No answers in this period.").first).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()
        picture(page, "overview-nothing-in-it")
        page.emulate_media(media="print", color_scheme="light")
        expect(page.get_by_role("button", name="90 days")).to_be_hidden()
        picture(page, "overview-print")


def test_counts_lead_to_the_answers_behind_them(
    site: str, engine: sa.Engine, opened: Callable[..., BrowserContext]
) -> None:
    now = datetime.now(UTC)
    for days in (0, 2, 40):
        unhappy(engine, f"It does not work {days}", now - timedelta(days=days), vote="bad")
        answer(
            engine, f"Lovely {days}", vote="good", label=Label.POSITIVE, p_negative=0.1, at=now - timedelta(days=days)
        )
    with watched(opened(), site) as page:
        for period, answers in (("24h", 1), ("30d", 2), ("90d", 3)):
            for name, number in (
                ("Answers", 2 * answers),
                ("Negative, of the words read", answers),
                ("Votes: 🙁 Bad", answers),
                ("Selected for a ticket", answers),
            ):
                page.goto(f"/?period={period}")
                loaded(page)
                tile(page, name).get_by_role("link").click()
                expect(page.locator("#rows > li")).to_have_count(number)
            page.goto(f"/?period={period}")
            loaded(page)
            page.get_by_role("link", name="The words read negative").click()
            expect(page.locator("#rows > li")).to_have_count(answers)
        page.goto(f"/digest?date={now - timedelta(days=2):%Y-%m-%d}&tz=UTC")
        page.get_by_role("link", name="not … work").click()
        expect(page.locator("#rows > li")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_five_options_have_five_shades(
    site: str, engine: sa.Engine, opened: Callable[..., BrowserContext], scheme: Literal["light", "dark"]
) -> None:
    options = [{"key": f"m{n}", "label": f"Mood {n}", "face": "", "unhappy": n > 3} for n in range(1, 6)]
    definition = DEFAULT_SURVEY.written() | {"options": options}
    with engine.begin() as connection:
        connection.execute(sa.update(surveys).where(surveys.c.slug == "default").values(definition=definition))
    for at in range(10):
        answer(engine, vote=f"m{at % 5 + 1}")
    with watched(opened(color_scheme=scheme), site) as page:
        page.goto("/")
        loaded(page)
        expect(tile(page, "Votes: the unhappy options")).to_contain_text("40 %")
        fills = page.locator("#polls .swatch rect").evaluate_all(
            "all => all.map((each) => getComputedStyle(each).fill)"
        )
        assert len(set(fills)) == 5
        expect(page.locator("#polls .swatch:has(.swatch__lines)")).to_have_count(2)
        expect(page.locator("#polls")).to_contain_text("Mood 4 20 %")
        assert_accessible(page)
        picture(page, f"results-five-options-{scheme}")


def test_live_paused_and_two_browsers(site: str, engine: sa.Engine, opened: Callable[..., BrowserContext]) -> None:
    first = answer(engine, "Only words, no vote.", label=Label.NEUTRAL, p_negative=0.5, sampled=True)
    unhappy(engine, "It did not work.")
    with watched(opened(), site) as one, watched(opened(**PHONE), site) as other:
        for page in (one, other):
            page.goto("/")
            loaded(page)
            expect(page.get_by_role("status")).to_have_text("live")
        polls = one.get_by_role("region", name="Votes over time", exact=True)
        expect(polls).to_contain_text("No votes yet")  # never half and half
        expect(polls.get_by_role("link", name="Open the form")).to_have_attribute("href", "http://127.0.0.1:5000/")
        expect(polls.locator("canvas")).to_have_count(0)
        assert other.evaluate("document.documentElement.scrollWidth") <= 320
        expect(one.get_by_text("1 answer waits for a verdict")).to_be_visible()
        expect(other.get_by_text("1 answer waits for a verdict")).to_be_visible()

        one.get_by_role("link", name="not … work").focus()
        second = unhappy(engine, "It does not work.", vote="bad")
        for page in (one, other):
            expect(page.get_by_text("It does not work.")).to_be_visible()
            expect(tile(page, "Answers")).to_contain_text("3")
            expect(page.get_by_role("img", name="Votes over time")).to_be_visible()
        expect(one.get_by_role("row", name="not … work 2 100 %")).to_be_visible()
        expect(one.get_by_role("link", name="not … work")).to_be_focused()  # whatever moved
        one.goto(f"/feedback/{first}")
        one.get_by_role("button", name="This needs a person").click()
        expect(one.get_by_text("The ticket is on its way")).to_be_visible()
        expect(other.locator(f'[data-id="{first}"]')).to_contain_text("Ticket waiting")
        expect(other.get_by_text("1 answer waits for a verdict")).to_be_hidden()
        expect(tile(other, "Selected for a ticket")).to_contain_text("3")

        other.get_by_role("button", name="Pause").click()
        expect(other.get_by_role("status")).to_have_text("paused")
        with engine.begin() as connection:
            values = {"feedback_id": second, "state": TicketState.OPENED, "attempts": 1, "desk_id": 7}
            connection.execute(sa.insert(tickets).values(**values, first_attempt_at=sa.func.now()))
            changed(connection, "default")
        answer(engine, "While it is paused.", vote="good")
        expect(other.get_by_role("button", name="Resume (2 changes wait)")).to_be_visible()
        expect(other.get_by_text("While it is paused.")).to_have_count(0)
        expect(tile(other, "Answers")).to_contain_text("3")
        picture(other, "overview-320-paused")
        other.get_by_role("button", name="Resume").press("Enter")
        expect(other.get_by_text("While it is paused.")).to_be_visible()
        expect(other.get_by_role("link", name="Ticket 7")).to_be_visible()
        expect(tile(other, "Answers")).to_contain_text("4")
        expect(other.get_by_role("status")).to_have_text("live")
        expect(other.locator("#updated")).to_have_text(re.compile(r"^updated [1-9]\d* s ago$"))  # it ticks
        assert_accessible(other)


def test_without_scripts_and_the_digest(site: str, engine: sa.Engine, opened: Callable[..., BrowserContext]) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for number in range(3):
        unhappy(engine, f"The software does not work. {number}", yesterday, vote="bad", rating=1)
    answer(engine, "Fine.", vote="good", label=Label.POSITIVE, p_negative=0.1, at=yesterday)
    plain = opened(java_script_enabled=False, color_scheme="light").new_page()
    plain.goto("/")
    rows = {
        row.split("\t")[0]: row.split("\t")[1]
        for row in plain.get_by_role("table").inner_text().split("\n")
        if "\t" in row
    }
    assert (rows["Vote: Bad"], rows["Words read negative"], rows["Selected for a ticket"]) == ("3", "3", "3")
    picture(plain, "overview-without-scripts")
    plain.get_by_role("link", name="The digest").click()
    expect(plain.get_by_text("4 customers answered.")).to_be_visible()
    plain.get_by_label("Day or week").select_option("week")
    plain.get_by_label("Date").fill(f"{yesterday:%Y-%m-%d}")
    plain.get_by_label("Time zone").fill("Europe/Berlin")
    plain.get_by_role("button", name="Show").click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("Week of")
    expect(plain.get_by_text("The software does not work. 2")).to_be_visible()
    plain.get_by_role("link", name="The week before").click()
    expect(plain.get_by_text("Nobody answered.")).to_be_visible()
    expect(plain.get_by_text("In their words")).to_be_hidden()
    with watched(opened(**PHONE, color_scheme="dark"), site) as page:
        page.goto("/")
        page.get_by_role("link", name="Yesterday in words").click()
        expect(page.get_by_text("Days as in Europe/Berlin.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert_accessible(page)
        picture(page, "digest-320-dark")
        page.goto("/digest?tz=Nowhere")
        expect(page.get_by_text("there is no such time zone")).to_be_visible()
    asked = httpx.get(f"{site}/api/v1/surveys/default/digest", headers={"Authorization": f"Bearer {API_KEY}"})
    assert asked.json()["said"][0]["text"] == "4 customers answered."
