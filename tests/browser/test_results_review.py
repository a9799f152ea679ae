"""The review queue and an answer's reading in a real browser: one key each, none lost, marks where they belong."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, Served
from onlooker import assert_accessible, picture
from playwright.sync_api import Browser, Locator, Page, expect
from results_data import answer, erase

from api.results import recent
from api.results.app import create_app
from heed.contracts import Contact, Context, Driver, Judge, Label, SentenceRead
from heed.db import engine as db
from heed.db.tables import feedback, outbox, surveys, verdicts
from heed.db.verdicts import say
from heed.settings import Settings

# An emoji of two UTF-16 units and a letter of two code points stand before everything.
COMMENT = "😡 Cafe\u0301: not good at all, the box was broken. <b>Nice</b> colour!"


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(recent, "SECONDS", 0)
    return serve(create_app(settings)).url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A logged-in page that may not complain; 503 and 401 are what pages are made for."""
    context = browser.new_context(base_url=site)
    context.request.post("/login", form={"password": ADMIN_PASSWORD})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert [text for text in complaints if not re.search("status of (401|503)", text)] == []


def at(term: str, words: str, points: float) -> Driver:
    start = COMMENT.index(words)
    return Driver(term, start, start + len(words), points)


def review(engine: sa.Engine, comment: str, **more: Any) -> UUID:
    return answer(engine, comment, label=Label.NEGATIVE, p_negative=0.48, **more)


def read(engine: sa.Engine) -> UUID:
    drivers = (
        at("not good", "not good", -1.004),
        at("good", "good", 0.501),
        at("~good at", "good at", -0.204),
        at("broken", "broken", -0.804),
        at("nice", "Nice", 0.304),
        at("VADER", COMMENT[: COMMENT.index(" <b>")], -0.4),  # of a whole sentence: marks none of its words
        Driver("base", None, None, 0.104),
        Driver("others", None, None, -0.003),
    )
    stop = COMMENT.index(" <b>")
    sentences = (SentenceRead(0, stop, -1.5), SentenceRead(stop + 1, len(COMMENT), 0.5))
    score = sum(driver.points for driver in drivers)
    return review(engine, COMMENT, rating=2 + 1, score=score, drivers=drivers, sentences=sentences, coverage=0.9)


def judged(engine: sa.Engine) -> list[bool]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(verdicts.c.needs_person).order_by(verdicts.c.id)).scalars())


def card(page: Page, words: str) -> Locator:
    """The card with these words, once it can be judged."""
    expect(page.get_by_role("article")).to_contain_text(words)
    expect(page.get_by_role("button", name="No", exact=False).first).to_have_attribute("aria-disabled", "false")
    return page.get_by_role("article")


def test_one_key_each(page: Page, engine: sa.Engine) -> None:
    first, second, third = (review(engine, f"Card {number}.", rating=3) for number in (1, 2, 3))
    page.goto("/")
    expect(page.get_by_text("3 answers wait for a verdict")).to_be_visible()
    page.get_by_role("link", name="Review").click()

    shown = card(page, "Card 3.")  # newest first
    expect(shown.get_by_role("heading")).to_have_text("Perhaps unhappy: 48 % likely")
    expect(shown).to_contain_text("★ 3 of 5")
    expect(shown).to_contain_text("No ticket yet")
    page.keyboard.press("y")
    expect(page.get_by_role("status")).to_have_text("Yes: the ticket is on its way.")
    expect(page.get_by_role("region", name="Just judged")).to_contain_text("Yes: the ticket is on its way")

    card(page, "Card 2.")
    expect(page.get_by_role("heading", name="Perhaps unhappy")).to_be_focused()  # where a screen reader reads on
    page.keyboard.press("s")
    card(page, "Card 1.")
    page.keyboard.press("N")  # as with the capitals locked
    expect(page.get_by_role("status")).to_have_text("No: noted.")
    expect(page.get_by_role("heading", name="Nothing else waits for you")).to_be_visible()

    page.get_by_role("button", name="Show what I skipped").click()
    card(page, "Card 2.")
    page.get_by_role("button", name="Yes, open a ticket").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    with engine.connect() as connection:
        rows = connection.execute(sa.select(feedback.c.id, feedback.c.selected, feedback.c.queued)).all()
    assert {row.id: (row.selected, row.queued) for row in rows} == {
        first: (False, False),
        second: (True, False),
        third: (True, False),
    }
    assert judged(engine) == [True, False, True]

    review(engine, "Fresh.")  # what comes in shows by itself
    card(page, "Fresh.")


