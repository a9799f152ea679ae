"""The widget on pages of another site, in a browser that blocks third-party cookies: what it shows, sends, tells and
believes. The pages here are on `localhost`, Heed is on `127.0.0.1`: for a browser two sites.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from conftest import ADMIN_PASSWORD, API_KEY, SECRET, Served, need, wait_for
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, Frame, FrameLocator, Locator, Page, Route, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from system import running

from api.feedback.app import create_app
from api.feedback.tokens import Tokens
from heed.contracts import DEFAULT_SURVEY, StreamEntry
from heed.contracts.entry import parse_entry
from heed.identity import identity_key, prove
from heed.settings import Settings
from heed.stream.queue import Queue
from heed.stream.surveys import publish

BLOCKED = "--test-third-party-cookie-phaseout"
# So that tests can look into the widget; that it is closed to others has a test of its own.
OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (given) { return attach.call(this, { ...given, mode: "open" }); };
"""
HEARD = """<script>
window.heard = [];
for (const type of ["heed:ready", "heed:height", "heed:submit"])
  document.addEventListener(type, (event) => heard.push([type, event.detail]));
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    need(chromium is not None, "Chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", BLOCKED])
        yield started
        started.close()


class Elsewhere:
    """Another site, with pages that the tests write."""

    def __init__(self, serve: Callable[[Any], Served]) -> None:
        app = Starlette()
        app.add_route("/{path:path}", self._page)
        self.origin = f"http://localhost:{serve(app).port}"
        self._pages: dict[str, tuple[str, dict[str, str]]] = {}

    def page(self, body: str, path: str = "/shop", head: str = HEARD, lang: str = "en", **headers: str) -> str:
        html = (
            f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>A shop</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head>'
            f"<body>{body}</body></html>"
        )
        self._pages[path] = html, {name.replace("_", "-"): value for name, value in headers.items()}
        return f"{self.origin}{path}"

    async def _page(self, request: Request) -> Response:
        if request.url.path == "/favicon.ico":
            return Response(status_code=204)
        html, headers = self._pages[request.url.path]
        return HTMLResponse(html, headers=headers)


@pytest.fixture
def elsewhere(serve: Callable[[Any], Served]) -> Elsewhere:
    return Elsewhere(serve)


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served], elsewhere: Elsewhere) -> str:
    """Heed, whose surveys `default` and `second` the other site's pages may embed."""
    mine = DEFAULT_SURVEY.model_copy(update={"origins": (elsewhere.origin,)})
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        publish(client, [mine, mine.model_copy(update={"slug": "second", "question": "And the second?"})])
    return serve(create_app(settings.model_copy(update={"form_seconds": 0}))).url


@pytest.fixture
def accepted(settings: Settings) -> Callable[[], list[StreamEntry]]:
    """Every entry that came onto the queue since last asked."""
    queue = Queue.connect(settings)
    return lambda: [parse_entry(delivery.fields) for delivery in queue.read("test", 100, 0.05)]


@pytest.fixture
def opened(browser: Browser, site: str, elsewhere: Elsewhere) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a browser context of its own, on which a complaint of the browser fails the test."""
    with ExitStack() as stack:

        def open_page(address: str, **options: Any) -> Page:
            context = browser.new_context(**options)
            stack.callback(context.close)
            context.add_init_script(OPEN_SHADOWS)
            page = stack.enter_context(watched(context, site, elsewhere.origin))
            page.goto(address)
            return page

        yield open_page


@pytest.fixture
def unwatched(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Makes pages, each in a context of its own, on which the browser is meant to complain."""
    with ExitStack() as stack:

        def make_page() -> Page:
            context = browser.new_context()
            stack.callback(context.close)
            context.add_init_script(OPEN_SHADOWS)
            page = context.new_page()
            page.set_default_timeout(15_000)
            return page

        yield make_page


def tag(site: str, **data: str) -> str:
    written = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in data.items())
    return f'<script async src="{site}/widget.js"{written}></script>'


SHOP = "<main><h1>A shop</h1><p>Things to buy.</p></main>"


