"""The customer's form and receipt in a real browser, with scripts and without: every state, by keyboard, on a phone, in
the dark, from right to left, offline. Whatever the browser or axe complains of fails the test.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis
import sqlalchemy as sa
from conftest import SECRET, Served, need, wait_for
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, Locator, Page, Route, expect
from results_data import answer

from api.feedback.app import create_app
from api.feedback.tokens import Tokens
from heed.contracts import DEFAULT_SURVEY, Option, StreamEntry, parse_entry
from heed.db import ledger
from heed.settings import Settings
from heed.stream import surveys
from heed.stream.queue import Queue

BYTES_MOST = 50_000
LOOKS = {
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "locale": "en-GB"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark", "locale": "en-GB"},
    "phone-dark-arabic": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "locale": "ar"},
    "desktop-german": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", "locale": "de-CH"},
}


BROKEN_WORDS = """() => [...document.querySelectorAll(".choice__words")].flatMap(({ firstChild: text }) =>
  [...text.data.matchAll(/\\S+/g)].filter(({ 0: word, index }) => {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return range.getClientRects().length > 1;
  }).map(([word]) => word))"""


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served]) -> str:
    return serve(create_app(settings)).url


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """Opens the form as a new visitor, with the context's options."""
    contexts = []
    watching = []

    def open_form(path: str = "/", **options: Any) -> Page:
        context = browser.new_context(base_url=site, **{"locale": "en-GB"} | options)
        watch = watched(context, site)
        page = watch.__enter__()
        contexts.append(context)
        watching.append(watch)
        page.goto(path)
        return page

    yield open_form
    for watch in watching:
        watch.__exit__(None, None, None)
    for context in contexts:
        context.close()


@pytest.fixture(params=[True, False], ids=["with-scripts", "without-scripts"])
def page(request: pytest.FixtureRequest, opened: Callable[..., Page]) -> Page:
    return opened(java_script_enabled=request.param)


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def accepted(settings: Settings) -> Callable[[], list[StreamEntry]]:
    """Every entry that came onto the queue since last asked."""
    queue = Queue.connect(settings)
    return lambda: [parse_entry(delivery.fields) for delivery in queue.read("test", 100, 0.05)]


def option(page: Page, label: str) -> Locator:
    return page.get_by_role("radio", name=label, exact=True)


def send(page: Page) -> None:
    page.locator("button[type=submit]").click()


def state(page: Page, name: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-state", name)


def shown(page: Page, name: str) -> None:
    """Axe finds nothing, and the picture is kept."""
    assert_accessible(page)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} scrolls sideways by {wide} px"
    picture(page, name)


def publish(settings: Settings, **changes: Any) -> None:
    client = redis.Redis.from_url(settings.redis_url.get_secret_value())
    surveys.publish(client, [DEFAULT_SURVEY.model_copy(update=changes)])
    client.close()