def test_keys_that_are_no_verdict(page: Page, engine: sa.Engine) -> None:
    for comment in ("Oldest.", "Older.", "Newer."):
        review(engine, comment)
    page.goto("/review")
    card(page, "Newer.")
    for combination in ("Control+y", "Alt+y", "Meta+n", "Shift+Y", "x", "1"):
        page.keyboard.press(combination)
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    page.locator("main > input").focus()
    page.keyboard.type("yn")
    expect(page.locator("main > input")).to_have_value("yn")
    page.evaluate("document.activeElement.remove()")
    switch = page.get_by_role("checkbox", name="Judge with the keys")
    switch.uncheck()
    page.reload()
    card(page, "Newer.")
    expect(switch).not_to_be_checked()
    page.keyboard.press("y")
    switch.check()
    page.keyboard.press("y")  # it has the focus
    page.get_by_role("heading", name="Perhaps unhappy").focus()
    assert judged(engine) == []
    # A key that Cyrillic keyboards have there; Y struck on a German one, where Latin ones have Z.
    strike = "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))"
    page.evaluate(strike, ["z", "KeyY"])
    page.evaluate(strike, ["ы", "KeyS"])
    expect(page.get_by_role("status")).to_have_text("Skipped.")
    card(page, "Older.")
    page.reload()
    card(page, "Newer.")
    assert judged(engine) == []
    # Struck twice, once more just after the next card has appeared, and held down: one card.
    page.evaluate("""() => {
      const strike = () => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "y", bubbles: true }));
      const stage = document.getElementById("stage");
      new MutationObserver(() => setTimeout(strike, 50)).observe(stage, { childList: true });
      strike();
      strike();
    }""")
    card(page, "Older.")
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'y', repeat: true, bubbles: true }))"
    )
    page.wait_for_timeout(200)
    card(page, "Older.")
    assert judged(engine) == [True]


def test_what_was_skipped_is_asked_for_while_it_looks(page: Page, engine: sa.Engine) -> None:
    review(engine, "Skipped.")
    page.goto("/review")
    card(page, "Skipped.")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Nothing else waits for you")).to_be_visible()
    page.evaluate("""() => {
      const sent = window.fetch;
      window.fetch = async (...all) => {
        document.body.dataset.looks = "yes";
        await new Promise((resolve) => setTimeout(resolve, 400));
        return sent(...all);
      };
    }""")
    review(engine, "Fresh.")
    expect(page.locator("body[data-looks]")).to_be_attached()
    page.get_by_role("button", name="Show what I skipped").click()
    card(page, "Fresh.")
    page.keyboard.press("n")
    card(page, "Skipped.")


def test_why_it_waits(page: Page, engine: sa.Engine) -> None:
    answer(engine, "Llegó tarde y nadie contesta.", vote="bad", language="es", coverage=0.1)
    page.goto("/review")
    shown = card(page, "Llegó tarde")
    expect(shown.get_by_role("heading")).to_have_text("The words could not be read (language: Spanish?)")
    expect(shown).to_contain_text("Has a ticket already: Ticket waiting")
    page.get_by_role("button", name="No, a false alarm").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    answer(engine, "Lovely.", vote="good", label=Label.POSITIVE, p_negative=0.1, sampled=True)
    expect(card(page, "Lovely.").get_by_role("heading")).to_have_text("Spot check: drawn by lot, whatever was decided")


def test_another_manager_was_faster(page: Page, engine: sa.Engine) -> None:
    ids = [review(engine, f"Card {number}.") for number in (1, 2, 3, 4)]
    page.goto("/review")
    card(page, "Card 4.")
    for answer_id in ids[1:]:
        with db.begin(engine) as connection:
            say(connection, answer_id, False, Judge.MANAGER)
    page.keyboard.press("n")  # the same again is kept once
    expect(page.get_by_role("article")).to_contain_text(re.compile(r"Card [13]\."))
    if "Card 3." in page.locator("article").inner_text():  # it was on its way already
        card(page, "Card 3.")
        page.keyboard.press("n")
    card(page, "Card 1.")
    assert judged(engine) == [False] * 3


def test_no_verdict_is_lost_while_postgres_is_away(page: Page, engine: sa.Engine) -> None:
    review(engine, "Keep me.")
    review(engine, "Keep me, too.")
    page.goto("/review")
    card(page, "Keep me, too.")
    name = engine.url.database
    engine.dispose()
    admin = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        page.keyboard.press("y")
        expect(page.get_by_role("alert")).to_contain_text("your verdict is not kept. Give it again.")
        card(page, "Keep me, too.")
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    admin.dispose()
    page.keyboard.press("y")
    card(page, "Keep me.")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert judged(engine) == [True]


