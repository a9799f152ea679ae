"""The pages of surveys in a real browser: made, changed and closed; with and without scripts, small and large, light
and dark; other lines pulled by keyboard; and the form in its colour.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, API_KEY, Served
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, BrowserContext, Page, expect
from results_data import answer

from api.feedback.app import create_app as create_form
from api.results.app import create_app
from heed import passwords
from heed.contracts import DEFAULT_SURVEY, Label, Role
from heed.db import people
from heed.db import surveys as kept
from heed.settings import Settings
from heed.stream import surveys as published

PATHS = ("", "/default", "/new", "/default/versions/2", "/default/poster", "/default/rehearsal?ticket=50&review=30")
SMALL = {"width": 320, "height": 720}
FORM_BYTES, FORM_REQUESTS = 50_000, 8  # as tests/browser/test_form_page.py has them


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """A page of somebody who is logged in."""
    contexts: list[tuple[BrowserContext, Any]] = []

    def start(**look: Any) -> Page:
        context = browser.new_context(base_url=site, **look)
        assert context.request.post("/login", form={"password": ADMIN_PASSWORD}, max_redirects=0).status == 303
        watching = watched(context, site)
        contexts.append((context, watching))
        return watching.__enter__()

    yield start
    for context, watching in contexts:
        watching.__exit__(None, None, None)
        context.close()


def answers(engine: sa.Engine) -> None:
    dice = random.Random(7)
    for number, words in enumerate(("It came late.", "Lovely people.", "Charged twice!", "It is ok.") * 6):
        at = datetime.now(UTC) - timedelta(hours=number)
        chance = round(dice.random(), 3)
        answer(engine, words, vote="good", rating=4, label=Label.NEUTRAL, p_negative=chance, at=at)


def asks(site: str, slug: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    return dict(httpx.get(f"{site}/api/v1/surveys/{slug}", headers=headers).json()["survey"])


def test_made_changed_and_closed(opened: Callable[..., Page], site: str, engine: sa.Engine) -> None:
    page = opened(viewport={"width": 1280, "height": 900}, timezone_id="Asia/Tokyo", locale="en-GB")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/surveys")
    expect(page.get_by_role("link", name="Surveys", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="New survey").click()
    preview = page.frame_locator("iframe")
    expect(preview.get_by_role("heading", name="How was your experience with us?")).to_be_visible()

    page.locator("#question").fill("How was the delivery?")
    expect(preview.get_by_role("heading", name="How was the delivery?")).to_be_visible()
    page.get_by_label("Accent of the form").fill("#ffcc00")
    expect(page.locator("#swatches li")).to_have_count(2)
    expect(page.locator("#swatches")).to_contain_text("Heed made it darker, so that it can be read.")
    expect(preview.get_by_role("button", name="Send")).to_have_css("background-color", "rgb(130, 104, 0)")
    page.get_by_text("In other languages").click()
    page.locator("#texts\\.de\\.question").fill("Wie war die Lieferung?")
    page.get_by_label("Shown in").select_option("de")
    expect(preview.get_by_role("heading", name="Wie war die Lieferung?")).to_be_visible()
    page.get_by_label("Closes (Asia/Tokyo)").fill("2099-01-01T09:00")
    expect(page.locator("#unsaved")).to_have_text("Not saved yet.")

    page.get_by_label("Name in addresses").fill("Not a name")
    page.get_by_role("button", name="Make the survey").click()
    expect(page.locator("#problem")).to_be_focused()
    assert_accessible(page)
    picture(page, "survey-wrong")
    page.get_by_role("link", name="The name is 1 to 63").click()
    expect(page.get_by_label("Name in addresses")).to_be_focused()
    expect(page.get_by_label("Closes (Asia/Tokyo)")).to_have_value("2099-01-01T09:00")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("delivery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("The survey is made. The form shows it within seconds.")
    survey = asks(site, "delivery")
    assert (survey["closes_at"], survey["texts"]["de"]["question"]) == (
        "2099-01-01T00:00:00Z",
        "Wie war die Lieferung?",
    )
    page.get_by_role("button", name="Copy the link").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/s/delivery")
    code = page.get_by_role("img", name="QR code")
    expect(code).to_be_visible()
    assert code.evaluate("e => e.complete && e.naturalWidth > 0")

    # Somebody else saves meanwhile: nothing is lost on either side.
    with engine.begin() as connection:
        theirs = kept.one(connection, "delivery")
        assert theirs is not None
        people.add(connection, "tests", "ben", Role.MANAGER, None, passwords.hash_of("their-password"))
        kept.save(connection, "ben", theirs.model_copy(update={"burst": 20}))
    page.locator("#question").fill("And mine?")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is now version 2")
    expect(page.get_by_role("alert")).to_contain_text("Burst")
    expect(page.locator("#question")).to_have_value("And mine?")
    picture(page, "survey-conflict")
    page.get_by_role("link", name="Start from the newest version").click()

    # What could not be sent is there again, for who wrote it.
    page.locator("#question").fill("Kept?")
    page.context.set_offline(True)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#question")).to_have_count(0)
    page.context.set_offline(False)
    assert page.context.request.post("/login", form={"name": "ben", "password": "their-password"}).ok
    page.goto("/surveys/delivery")
    expect(page.get_by_label("Closes (Asia/Tokyo)")).to_have_value("2099-01-01T09:00")  # the script was there
    expect(page.locator("#question")).not_to_have_value("Kept?")
    assert page.context.request.post("/login", form={"password": ADMIN_PASSWORD}).ok
    page.goto("/surveys/delivery")
    expect(page.locator("#unsaved")).to_have_text("It could not be saved before. What you wrote is back.")
    expect(page.locator("#question")).to_have_value("Kept?")
    expect(page.get_by_label("Closes (Asia/Tokyo)")).to_have_value("2099-01-01T09:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    survey = asks(site, "delivery")
    assert (survey["question"], survey["closes_at"], survey["burst"]) == ("Kept?", "2099-01-01T00:00:00Z", 20)

    page.get_by_role("button", name="Close now").click()
    expect(page.get_by_role("status").first).to_contain_text("Closed.")
    expect(page.get_by_text("It is closed")).to_be_visible()
    page.get_by_role("link", name="Version 4").click()
    expect(page.get_by_role("heading", name="What it changed")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_small_and_large(opened: Callable[..., Page], engine: sa.Engine, scheme: str) -> None:
    answers(engine)
    with engine.begin() as connection:
        kept.save(connection, "ann", DEFAULT_SURVEY.model_copy(update={"burst": 9}))
        long = {"question": "Q" * 120, "color": "#ffcc00", "origins": (f"https://{'o' * 200}.example",)}
        survey = DEFAULT_SURVEY.model_copy(update={**long, "version": 2})
        kept.save(connection, "ann", survey)
    for size, view in (("large", {"width": 1280, "height": 900}), ("small", SMALL)):
        page = opened(viewport=view, color_scheme=scheme)
        for path in PATHS:
            page.goto(f"/surveys{path}")
            page.wait_for_load_state("networkidle")
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= view["width"], path
            picture(page, f"surveys{path.partition('?')[0].replace('/', '-')}-{size}-{scheme}")


def test_without_scripts(opened: Callable[..., Page], site: str, engine: sa.Engine) -> None:
    answers(engine)
    page = opened(java_script_enabled=False)
    page.goto("/surveys")
    page.get_by_role("link", name="How was your experience with us?").click()
    page.locator("#question").fill("Still well?")
    page.get_by_label("Closes (UTC)").fill("2099-01-01T09:00")
    page.get_by_role("button", name="Show the preview").click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Still well?")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    assert asks(site, "default")["closes_at"] == "2099-01-01T09:00:00Z"
    page.get_by_role("link", name="Rehearse other lines").click()
    page.get_by_label("Ticket line, in %").fill("30")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.get_by_role("heading", name="24 answers with 30 % and 30 %")).to_be_visible()
    page.get_by_role("button", name="Save these lines").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    assert asks(site, "default")["threshold"] == 0.3


def test_a_line_is_pulled_by_keyboard(opened: Callable[..., Page], engine: sa.Engine) -> None:
    answers(engine)
    page = opened()
    page.goto("/surveys/default/rehearsal")
    line = page.get_by_role("slider", name="Ticket line, in %")
    expect(line).to_have_value("65")
    line.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="24 answers with 60 % and 40 %")).to_be_visible()
    expect(line).to_be_focused()
    expect(page.get_by_role("spinbutton", name="Ticket line, in %")).to_have_value("60")
    assert page.url.endswith("/surveys/default/rehearsal?ticket=60&review=")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_in_its_colour(
    browser: Browser, settings: Settings, serve: Callable[[Any], Served], scheme: Any
) -> None:
    """Readable where the colour alone is not; without scripts, and as light as before."""
    survey = DEFAULT_SURVEY.model_copy(update={"color": "#ffee00", "version": 2})
    client = redis.Redis.from_url(settings.redis_url.get_secret_value())
    published.publish(client, [survey])
    client.close()
    form = serve(create_form(settings)).url
    for scripts in (True, False):
        context = browser.new_context(
            base_url=form, color_scheme=scheme, java_script_enabled=scripts, viewport={"width": 390, "height": 844}
        )
        with watched(context, form) as page:
            sizes: dict[str, int] = {}
            page.on("response", lambda response, sizes=sizes: sizes.update({response.url: len(response.body())}))
            page.goto("/", wait_until="networkidle")
            assert any(url.endswith("/theme/ffee00.css") for url in sizes)
            assert len(sizes) <= FORM_REQUESTS, sizes
            assert sum(sizes.values()) < FORM_BYTES, sizes
            page.locator("#vote").get_by_text("Good", exact=True).click()
            if scripts:
                assert_accessible(page)
                picture(page, f"form-colour-{scheme}")
        context.close()