def test_an_answer_and_another(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    option(page, "Bad").check()
    page.get_by_role("radio", name="2 Bad").check()
    page.get_by_label("What should we know?").fill("<b>Late</b> & broken\nTwice.")
    page.get_by_text("Would you like a reply?").click()
    page.get_by_label("Name").fill("Ann")
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Yes, please reply to me").check()
    page.wait_for_timeout(400)  # sooner is suspicious
    send(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    receipt = page.url
    [entry] = accepted()
    assert (entry.vote, entry.rating, entry.comment) == ("bad", 2, "<b>Late</b> & broken\nTwice.")
    assert entry.contact is not None
    assert (entry.contact.name, entry.contact.email, entry.contact.reply) == ("Ann", "ann@example.com", True)
    assert entry.flags == ()
    page.reload()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

    page.goto("/")
    option(page, "Good").check()
    send(page)
    expect(page.get_by_role("heading", name="You have already answered")).to_be_visible()
    page.get_by_role("link", name="See what becomes of it").click()
    expect(page).to_have_url(receipt)
    assert accepted() == []


def test_a_double_click_counts_once(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    option(page, "Good").check()
    page.locator("button[type=submit]").dblclick()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert len(accepted()) == 1


def test_choosing_sends_nothing(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    page.goto("/s/default?vote=bad&ref=mail-7")
    expect(option(page, "Bad")).to_be_checked()
    option(page, "Good").check()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert accepted() == []
    send(page)
    state(page, "accepted")
    [entry] = accepted()
    assert entry.vote == "bad"
    assert entry.context is not None
    assert entry.context.ref == "mail-7"


def test_a_refused_form_says_what_to_change(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    send(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Choose an option")
    expect(alert).to_be_focused()
    expect(page).to_have_title(re.compile("^Please check: "))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="How was your experience with us?")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(option(page, "Good")).to_be_checked()

    page.get_by_label("What should we know?").fill("\n  My <i>words</i>")
    page.get_by_text("Would you like a reply?").click()
    page.get_by_label("E-mail").fill("nonsense")
    page.get_by_label("Yes, please reply to me").check()
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Check the e-mail address")
    expect(option(page, "Good")).to_be_checked()
    expect(page.get_by_label("What should we know?")).to_have_value("\n  My <i>words</i>")
    expect(page.get_by_label("Yes, please reply to me")).to_be_checked()
    address = page.get_by_label("E-mail")
    expect(address).to_have_value("nonsense")
    expect(address).to_have_accessible_description(re.compile("Check the e-mail address"))
    page.get_by_role("alert").get_by_role("link").click()
    expect(address).to_be_focused()
    assert accepted() == []

    address.fill("ann@example.com")
    send(page)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["\n  My <i>words</i>"]


def test_keyboard_and_small_screen(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for expected in ("Good", "1", "What should we know? optional", "Would you like a reply? optional", "Send"):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        name = focused.evaluate("e => (e.labels?.[0] ?? e).innerText.replace(/\\s+/g, ' ').trim()")
        assert expected in name
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("E-mail")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("By keyboard.")
    page.get_by_label("E-mail").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["By keyboard."]


def test_the_whole_form_by_keyboard(opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # of radio buttons the arrows choose
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("No mouse.")
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    state(page, "accepted")
    [entry] = accepted()
    assert (entry.vote, entry.rating, entry.comment) == ("bad", 2, "No mouse.")


def test_every_state_of_the_form(
    look: str, opened: Callable[..., Page], settings: Settings, accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened(**LOOKS[look])
    shown(page, f"form-{look}")
    send(page)
    expect(page.get_by_role("alert")).to_be_focused()
    shown(page, f"form-wrong-{look}")
    page.locator("input[name=vote]").last.check()
    page.locator("input[name=rating]").first.check()
    page.locator(".contact summary").click()
    page.locator("#comment").fill("ä" * 4990)
    page.locator("#email").fill("nonsense")
    expect(page.locator("#count")).to_be_visible()
    send(page)
    expect(page.locator("#email")).to_have_attribute("aria-invalid", "true")
    page.locator("#comment").fill("It came late.")
    shown(page, f"form-filled-{look}")
    page.locator("#email").fill("ann@example.com")

    held: list[Route] = []
    page.route("**/s/default*", lambda route: held.append(route))
    send(page)
    expect(page.locator("[data-busy]")).to_be_visible()
    shown(page, f"form-sending-{look}")
    held[0].continue_()
    state(page, "accepted")
    assert len(accepted()) == 1
    page.unroute_all()

    page.goto("/")
    page.locator("input[name=vote]").first.check()
    send(page)
    state(page, "already")
    shown(page, f"form-already-{look}")
    page.goto("/s/nowhere")
    shown(page, f"form-unknown-{look}")
    page.goto("/r/nonsense")
    shown(page, f"receipt-unknown-{look}")
    page.locator(".languages summary").click()
    shown(page, f"languages-{look}")
    publish(settings, slug="closed", closes_at=datetime.now(UTC) - timedelta(days=1))
    page.goto("/s/closed")
    state(page, "closed")
    shown(page, f"form-closed-{look}")
    publish(settings, slug="early", opens_at=datetime.now(UTC) + timedelta(days=1))
    page.goto("/s/early")
    state(page, "early")
    shown(page, f"form-early-{look}")


def test_too_many_tries_keep_the_words(
    settings: Settings, serve: Callable[[Any], Served], browser: Browser, accepted: Callable[[], list[StreamEntry]]
) -> None:
    url = serve(create_app(settings.model_copy(update={"rate_limit": 1}))).url
    httpx.post(f"{url}/s/default", data={"vote": "good"})  # the one of this minute, which lasts for this test
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        [counter] = client.keys("*:rate:*")
        client.expire(counter, 3600)
    accepted()
    for scripts in (True, False):
        context = browser.new_context(base_url=url, java_script_enabled=scripts, locale="de")
        with watched(context, url) as page:
            page.goto("/")
            page.locator("input[name=vote]").first.check()
            page.locator("#comment").fill(f"Wort {scripts}")
            send(page)
            if scripts:
                expect(page.locator("[data-when=many]")).to_be_visible()
                shown(page, "form-too-many")
            else:
                expect(page.get_by_role("alert")).to_be_focused()
            expect(page.locator("#comment")).to_have_value(f"Wort {scripts}")
        context.close()
    assert accepted() == []


def test_offline_it_waits_and_counts_once(
    opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened(**LOOKS["phone"])
    option(page, "Bad").check()
    page.get_by_label("What should we know?").fill("On the train.")
    page.context.set_offline(True)
    send(page)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    shown(page, "form-offline")
    # What waits for the next try waits for ever: it is sent since there is a connection.
    page.evaluate("for (let last = setTimeout(() => 0); last > 0; last -= 1) clearTimeout(last)")
    page.context.set_offline(False)
    expect(page.locator("main")).to_have_attribute("data-state", "accepted")
    assert [entry.comment for entry in accepted()] == ["On the train."]
    assert unsent(page) == []


class Away:
    """A server that is away for what is posted, until it is `back`; which keys were tried."""

    def __init__(self, page: Page) -> None:
        self.keys: list[str] = []
        self._page = page
        page.route("**/s/default*", self._refuse)

    def _refuse(self, route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        self.note(route)
        route.abort("connectionrefused")

    def note(self, route: Route) -> None:
        self.keys.append(re.findall("key=([^&]+)", route.request.post_data or "")[0])

    def back(self) -> None:
        self._page.unroute_all()


def unsent(page: Page) -> list[str]:
    return list(page.evaluate("Object.keys(localStorage).filter((each) => each.startsWith('heed:'))"))


def test_the_server_is_away(opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened(**LOOKS["phone"])
    away = Away(page)
    option(page, "Bad").check()
    page.get_by_label("What should we know?").fill("Nobody there?")
    send(page)
    expect(page.locator("[data-when=away]")).to_be_visible()
    expect(page.get_by_text("Change it")).to_be_visible()
    shown(page, "form-away")
    page.goto("/")  # closed and opened again, perhaps by somebody else: it is tried, and not shown
    expect(page.get_by_text("An earlier answer could not be sent yet.")).to_be_visible()
    expect(page.get_by_label("What should we know?").first).to_have_value("")
    shown(page, "form-unsent")

    def lost(route: Route) -> None:  # it arrives, and the answer does not
        away.note(route)
        route.fetch(max_redirects=0)
        route.abort("connectionreset")
        page.unroute_all()

    page.route("**/s/default", lost)  # instead, and without a moment in which the server is there
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("Your earlier answer was sent.")).to_be_visible(timeout=30_000)
    shown(page, "form-unsent-sent")
    assert [entry.comment for entry in accepted()] == ["Nobody there?"]
    assert len(set(away.keys)) == 1
    assert len(away.keys) >= 3
    assert unsent(page) == []
    page.get_by_role("link", name="See what becomes of it").click()
    state(page, "accepted")


def test_kept_before_it_is_sent(opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened()
    page.route("**/s/default", lambda route: None)  # neither taken nor refused
    option(page, "Bad").check()
    send(page)
    expect(page.locator("[data-busy]")).to_be_visible()
    page.goto("about:blank")  # closed while it is on its way
    page.unroute_all()
    page.goto("/")
    expect(page.get_by_text("Your earlier answer was sent.")).to_be_visible()
    assert [entry.vote for entry in accepted()] == ["bad"]


def test_what_waits_is_not_changed_by_what_is_written(
    opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened()
    away = Away(page)
    comment = page.get_by_label("What should we know?")
    option(page, "Bad").check()
    comment.fill("As it was sent.")
    send(page)
    expect(page.locator("[data-when=away]")).to_be_visible()
    expect(page.locator("[data-held]:not([inert])")).to_have_count(0)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("We stopped trying.")).to_be_visible()
    expect(comment).to_be_focused()
    assert unsent(page) == []
    tried = len(away.keys)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(300)
    assert len(away.keys) == tried  # nothing is sent any more
    away.back()
    comment.fill("As I want it.")
    send(page)
    state(page, "accepted")
    assert [entry.comment for entry in accepted()] == ["As I want it."]


def test_what_waited_too_long_is_refused_and_given_back(
    opened: Callable[..., Page], site: str, settings: Settings, accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened()
    away = Away(page)
    option(page, "Bad").check()
    page.get_by_label("What should we know?").fill("Too late.")
    send(page)
    expect(page.locator("[data-when=away]")).to_be_visible()
    publish(settings, closes_at=datetime.now(UTC))
    wait_for(lambda: httpx.get(f"{site}/").status_code == 410)  # the form knows a survey for a while
    page.goto("/")
    away.back()
    page.goto("/")
    expect(page.get_by_text("Your earlier answer was not taken: This survey is closed")).to_be_visible(timeout=20_000)
    expect(page.get_by_label("What you wrote, to copy")).to_have_value("Too late.")
    shown(page, "form-unsent-refused")
    assert unsent(page) == []
    assert accepted() == []


def test_storage_that_is_forbidden(opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened()
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden') }})")
    page.goto("/")
    away = Away(page)
    option(page, "Bad").check()
    send(page)
    expect(page.get_by_text("Please keep this page open")).to_be_visible()
    away.back()
    page.get_by_role("button", name="Send").click()  # now, not after the pause
    state(page, "accepted")
    assert len(accepted()) == 1


def test_what_is_old_is_forgotten(opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened()
    for days, key in ((8, "old"), (0, "new")):
        page.evaluate(
            """([days, key]) => localStorage.setItem(`heed:unsent:default:${key}`, JSON.stringify({
                action: new URL("/s/default", location).href, survey: "default", key,
                fields: [["vote", "bad"], ["comment", key], ["key", key]], at: Date.now() - days * 86_400_000,
            }))""",
            [days, key],
        )
    page.goto("/")
    expect(page.get_by_text("Your earlier answer was sent.")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["new"]
    assert unsent(page) == []


def test_an_answer_of_whoever_stands_between(
    opened: Callable[..., Page], accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened()
    page.route(
        "**/s/default", lambda route: route.fulfill(status=403, content_type="text/html", body="<main>Portal</main>")
    )
    option(page, "Bad").check()
    page.get_by_label("What should we know?").fill("Behind a portal.")
    send(page)
    expect(page.locator("[data-when=away]")).to_be_visible()
    page.unroute_all()
    send(page)
    state(page, "accepted")
    assert [entry.comment for entry in accepted()] == ["Behind a portal."]


def test_another_sites_form_sends_nothing(
    browser: Browser, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/")
    cookie = context.cookies()
    strange = "http://localhost:1/"
    form = f'<form method="post" action="{site}/s/default"><input name="vote" value="bad">'
    body = f'{form}<input name="comment" value="Not mine."><button>Win a prize</button></form>'
    page.route(strange, lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(strange)
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("This came from another site.")
    assert accepted() == []
    assert context.cookies(site) == cookie
    send(page)  # what is there can be sent, by the visitor
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert [entry.comment for entry in accepted()] == ["Not mine."]
    context.close()


def test_another_language_keeps_the_words(page: Page, accepted: Callable[[], list[StreamEntry]]) -> None:
    page.goto("/?vote=good&ref=mail-7")
    option(page, "Bad").check()
    page.get_by_label("What should we know?").fill("Words that stay.")
    page.locator(".languages summary").click()
    page.get_by_role("button", name="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("#comment")).to_have_value("Words that stay.")
    expect(page.locator("input[name=vote]").last).to_be_checked()
    assert accepted() == []
    send(page)
    state(page, "accepted")
    expect(page.locator("html")).to_have_attribute("lang", "ar")
    [entry] = accepted()
    assert (entry.vote, entry.comment) == ("bad", "Words that stay.")
    assert entry.context is not None
    assert (entry.context.language, entry.context.ref) == ("ar", "mail-7")
    page.goto("/")  # the choice is remembered
    expect(page.locator("html")).to_have_attribute("lang", "ar")


def test_a_page_that_came_in_the_place_of_the_form_speaks_other_languages(
    page: Page, accepted: Callable[[], list[StreamEntry]]
) -> None:
    for _ in range(2):
        page.goto("/")
        option(page, "Good").check()
        send(page)
        expect(page.get_by_role("radio")).to_have_count(0)
    state(page, "already")
    page.locator(".languages summary").click()
    page.get_by_role("link", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert len(accepted()) == 1


def test_long_words_and_forced_colours(opened: Callable[..., Page], settings: Settings) -> None:
    options = tuple(
        option.model_copy(update={"label": letter * 75, "face": ""})
        for option, letter in zip(DEFAULT_SURVEY.options, "WM", strict=True)
    )
    publish(settings, slug="long", question="Q" * 300, options=options)
    page = opened("/s/long", viewport={"width": 320, "height": 640}, forced_colors="active", reduced_motion="reduce")
    shown(page, "form-long")


def test_nothing_goes_on_moving_for_whoever_wants_less_of_it(opened: Callable[..., Page], engine: sa.Engine) -> None:
    moving = "document.getAnimations({ subtree: true }).filter((each) => each.playState === 'running').length"
    page = opened(reduced_motion="reduce")
    page.route("**/s/default", lambda route: None)  # neither taken nor refused
    option(page, "Good").check()
    send(page)
    expect(page.locator("[data-busy]")).to_be_visible()
    page.wait_for_function(f"{moving} === 0")
    page.unroute_all()
    page.goto(f"/r/{Tokens(SECRET).receipt_token(answer(engine, 'It came late.', vote='bad'))}")
    expect(page.locator(".step--next")).to_be_visible()
    page.wait_for_function(f"{moving} === 0")


@pytest.mark.parametrize("faces", ["🙂🙁", ""], ids=["faces", "no-faces"])
def test_words_are_in_one_piece(faces: str, opened: Callable[..., Page], settings: Settings) -> None:
    page = opened("/")
    for first, second in (("Gut", "Schlecht"), ("Muito satisfatório", "Insatisfatório"), ("Zufrieden", "Unzufrieden")):
        slug, labels = first[0].lower(), (first, second)
        options = tuple(
            option.model_copy(update={"label": label, "face": faces[at : at + 1]})
            for at, (option, label) in enumerate(zip(DEFAULT_SURVEY.options, labels, strict=True))
        )
        publish(settings, slug=slug, options=options)
        for width in (320, 390):
            page.set_viewport_size({"width": width, "height": 700})
            page.goto(f"/s/{slug}")
            broken = page.evaluate(BROKEN_WORDS)
            assert broken == [], f"{width} px"
            radio = page.locator("input[name=vote]").first.bounding_box()
            words = page.locator(".choice__words").first.bounding_box()
            assert radio is not None
            assert words is not None
            beside = words["x"] >= radio["x"] + radio["width"]
            assert beside or words["y"] >= radio["y"] + radio["height"], "the radio button is on the words"
            picture(page, f"form-words-{slug}-{width}-{len(faces)}")


@pytest.mark.parametrize("many", [False, True], ids=["two-options", "three-options"])
def test_twice_as_large_on_a_phone(many: bool, opened: Callable[..., Page], settings: Settings) -> None:
    """As wide as a phone of 390 px is to whoever has their text, or the page, twice as large."""
    third = (Option(key="soso", label="Neither good nor bad, I should say", face="😐"),)
    publish(settings, slug="large", options=(*DEFAULT_SURVEY.options, *(third if many else ())))
    page = opened("/s/large?lang=de", viewport={"width": 195, "height": 422}, device_scale_factor=2)
    assert page.evaluate(BROKEN_WORDS) == []
    for choice in page.locator(".choice").all():
        around = choice.bounding_box()
        assert around is not None
        for part in choice.locator("input, span").all():
            box = part.bounding_box()
            assert box is not None
            assert around["x"] < box["x"]
            assert box["x"] + box["width"] < around["x"] + around["width"]
    page.locator(".contact summary").click()
    shown(page, f"form-large-{3 if many else 2}")


def test_faces_are_of_one_family(opened: Callable[..., Page], settings: Settings) -> None:
    """Some fonts of text have a few of them, in black."""
    faces = ["🙂", "😀", "😐", "🙁", "😡"]
    options = tuple(Option(key=f"m{at}", label="Mood", face=face) for at, face in enumerate(faces))
    publish(settings, slug="faces", options=options)
    page = opened("/s/faces")
    browser = page.context.new_cdp_session(page)
    for domain in ("DOM", "CSS"):
        browser.send(f"{domain}.enable")
    root = browser.send("DOM.getDocument")["root"]["nodeId"]
    nodes = browser.send("DOM.querySelectorAll", {"nodeId": root, "selector": ".face"})["nodeIds"]
    used = [browser.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"] for node in nodes]
    fonts = [font["familyName"] for each in used for font in each]
    need("Emoji" in fonts[0], "a font with coloured faces")
    assert fonts == fonts[:1] * len(faces)


@pytest.mark.parametrize("look", ["phone", "desktop-dark", "phone-dark-arabic"], indirect=True)
def test_five_options_are_a_list(
    look: str, opened: Callable[..., Page], settings: Settings, accepted: Callable[[], list[StreamEntry]]
) -> None:
    faces = zip("🤩🙂😐🙁😡", ["Great", "Good", "So so, I would say", "Bad", "U" * 60], strict=True)
    options = tuple(Option(key=f"m{at}", label=label, face=face) for at, (face, label) in enumerate(faces))
    publish(settings, slug="moods", options=options)
    page = opened("/s/moods?vote=m1", **LOOKS[look])
    expect(option(page, "Good")).to_be_checked()
    tops = [box["y"] for each in page.locator(".options .choice").all() if (box := each.bounding_box())]
    assert len(set(tops)) == 5, "one below the other"
    shown(page, f"form-five-{look}")
    option(page, "Good").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    state(page, "accepted")
    assert [entry.vote for entry in accepted()] == ["m3"]


def test_it_is_light_and_still(browser: Browser, site: str) -> None:
    """Under 50 KB with everything, few requests, and nothing moves once it is there."""
    context = browser.new_context(base_url=site, viewport={"width": 390, "height": 844})
    with watched(context, site) as page:
        sizes: dict[str, int] = {}
        page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
        page.goto("/", wait_until="networkidle")
        moved = page.evaluate("""() => new Promise((resolve) => {
            let sum = 0;
            new PerformanceObserver((list) => list.getEntries().forEach((entry) => sum += entry.value))
                .observe({type: "layout-shift", buffered: true});
            setTimeout(() => resolve(sum), 300);
        })""")
        assert moved == 0
        assert len(sizes) <= 8, sizes
        assert sum(sizes.values()) < BYTES_MOST, sizes
        print({url.removeprefix(site): size for url, size in sizes.items()}, sum(sizes.values()))
    context.close()


def test_the_receipt_follows_by_itself(
    look: str, opened: Callable[..., Page], engine: sa.Engine, settings: Settings
) -> None:
    unhappy = answer(engine, "It came late.", vote="bad")
    page = opened(f"/r/{Tokens(SECRET).receipt_token(unhappy)}", **LOOKS[look], timezone_id="Asia/Tokyo")
    done = page.locator(".step--done")
    expect(done).to_have_count(2)
    shown(page, f"receipt-read-{look}")
    with engine.begin() as connection:
        held = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(held, ledger.Taken)
        ledger.created(connection, held, 7)
        ledger.opened(connection, held)
    expect(done).to_have_count(3)
    with engine.begin() as connection:
        ledger.seen(connection, [(unhappy, 7, "open")])
    expect(done).to_have_count(4)
    shown(page, f"receipt-progress-{look}")
    with engine.begin() as connection:
        ledger.seen(connection, [(unhappy, 7, "solved")])
    expect(done).to_have_count(5)
    shown(page, f"receipt-solved-{look}")
    time = page.locator("time").first
    said = time.evaluate(
        "e => new Intl.DateTimeFormat(navigator.language, {dateStyle: 'long', timeStyle: 'short',"
        " timeZone: 'Asia/Tokyo'}).format(new Date(e.dateTime))"
    )
    expect(time).to_have_text(said)
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('online'))")  # look now
    expect(page.locator("[data-lost]")).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("link").filter(visible=True).first.click()
    state(page, "erase")
    shown(page, f"erase-{look}")
    page.locator("button").click()
    state(page, "accepted")
    expect(page.locator("#progress .notice")).to_be_visible()
    shown(page, f"receipt-erased-{look}")


def test_the_receipt_without_scripts(opened: Callable[..., Page], engine: sa.Engine) -> None:
    happy = answer(engine, "Lovely.", vote="good")
    page = opened(f"/r/{Tokens(SECRET).receipt_token(happy)}", java_script_enabled=False)
    expect(page.locator(".step--done")).to_have_count(3)
    page.get_by_role("link", name="Look again").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.get_by_role("link", name="Erase what I wrote").click()
    page.get_by_role("button", name="Erase it").click()
    expect(page.get_by_text("is being erased")).to_be_visible()


def test_the_receipt_while_postgres_is_away(
    settings: Settings, serve: Callable[[Any], Served], browser: Browser
) -> None:
    away = type(settings.database_url)("postgresql://127.0.0.1:1/none")
    url = serve(create_app(settings.model_copy(update={"database_url": away}))).url
    context = browser.new_context(base_url=url, viewport={"width": 390, "height": 844})
    with watched(context, url) as page:
        page.goto("/")
        option(page, "Good").check()
        send(page)
        expect(page.get_by_text("We cannot say just now")).to_be_visible()
        shown(page, "receipt-unknown-state")
        page.get_by_role("link", name="Erase what I wrote").click()
        page.get_by_role("button", name="Erase it").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was erased yet")
        shown(page, "erase-failed")
    context.close()