def test_logged_out_meanwhile(page: Page, engine: sa.Engine) -> None:
    review(engine, "Keep me.")
    page.goto("/review?survey=default")
    card(page, "Keep me.")
    page.context.clear_cookies()
    page.keyboard.press("y")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("You are logged out, and your verdict is not kept.")
    card(page, "Keep me.")
    problem.get_by_role("link", name="Log in").click()
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.keyboard.press("Enter")
    card(page, "Keep me.")
    assert judged(engine) == []


def marks(page: Page) -> list[tuple[str, str]]:
    found = page.locator(".quote mark")
    return [(str(each.get_attribute("class")), each.inner_text()) for each in found.all()]


def test_words_are_marked_where_they_stand(page: Page, engine: sa.Engine) -> None:
    answer_id = read(engine)
    page.goto("/review")
    card(page, "not good at all")
    expected = [("down", "not "), ("down", "good"), ("down", " at"), ("down", "broken"), ("up", "Nice")]
    assert marks(page) == expected
    assert page.locator(".quote").inner_text() == COMMENT  # whole, and no markup
    lines = page.get_by_role("article").get_by_text("Sounds unhappy")
    expect(lines.locator("..")).to_have_text("Sounds unhappy: not good, good at, broken")

    page.goto(f"/feedback/{answer_id}")
    assert marks(page) == expected
    expect(page.get_by_title("not good −1.00; good +0.50; ~good at −0.20")).to_have_text("good")
    table = page.get_by_role("region", name="Why it reads so")
    # −0.804 + 0.304 + …: each on its own would round to something that does not add up.
    cells = [float(text.replace("−", "-")) for text in table.locator("tbody td").all_inner_texts()]
    total = float(table.locator("tfoot td").inner_text().replace("−", "-"))
    assert (round(sum(cells), 2), total) == (-1.51, -1.51)
    assert len(cells) == 8
    for name in ("Where every text begins", "“😡 Cafe\u0301: not good at all, the box was broken.” VADER"):
        expect(table.get_by_role("rowheader", name=name)).to_be_visible()
    sentences = page.get_by_role("region", name="Sentences").get_by_role("listitem")
    expect(sentences).to_have_text(
        ["−1.50 😡 Cafe\u0301: not good at all, the box was broken.", "+0.50 <b>Nice</b> colour!"]
    )
    decision = page.get_by_role("region", name="Decision", exact=True)
    expect(decision).to_contain_text("Review: perhaps, a manager says")
    expect(decision).to_contain_text("a ticket from 65 % likely negative on, a review from 40 % on")
    expect(page.get_by_role("region", name="Sentiment")).to_contain_text("Known words90 %")


def test_points_that_lie_do_not_add_up(page: Page) -> None:
    page.goto("/review")
    sums = """import("/static/reading.js").then(({ addingUp }) =>
      [[[0.333, 0.333, 0.334], 1], [[-0.005, -0.005], -0.01], [[1], 2], [[], 0]].map((each) => addingUp(...each)))"""
    added = page.evaluate(sums)
    assert added == [[0.33, 0.33, 0.34], [0, -0.01], [1.01], []]


def test_verdicts_on_the_page_of_an_answer(page: Page, engine: sa.Engine) -> None:
    alarm = answer(engine, "Love it.", vote="bad", label=Label.POSITIVE, p_negative=0.05)
    missed = answer(engine, "Meh.", vote="good", label=Label.NEUTRAL, p_negative=0.2)
    page.goto(f"/feedback/{alarm}")
    page.get_by_role("button", name="This was a false alarm").click()
    expect(page.get_by_role("status")).to_have_text("Thank you. Your verdict is kept.")
    expect(page.get_by_role("button", name="This was a false alarm")).to_be_focused()
    expect(page.get_by_text("A manager: a false alarm")).to_be_visible()
    page.goto(f"/feedback/{missed}")
    page.get_by_role("button", name="This needs a person").click()
    expect(page.get_by_role("status")).to_have_text("Thank you. The ticket is on its way.")
    expect(page.get_by_text("A manager: it needs a person")).to_be_visible()
    expect(page.get_by_role("region", name="Decision", exact=True)).to_contain_text(
        "somebody said that it needs a person"
    )
    page.get_by_role("button", name="This was a false alarm").click()
    expect(page.get_by_role("status")).to_have_text("Thank you. Your verdict is kept.")
    assert judged(engine) == [False, True, False]


def test_figures_of_triage(page: Page, engine: sa.Engine) -> None:
    for number in range(40):
        unhappy = number % 2 == 0
        drawn = answer(engine, "Hm.", vote="bad" if unhappy else "good", label=Label.NEUTRAL, sampled=True)
        if number == 38:
            page.goto("/")
            figures = page.get_by_role("region", name="How well triage works")
            expect(figures).to_contain_text("Too few verdicts to tell: 1 more is needed")
        with db.begin(engine) as connection:
            say(connection, drawn, unhappy and number >= 8, Judge.MANAGER)
    page.reload()
    expect(figures).to_contain_text("Tickets that were needed (precision)80 % (58 % to 92 %)", timeout=10_000)
    expect(figures).to_contain_text("Unhappy customers found (recall)100 %")
    expect(figures).to_contain_text("verdicts on 40 of the 40 answers drawn by lot")
    expect(figures).to_contain_text("16 tickets confirmed, 4 false alarms, 20 needed nobody")