def form_of(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def drawn(part: Locator) -> Locator:
    """A part of a form, once a click on it gets there. The browser looks for the frame under the pointer in what was
    drawn last, which after the frame has moved is not yet where it is; a screenshot draws.
    """
    part.click(trial=True)
    part.page.screenshot()
    return part


def answer(form: FrameLocator, option: str = "Good") -> None:
    drawn(form.get_by_role("radio", name=option, exact=True)).check()
    drawn(form.get_by_role("button", name="Send")).click()


def risen(page: Page) -> None:
    """Once the dialog has come to rest and its form is uncovered."""
    dialog = page.get_by_role("dialog")
    dialog.evaluate("dialog => Promise.all(dialog.getAnimations().map((each) => each.finished))")
    expect(dialog.locator(".note")).to_have_count(0)


def thanked(form: FrameLocator) -> None:
    expect(form.get_by_role("heading", name="Thank you")).to_be_visible()


def close_by_escape(page: Page) -> None:
    """Once the page in the frame has been greeted; before, it does not know whom to tell."""
    told(page, "heed:submit")
    page.keyboard.press("Escape")


def frame_of(page: Page) -> Frame:
    return next(frame for frame in page.frames if "embed=" in frame.url)


def heard(page: Page, *types: str) -> list[Any]:
    """The details of the events of these types that the page heard."""
    return [detail for type_, detail in page.evaluate("heard") if type_ in types]


def told(page: Page, what: str) -> list[Any]:
    """What the page heard of it, as soon as it has heard anything."""
    page.wait_for_function("what => heard.some(([type]) => type === what)", arg=what)
    return heard(page, what)


def focused(page: Page) -> str:
    """The tag of the element that has the focus, in the widget too."""
    return str(page.evaluate("(document.activeElement.shadowRoot ?? document).activeElement.tagName"))


def tab_until(page: Page, reached: Callable[[], bool]) -> None:
    for _ in range(20):
        page.keyboard.press("Tab")
        if reached():
            return
    pytest.fail("the keyboard does not get there")


def test_third_party_cookies_are_blocked_here(
    browser: Browser, serve: Callable[[Any], Served], elsewhere: Elsewhere
) -> None:
    """So that the other tests mean something; a browser started without the option keeps the cookie."""
    tracker = Starlette()
    script = "<script>document.cookie = 'a=1; SameSite=None; Secure'; document.title = document.cookie</script>"

    async def track(_request: Request) -> Response:
        return HTMLResponse(script)

    tracker.add_route("/", track)
    third = serve(tracker).url
    page = browser.new_page()
    page.goto(elsewhere.page(f'<iframe src="{third}/"></iframe>'))
    assert page.frames[1].title() == ""
    page.goto(third)
    assert page.title() == "a=1"
    page.context.close()


SIGHTS = {
    "desktop-light": ({"viewport": {"width": 1100, "height": 800}, "color_scheme": "light"}, "en"),
    "desktop-dark": ({"viewport": {"width": 1100, "height": 800}, "color_scheme": "dark"}, "en"),
    "phone-light": ({"viewport": {"width": 390, "height": 780}, "color_scheme": "light"}, "de"),
    "phone-dark-rtl": ({"viewport": {"width": 360, "height": 640}, "color_scheme": "dark"}, "ar"),
}
WORDS = {
    "en": ("Give feedback", "Close"),
    "de": ("Feedback geben", "Schließen"),
    "ar": ("شاركنا رأيك", "إغلاق"),
}


@pytest.mark.parametrize("sight", SIGHTS)
def test_an_answer_by_keyboard_alone(
    sight: str, opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    options, language = SIGHTS[sight]
    label, close = WORDS[language]
    widget = tag(site, survey="default", app="2.4.1", ref="order-7")
    address = elsewhere.page(SHOP + widget, lang=language)
    page = opened(f"{address}?secret=1#part", **options)
    launcher = page.get_by_role("button", name=label)
    expect(launcher).to_be_visible()
    assert len(page.frames) == 1  # the page pays nothing before the form is wanted
    assert_accessible(page)
    picture(page, f"widget-{sight}-launcher")

    page.keyboard.press("Tab")
    expect(launcher).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=label)
    expect(dialog).to_be_visible()
    assert told(page, "heed:ready") == [{"survey": "default"}]
    assert focused(page) == "IFRAME"
    form = form_of(page)
    expect(form.locator("html")).to_have_attribute("lang", language)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(form.locator("input[name=vote][value=good]")).to_be_checked()
    risen(page)
    picture(page, f"widget-{sight}-form")
    assert_accessible(page)
    assert_accessible(frame_of(page))
    box, view = dialog.bounding_box(), page.viewport_size
    assert box is not None
    assert view is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= view["width"]
    assert box["y"] + box["height"] <= view["height"]
    if "phone" in sight:
        assert (box["x"], box["width"], box["y"] + box["height"]) == (0, view["width"], view["height"])
    tab_until(page, lambda: frame_of(page).evaluate("document.activeElement.type") == "submit")
    page.keyboard.press("Enter")
    expect(form.locator("main")).to_have_attribute("data-state", "accepted")
    assert told(page, "heed:submit") == [{"survey": "default"}]
    page.wait_for_timeout(100)
    picture(page, f"widget-{sight}-thanks")
    assert_accessible(frame_of(page))
    assert "#" not in frame_of(page).url

    [entry] = accepted()
    assert (entry.vote, entry.user, entry.flags) == ("good", None, ())
    assert entry.context is not None
    assert entry.context.model_dump() == {"url": address, "app": "2.4.1", "ref": "order-7", "language": language}
    kept = page.evaluate(f"localStorage['heed:client:{site}']")
    assert Tokens(SECRET).read_client(kept) == entry.client
    assert page.context.cookies() == []

    page.keyboard.press("Escape")  # in the frame
    expect(dialog).to_be_hidden()
    expect(launcher).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    tab_until(page, lambda: focused(page) == "BUTTON")
    expect(page.get_by_role("button", name=close)).to_be_focused()
    page.keyboard.press("Escape")  # in the page
    expect(dialog).to_be_hidden()
    assert accepted() == []


def test_the_mouse_closes_and_words_stay(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    page = opened(
        elsewhere.page(SHOP + tag(site, survey="default", position="bottom-left", label="Tell us", vote="bad"))
    )
    page.get_by_role("button", name="Tell us").click()
    dialog, words = page.get_by_role("dialog", name="Tell us"), form_of(page).get_by_label("What should we know?")
    expect(form_of(page).get_by_role("radio", name="Bad", exact=True)).to_be_checked()
    words.fill("Half a sentence")
    page.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Tell us")).to_be_focused()
    assert page.evaluate("Heed.open()") is True
    expect(words).to_have_value("Half a sentence")
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] == 16
    page.mouse.click(1000, 20)
    expect(dialog).to_be_hidden()
    page.evaluate("Heed.open('default')")
    expect(dialog).to_be_visible()
    page.evaluate("Heed.close()")
    expect(dialog).to_be_hidden()
    assert not page.evaluate("Heed.open('other')")


def test_the_form_is_uncovered_where_it_stays(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    page = opened(elsewhere.page(SHOP + tag(site, survey="default")))
    expect(page.get_by_role("button", name="Give feedback")).to_be_visible()
    page.evaluate(
        """() => {
          const box = document.querySelector("[data-heed]").shadowRoot.querySelector(".box");
          let frames = 0;
          const count = () => { frames += 1; requestAnimationFrame(count) };
          document.addEventListener("heed:height", () => requestAnimationFrame(count), { once: true });
          window.uncovered = new Promise((told) => {
            new MutationObserver(() => box.querySelector(".note") || told(frames)).observe(box, { childList: true });
          });
        }"""
    )
    page.get_by_role("button", name="Give feedback").click()
    assert page.evaluate("uncovered") >= 2  # drawings since it knew its height


def test_the_receipt_in_a_new_tab_speaks_the_pages_language(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str
) -> None:
    page = opened(elsewhere.page(SHOP + tag(site, survey="default", language="es")), locale="en-GB")
    page.get_by_role("button", name="Danos tu opinión").click()
    told(page, "heed:ready")
    drawn(form_of(page).get_by_role("radio", name="Bien", exact=True)).check()
    drawn(form_of(page).locator("button[type=submit]")).click()
    expect(form_of(page).locator("main")).to_have_attribute("data-state", "accepted")
    with page.context.expect_page() as tab:
        drawn(form_of(page).locator("a[target=_blank]")).click()
    expect(tab.value.locator("html")).to_have_attribute("lang", "es")
    expect(tab.value.locator("main")).to_have_attribute("data-state", "accepted")


def test_a_low_window_scrolls_to_send(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    page = opened(elsewhere.page(SHOP + tag(site, survey="default")), viewport={"width": 900, "height": 420})
    page.get_by_role("button", name="Give feedback").click()
    told(page, "heed:height")
    risen(page)
    around, frame = page.get_by_role("dialog").bounding_box(), page.locator("iframe").bounding_box()
    assert around is not None
    assert frame is not None
    assert frame["y"] + frame["height"] <= around["y"] + around["height"] <= 420  # so the frame scrolls, nothing is cut
    answer(form_of(page))
    thanked(form_of(page))


def test_answered_before(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    page = opened(elsewhere.page(SHOP + tag(site, survey="default") + tag(site, survey="second")))
    page.evaluate("Heed.open('default')")
    answer(form_of(page))
    thanked(form_of(page))
    [entry] = accepted()
    page.reload()
    page.wait_for_function("window.Heed")
    page.evaluate("Heed.open('default')")
    answer(form_of(page), "Bad")
    expect(form_of(page).get_by_role("heading", name="You have already answered")).to_be_visible()
    picture(page, "widget-already")
    assert_accessible(frame_of(page))
    assert accepted() == []
    assert heard(page, "heed:submit") == []
    page.evaluate("Heed.close()")

    page.evaluate("Heed.open('second')")
    form = page.frame_locator("iframe >> nth=1")
    answer(form)
    thanked(form)
    [other] = accepted()
    assert (other.survey, other.client) == ("second", entry.client)


def test_answered_before_though_what_came_back_got_lost(
    unwatched: Callable[[], Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    """Where the frame may keep nothing either, it is the page that knows who this was."""
    page = unwatched()
    page.context.add_init_script(
        f"if (location.origin === '{site}') Object.defineProperty(window, 'localStorage', {{ get() {{ throw 0 }} }})"
    )
    page.goto(elsewhere.page(SHOP + tag(site, survey="default")))

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/s/default?*", lose)
    page.get_by_role("button", name="Give feedback").click()
    told(page, "heed:ready")
    answer(form_of(page))
    expect(form_of(page).get_by_text("Please keep this page open")).to_be_visible()
    [entry] = accepted()
    again = page.context.new_page()
    page.close()
    again.goto(elsewhere.page(SHOP + tag(site, survey="default")))
    again.get_by_role("button", name="Give feedback").click()
    told(again, "heed:ready")
    answer(form_of(again), "Bad")
    expect(form_of(again).get_by_role("heading", name="You have already answered")).to_be_visible()
    assert accepted() == []
    assert Tokens(SECRET).read_client(again.evaluate(f"localStorage['heed:client:{site}']")) == entry.client


def test_one_page_one_vote_with_two_widgets(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    """The second one has greeted its form already when the first one learns who this is."""
    inline = '<main><h1>A shop</h1><div id="here"></div></main>' + tag(site, survey="default", target="#here")
    page = opened(elsewhere.page(inline + tag(site, survey="default")))
    expect(form_of(page).get_by_role("button", name="Send")).to_be_visible()
    page.get_by_role("button", name="Give feedback").click()
    launched = page.get_by_role("dialog").frame_locator("iframe")
    answer(launched)
    thanked(launched)
    close_by_escape(page)
    expect(page.get_by_role("dialog")).to_be_hidden()
    answer(page.locator("#here").frame_locator("iframe"))
    expect(page.locator("#here").frame_locator("iframe").get_by_role("heading", name="already")).to_be_visible()
    assert len(accepted()) == 1


def test_an_identified_user_has_one_vote_on_every_device(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    proof = prove(identity_key(SECRET), "ann@shop")
    address = elsewhere.page(SHOP + tag(site, survey="default", user="ann@shop", user_hash=proof))
    first = opened(address)
    first.get_by_role("button", name="Give feedback").click()
    answer(form_of(first))
    thanked(form_of(first))
    assert first.evaluate("Object.keys(localStorage)") == []  # whoever sits here next is somebody else
    [entry] = accepted()
    assert (entry.user, entry.client) == ("ann@shop", Tokens(SECRET).client_of_user("ann@shop"))
    assert told(first, "heed:submit") == [{"survey": "default"}]

    second = opened(address)
    second.get_by_role("button", name="Give feedback").click()
    answer(form_of(second), "Bad")
    expect(form_of(second).get_by_role("heading", name="You have already answered")).to_be_visible()
    assert accepted() == []


def test_a_wrong_proof_is_refused(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    wrong = prove(identity_key(SECRET), "bob@shop")
    page = opened(elsewhere.page(SHOP + tag(site, survey="default", user="ann@shop", user_hash=wrong)))
    page.get_by_role("button", name="Give feedback").click()
    answer(form_of(page))
    expect(form_of(page).get_by_role("alert")).to_contain_text("could not prove who you are")
    picture(page, "widget-wrong-proof")
    assert_accessible(frame_of(page))
    assert accepted() == []


EARS = "<script>window.ears = []; addEventListener('message', (event) => ears.push(event.data));</script>"


def test_a_strange_origin_gets_a_link_and_no_message(
    unwatched: Callable[[], Page], serve: Callable[[Any], Served], site: str
) -> None:
    stranger = Elsewhere(serve)
    page = unwatched()
    page.goto(stranger.page(SHOP + tag(site, survey="default", ref="mail", vote="bad"), head=HEARD + EARS))
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.get_by_role("button", name="Give feedback").click()
    note = page.get_by_role("status")
    expect(note).to_contain_text("The form cannot be shown here.")
    picture(page, "widget-strange-origin")
    assert_accessible(page)
    with page.context.expect_page() as opened_page:
        note.get_by_role("link", name="Open it in a new tab").click()
    plain = opened_page.value
    expect(plain.get_by_role("radio", name="Bad", exact=True)).to_be_checked()
    assert plain.evaluate("opener") is None
    assert page.evaluate("[heard, ears]") == [[], []]


def test_the_form_says_nothing_to_a_stranger_even_if_it_is_framed(
    unwatched: Callable[[], Page], serve: Callable[[Any], Served], site: str
) -> None:
    """As in a browser that knows no frame-ancestors."""
    stranger = Elsewhere(serve)
    page = unwatched()

    def unguarded(route: Route) -> None:
        response = route.fetch()
        headers = {name: value for name, value in response.headers.items() if name != "content-security-policy"}
        route.fulfill(response=response, headers=headers)

    page.route("**/s/default?*", unguarded)
    page.goto(stranger.page(f'<iframe src="{site}/s/default?embed=default"></iframe>', head=EARS))
    hello = {"heed": "hello", "url": "https://evil.example/"}
    page.frames[1].wait_for_load_state()
    page.evaluate("hello => frames[0].postMessage(hello, '*')", hello)
    page.wait_for_timeout(300)
    assert page.frames[1].evaluate("document.querySelector('input[name=url]').value") == ""
    assert page.evaluate("ears") == []


def test_messages_of_others_are_ignored(unwatched: Callable[[], Page], elsewhere: Elsewhere, site: str) -> None:
    """Of the page itself, of other frames (one of Heed's own origin), and of whatever comes into the widget's frame."""
    lies = [{"heed": "submit", "client": "evil"}, {"heed": "ready"}, {"heed": "height", "height": 9}, {"heed": "close"}]
    lie = "lies => lies.forEach((each) => parent.postMessage(each, '*'))"
    elsewhere.page("", path="/liar", head="")
    frames = (
        f'<iframe src="/liar" title="One"></iframe><iframe src="{site}/s/second?embed=second" title="Two"></iframe>'
    )
    page = unwatched()  # the browser says on the console that the last greeting was not delivered
    page.goto(elsewhere.page(SHOP + tag(site, survey="default") + frames))
    page.get_by_role("button", name="Give feedback").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.frame_locator("iframe").get_by_role("button", name="Send")).to_be_visible()
    told(page, "heed:ready")
    mine = next(frame for frame in page.frames if "/s/default" in frame.url)
    others = [frame for frame in page.frames if frame != mine]
    assert len(others) == 3
    for frame in others:  # the page is its own parent
        frame.evaluate(lie, lies)
    mine.evaluate("address => void setTimeout(() => location.replace(address))", f"{elsewhere.origin}/liar")
    mine.wait_for_url("**/liar")
    liars = [frame for frame in page.frames if frame.url.endswith("/liar")]
    assert len(liars) == 2
    for frame in liars:
        frame.evaluate(lie, lies)
    page.wait_for_timeout(300)
    expect(dialog).to_be_visible()
    assert heard(page, "heed:submit") == []
    assert len(heard(page, "heed:ready")) == 1
    assert min(said["height"] for said in heard(page, "heed:height")) > 9
    assert page.evaluate("Object.keys(localStorage)") == []


def test_the_form_believes_the_window_around_alone(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str
) -> None:
    elsewhere.page("", path="/liar", head=EARS)
    frames = (
        f'<iframe src="{site}/s/default?embed=default" title="Form"></iframe><iframe src="/liar" title="Liar"></iframe>'
    )
    page = opened(elsewhere.page(frames, head=EARS))
    form = frame_of(page)
    form.wait_for_load_state()
    liar = next(frame for frame in page.frames if frame.url.endswith("/liar"))
    hello = {"heed": "hello", "url": "https://evil.example/"}
    liar.evaluate("hello => parent.frames[0].postMessage(hello, '*')", hello)
    page.wait_for_timeout(300)
    value = "document.querySelector('input[name=url]').value"
    assert (form.evaluate(value), page.evaluate("ears"), liar.evaluate("ears")) == ("", [], [])
    page.evaluate("hello => frames[0].postMessage(hello, '*')", hello)
    page.wait_for_function("ears.length >= 2")
    assert form.evaluate(value) == hello["url"]
    assert [said["heed"] for said in page.evaluate("ears")][:2] == ["height", "ready"]


def test_a_strict_policy_of_the_page(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    policy = f"default-src 'none'; script-src {site}; frame-src {site}; require-trusted-types-for 'script'"
    page = opened(elsewhere.page(SHOP + tag(site, survey="default"), head="", content_security_policy=policy))
    launcher = page.get_by_role("button", name="Give feedback")
    expect(launcher).to_have_css("position", "fixed")
    expect(launcher).to_have_css("background-color", "rgb(11, 107, 83)")
    launcher.click()
    answer(form_of(page))
    thanked(form_of(page))
    height = page.locator("iframe").evaluate("e => e.style.height")
    assert re.fullmatch(r"[0-9]{3}px", height)
    assert len(accepted()) == 1


def test_hostile_styles_of_the_page(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    hostile = (
        "<style>body * { all: unset !important; display: none !important }"
        "div, [data-heed] { position: absolute !important; left: -9999px !important; opacity: 0 !important;"
        "visibility: hidden !important; pointer-events: none !important; transform: scale(0) !important;"
        "font-size: 80px !important; color: red !important }</style>"
    )
    page = opened(elsewhere.page(SHOP + tag(site, survey="default"), head=hostile + HEARD))
    launcher = page.get_by_role("button", name="Give feedback")
    expect(launcher).to_be_visible()
    expect(launcher).to_have_css("font-size", "16px")
    launcher.click()
    answer(form_of(page))
    thanked(form_of(page))
    close_by_escape(page)
    expect(launcher).to_be_focused()


def test_the_page_cannot_look_into_it(browser: Browser, elsewhere: Elsewhere, site: str) -> None:
    page = browser.new_page()
    page.goto(elsewhere.page(SHOP + tag(site, survey="default")))
    page.wait_for_function("document.querySelector('[data-heed]')")
    before = {"heard"}
    assert page.evaluate("document.querySelector('[data-heed]').shadowRoot") is None
    own = page.evaluate(
        "() => { const frame = document.body.appendChild(document.createElement('iframe'));"
        "const plain = new Set(Object.getOwnPropertyNames(frame.contentWindow)); frame.remove();"
        "return Object.getOwnPropertyNames(window).filter((name) => !plain.has(name) && !/^\\d+$/.test(name)) }"
    )
    assert set(own) - before == {"Heed"}
    page.context.close()


def test_inline_and_several_tags(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    body = (
        "<style>#far { margin-top: 3000px }</style>"
        '<main><h1>A shop</h1><div id="far"><p>Scripts are off.</p></div></main>'
        + tag(site, survey="default", target="#far", color="#ffee00")
        + tag(site, survey="second", color="#ffee00")
        + tag(site, survey="second", color="#ffee00")
    )
    page = opened(elsewhere.page(body))
    expect(page.get_by_role("button", name="Give feedback")).to_have_css("color", "rgb(0, 0, 0)")
    assert page.get_by_role("button", name="Give feedback").count() == 1
    assert len(page.frames) == 1
    expect(page.get_by_text("Scripts are off.")).to_have_count(0)
    page.locator("#far").scroll_into_view_if_needed()
    form = page.locator("#far").frame_locator("iframe")
    expect(form.get_by_role("button", name="Send")).to_be_visible()
    heights = told(page, "heed:height")
    assert heights[-1]["survey"] == "default"
    box = page.locator("#far iframe").bounding_box()
    assert box is not None
    assert box["height"] == heights[-1]["height"]
    drawn(form.get_by_text("Would you like a reply?")).click()
    page.wait_for_function("before => heard.at(-1)[1].height > before", arg=box["height"])
    assert_accessible(page)
    assert_accessible(frame_of(page))  # whatever the page's colour is, it can be read
    picture(page, "widget-inline")
    assert page.evaluate("Heed.open('second')")
    expect(page.get_by_role("dialog").frame_locator("iframe").get_by_text("And the second?")).to_be_visible()


def test_what_came_of_it_is_seen_in_a_place_of_the_page(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str
) -> None:
    """The button was at the end of the form, and the form is longer than what comes in its place."""
    tall = '<div style="height: 1500px"></div>'
    body = f'{tall}<main><h1>A shop</h1><div id="here"></div></main>{tall}{tag(site, survey="default", target="#here")}'
    page = opened(elsewhere.page(body), viewport={"width": 390, "height": 640})
    page.locator("#here").scroll_into_view_if_needed()
    told(page, "heed:height")
    form = form_of(page)
    expect(form.get_by_role("button", name="Send")).to_be_visible()
    page.evaluate("scrollTo(0, scrollY + document.querySelector('#here').getBoundingClientRect().bottom - 600)")
    answer(form)
    thanked(form)
    told(page, "heed:submit")
    expect(form.get_by_role("heading", name="Thank you")).to_be_focused()
    expect(form.get_by_role("heading", name="Thank you")).to_be_in_viewport()
    picture(page, "widget-inline-thanks")
    assert_accessible(frame_of(page))


def test_a_long_label_stays_on_the_screen(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    label = f"Tell us what you think of our {'very' * 20} new shop"
    page = opened(
        elsewhere.page(SHOP + tag(site, survey="default", label=label)), viewport={"width": 320, "height": 640}
    )
    launcher, dialog = page.get_by_role("button", name=label), page.get_by_role("dialog")
    box = launcher.bounding_box()
    assert box is not None
    assert box["x"] >= 16
    assert box["x"] + box["width"] <= 304
    picture(page, "widget-label-launcher")
    launcher.click()
    told(page, "heed:ready")
    risen(page)
    around, frame = dialog.bounding_box(), page.locator("iframe").bounding_box()
    close = page.get_by_role("button", name="Close").bounding_box()
    assert around is not None
    assert frame is not None
    assert close is not None
    assert around["x"] <= frame["x"]
    assert frame["x"] + frame["width"] <= 320
    assert close["x"] + close["width"] <= 320
    picture(page, "widget-label")


def test_forced_colours_show_where_it_ends(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    """Grounds and shadows are gone then; what is left is a line around."""
    page = opened(elsewhere.page(SHOP + tag(site, survey="default")), forced_colors="active")
    launcher = page.get_by_role("button", name="Give feedback")
    launcher.click()
    told(page, "heed:ready")
    risen(page)
    picture(page, "widget-forced-colours")
    for part in (launcher, page.get_by_role("dialog")):
        line = "e => { const { borderTopWidth: w, borderTopColor: c } = getComputedStyle(e); return [w, c] }"
        width, colour = part.evaluate(line)
        assert width == "1px"
        assert colour.startswith("rgb("), colour


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("color", ["#000033", "#ffffff", "#e4572e"])
def test_colours_stay_readable(
    color: str, scheme: str, opened: Callable[..., Page], elsewhere: Elsewhere, site: str
) -> None:
    page = opened(elsewhere.page(SHOP + tag(site, survey="default", color=color)), color_scheme=scheme)
    page.get_by_role("button", name="Give feedback").click()
    told(page, "heed:ready")
    risen(page)
    assert_accessible(page)
    assert_accessible(frame_of(page))
    picture(page, f"widget-colour-{color[1:]}-{scheme}")
    answer(form_of(page))
    thanked(form_of(page))
    assert_accessible(frame_of(page))


def test_wrong_settings_are_told_once_and_break_nothing(
    unwatched: Callable[[], Page], elsewhere: Elsewhere, site: str
) -> None:
    page = unwatched()
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text))
    page.on("pageerror", lambda error: warnings.append(f"thrown: {error}"))
    some = tag(site, survey="default", position="top", color="green", language="xx", user="ann")
    page.goto(elsewhere.page(SHOP + some))
    page.wait_for_function("window.Heed")
    [told_once] = warnings
    for setting in ("data-position", "data-color", "data-language", "data-user"):
        assert setting in told_once
    assert page.locator("[data-heed]").count() == 1  # the rest of it holds

    for without in (tag(site), tag(site, survey="../x"), tag(site, survey="default", target="#gone")):
        warnings.clear()
        with page.expect_console_message():
            page.goto(elsewhere.page(SHOP + without))
        assert len(warnings) == 1, without
        assert re.search("data-(survey|target)", warnings[0])
        assert page.locator("[data-heed]").count() == 0

    warnings.clear()
    with page.expect_console_message():
        page.goto(elsewhere.page(SHOP + tag(site, survey="default").replace("async", 'type="module"')))
    assert warnings == ["Heed: load widget.js by a script tag, not as a module"]


def test_a_page_that_may_store_nothing(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, accepted: Callable[[], list[StreamEntry]]
) -> None:
    closed = "<script>Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })</script>"
    page = opened(elsewhere.page(SHOP + tag(site, survey="default"), head=closed + HEARD))
    page.get_by_role("button", name="Give feedback").click()
    answer(form_of(page))
    thanked(form_of(page))
    assert len(accepted()) == 1
    assert told(page, "heed:submit") == [{"survey": "default"}]


def test_a_form_that_cannot_be_reached_is_tried_again(
    unwatched: Callable[[], Page], elsewhere: Elsewhere, site: str
) -> None:
    page = unwatched()
    page.goto(elsewhere.page(SHOP + tag(site, survey="default")))
    launcher = page.get_by_role("button", name="Give feedback")
    expect(launcher).to_be_visible()
    page.route("**/s/default?*", lambda route: route.abort())
    launcher.click()
    expect(page.get_by_role("status")).to_contain_text("The form cannot be shown here.")
    page.get_by_role("button", name="Close").click()
    page.unroute("**/s/default?*")
    launcher.click()
    expect(form_of(page).get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_role("status")).to_have_count(0)


def test_less_motion(opened: Callable[..., Page], elsewhere: Elsewhere, site: str) -> None:
    address = elsewhere.page(SHOP + tag(site, survey="default"))
    for wish, animation in (("reduce", "none"), ("no-preference", "rise")):
        page = opened(address, reduced_motion=wish)
        page.get_by_role("button", name="Give feedback").click()
        expect(page.get_by_role("dialog")).to_have_css("animation-name", animation)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_plain_frame(
    scripts: bool,
    opened: Callable[..., Page],
    elsewhere: Elsewhere,
    site: str,
    accepted: Callable[[], list[StreamEntry]],
) -> None:
    frame = f'<iframe src="{site}/s/default?embed=default" title="Give feedback" width="420" height="720"></iframe>'
    page = opened(elsewhere.page(frame, head=""), java_script_enabled=scripts)
    answer(form_of(page), "Bad")
    thanked(form_of(page))
    assert [entry.vote for entry in accepted()] == ["bad"]


@pytest.mark.parametrize("first", ["dialog", "place"])
def test_the_dialog_opens_whichever_script_came_first(
    opened: Callable[..., Page], elsewhere: Elsewhere, site: str, first: str
) -> None:
    tags = [tag(site, survey="default"), tag(site, survey="default", target="#form")]
    in_order = "".join(tags if first == "dialog" else tags[::-1]).replace(" async", "")
    page = opened(elsewhere.page(SHOP + '<div style="height: 3000px"></div><div id="form"></div>' + in_order))
    assert page.evaluate("Heed.open()")
    expect(page.get_by_role("dialog").frame_locator("iframe").get_by_role("button", name="Send")).to_be_visible()


def test_the_demo(opened: Callable[..., Page], site: str, accepted: Callable[[], list[StreamEntry]]) -> None:
    page = opened(f"{site}/demo", viewport={"width": 1100, "height": 900})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert_accessible(page)
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{tag(site, survey='default')}"
    page.locator("#form").scroll_into_view_if_needed()
    expect(page.locator("#form").frame_locator("iframe").get_by_role("button", name="Send")).to_be_visible()
    page.get_by_role("button", name="Or open it").click()
    launched = page.get_by_role("dialog").frame_locator("iframe")
    answer(launched)
    thanked(launched)
    expect(page.get_by_role("log")).to_contain_text('heed:submit {"survey":"default"}')
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.wait_for_timeout(200)
    expect(page.get_by_role("log")).not_to_contain_text('"height":0')  # closing it does not flatten it
    picture(page, "demo")
    assert_accessible(page)
    assert len(accepted()) == 1
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_demo_without_scripts(opened: Callable[..., Page], site: str) -> None:
    page = opened(f"{site}/demo?survey=second", java_script_enabled=False)
    expect(page.get_by_text("scripts are off here")).to_be_visible()
    answer(form_of(page))
    thanked(form_of(page))


@pytest.mark.stack
def test_from_a_page_elsewhere_to_the_results(browser: Browser, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Through the whole system, from saying who may embed the form on."""
    with running(HEED_ADMIN_PASSWORD=ADMIN_PASSWORD, HEED_API_KEY=API_KEY) as system:
        heed = f"http://127.0.0.1:{system.environment['HEED_FEEDBACK_PORT']}"
        results = f"http://127.0.0.1:{system.environment['HEED_RESULTS_PORT']}"
        definition = json.loads(system.heed("survey", "show", "default").stdout)
        file = tmp_path / "survey.json"
        file.write_text(json.dumps({**definition, "origins": [elsewhere.origin]}), encoding="utf-8")
        saved = system.heed("survey", "save", str(file))
        assert saved.returncode == 0, saved.stderr

        def published() -> bool:
            answered = httpx.get(f"{heed}/s/default?embed=default", trust_env=False)
            return elsewhere.origin in answered.headers["content-security-policy"]

        wait_for(published, 30, "the survey's origins to be published")
        context = browser.new_context()
        context.add_init_script(OPEN_SHADOWS)
        manager = context.new_page()
        manager.goto(f"{results}/login")
        manager.get_by_label("Password").fill(ADMIN_PASSWORD)
        manager.get_by_role("button", name="Log in").click()
        with watched(context, heed, elsewhere.origin) as page:
            page.goto(elsewhere.page(SHOP + tag(heed, survey="default", ref="order-7")))
            page.get_by_role("button", name="Give feedback").click()
            form_of(page).get_by_label("What should we know?").fill("Quick and friendly, thank you!")
            answer(form_of(page))
            thanked(form_of(page))
        expect(manager.get_by_text("Quick and friendly, thank you!").first).to_be_visible()
        picture(manager, "widget-answer-on-the-results")
        context.close()