def test_small_screen(page: Page, engine: sa.Engine) -> None:
    review(engine, "word " * 300 + "x" * 300)
    read_id = read(engine)
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto("/review")
    card(page, "not good")
    page.keyboard.press("s")
    card(page, "word word")
    expect(
        page.get_by_role("button", name="Yes, open a ticket")
    ).to_be_in_viewport()  # without scrolling past the words
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(f"/feedback/{read_id}")
    expect(page.get_by_role("region", name="Why it reads so")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_four_times_as_large(page: Page, engine: sa.Engine) -> None:
    """1280 by 1024 at 400 %, with long names: nothing to scroll sideways, and the choices leave the words in sight."""
    review(engine, "A good word. " * 20, vote="good")
    with engine.begin() as connection:
        definition = connection.execute(sa.select(surveys.c.definition)).scalar_one()
        definition["question"] = "Q" * 300
        definition["options"][0]["label"] = "G" * 80
        connection.execute(sa.update(surveys).values(definition=definition))
    page.set_viewport_size({"width": 320, "height": 256})
    page.goto("/review")
    words = card(page, "A good word.").locator(".words")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    words.scroll_into_view_if_needed()
    middle = "element => { const at = element.getBoundingClientRect(); return [at.x + at.width / 2, at.y + 10]; }"
    x, y = words.evaluate(middle)
    assert words.evaluate("(element, [x, y]) => element === document.elementFromPoint(x, y)", [x, y])
    page.goto("/")
    expect(page.get_by_text("A good word.").first).to_be_visible()
    expect(page.locator("#overview")).to_have_attribute("aria-busy", "false")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_suspicious_erased_and_where_it_comes_from(page: Page, engine: sa.Engine) -> None:
    """Whoever wrote it may have written anything: only an address of the web becomes a link, and names stay names."""
    evil = Context(url="javascript:alert(1)", app="\u202e1.4.2", ref="<b>mail</b>", language="de")
    odd = answer(engine, "Broken.", vote="bad", context=evil, user="<i>u-1</i>", flags=("honeypot", "novel"))
    contact = Contact(name="Ann", email="ann@example.com")
    gone = review(engine, COMMENT, rating=3, score=-1.0, drivers=(at("broken", "broken", -1.0),), contact=contact)
    erase(engine, gone)
    fine = answer(engine, "Fine.", vote="good", context=Context(url="https://shop.example/a?b=1"))

    page.goto("/")
    newest = page.locator("#newest")
    expect(newest).to_contain_text("Erased")
    expect(newest).not_to_contain_text("ann@example.com")
    expect(newest.get_by_text("Suspicious")).to_be_visible()
    assert_accessible(page)

    page.goto(f"/feedback/{odd}")
    told = page.get_by_role("region", name="The answer")
    expect(told).to_contain_text("filled in a hidden field, novel")
    for words in ("javascript:alert(1)", "<b>mail</b>", "<i>u-1</i>", "1.4.2", "German"):
        expect(told).to_contain_text(words)
    expect(told.get_by_role("link")).to_have_count(0)
    assert_accessible(page)
    picture(page, "results-answer-suspicious")

    page.goto(f"/feedback/{fine}")
    link = told.get_by_role("link", name="https://shop.example/a?b=1")
    expect(link).to_have_attribute("href", "https://shop.example/a?b=1")
    expect(link).to_have_attribute("rel", "noreferrer noopener nofollow")

    page.goto(f"/feedback/{gone}")
    expect(told).to_contain_text("Erased")
    expect(told.locator("dl")).to_contain_text("Fromerased")
    expect(page.get_by_role("region", name="Why it reads so")).to_have_count(0)
    assert_accessible(page)
    picture(page, "results-answer-erased")

    page.goto("/review")
    card(page, "Erased")
    page.keyboard.press("n")
    shown = card(page, "Broken.")
    expect(shown.get_by_role("heading")).to_contain_text("Suspicious: filled in a hidden field, novel")
    expect(page.get_by_role("region", name="Just judged")).to_contain_text("erased")
    assert_accessible(page)
    picture(page, "results-review-suspicious")
    page.keyboard.press("y")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    with engine.connect() as connection:
        assert list(connection.execute(sa.select(outbox.c.feedback_id)).scalars()) == [odd]
