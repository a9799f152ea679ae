"""The page of what needs a person, in a real browser: live, by keys, on small screens, and without a database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import ADMIN_PASSWORD, Served
from onlooker import assert_accessible, picture, watched
from playwright.sync_api import Browser, Page, expect
from results_data import answer

from api.results import recent
from api.results.app import create_app
from heed.contracts import Context, Label, QuarantineKind, QuarantineReason, StreamEntry, Survey, new_id
from heed.db import ledger, outbox, quarantine, surveys
from heed.db.quarantine import Item
from heed.db.tables import feedback, settlements, tickets
from heed.db.tables import quarantine as held_rows
from heed.settings import Settings
from worker.handler import Handler
from worker.sentiment.vader import VaderScorer


@pytest.fixture
def site(settings: Settings, serve: Callable[[Any], Served], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(recent, "SECONDS", 0)
    return serve(create_app(settings)).url


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site, timezone_id="Europe/Berlin")
    context.request.post("/login", form={"password": ADMIN_PASSWORD})
    with watched(context, site) as opened:
        yield opened
    context.close()


def balance(engine: sa.Engine) -> None:
    """As many answers as these tests store without a queue count as accepted by an earlier one."""
    with engine.begin() as connection:
        connection.execute(sa.delete(settlements))
        stored = connection.execute(sa.select(sa.func.count()).select_from(feedback)).scalar_one()
        entries = sa.select(sa.func.count()).where(held_rows.c.kind == QuarantineKind.SUBMISSION)
        held = connection.execute(entries).scalar_one()
        connection.execute(sa.insert(settlements).values(reason="a test", lost=0, earlier=stored + held))


def fill(engine: sa.Engine) -> None:
    for number in range(7):
        answer(
            engine, f"Delivery took {number + 2} weeks, and nobody could say why.", label=Label.NEGATIVE, p_negative=0.5
        )
    late = "The parcel came open and half of it was missing. I wrote twice, and nobody answers. " * 3
    for comment, error in (
        (late, "422 RecordInvalid: Brand: is not a brand of this account"),
        ("Charged twice!", "422 RecordInvalid: Requester: e-mail address is suspended"),
    ):
        answer_id = answer(engine, comment, vote="bad", rating=1, label=Label.NEGATIVE, p_negative=0.93)
        with engine.begin() as connection:
            taken = ledger.take(connection, answer_id, "default", 60)
            assert isinstance(taken, ledger.Taken)
            ledger.failed(connection, taken, error)
    answer(engine, "Worst shop ever!!!", vote="bad", label=Label.NEGATIVE, p_negative=0.9, flags=("fast", "burst"))
    entry = StreamEntry(id=new_id(), survey="nowhere", client=new_id().hex, vote="good", comment="<b>Lost</b> " * 40)
    with engine.begin() as connection:
        items = [
            Item(
                QuarantineKind.SUBMISSION,
                "0/1-1",
                QuarantineReason.UNKNOWN_SURVEY,
                "no survey 'nowhere'",
                entry.model_dump_json(),
                entry.id,
            ),
            Item(
                QuarantineKind.EVENT,
                "message-1",
                QuarantineReason.INVALID,
                "detail.id: Field required",
                '{"detail":{}}',
            ),
            Item(QuarantineKind.SUBMISSION, "0/1-2", QuarantineReason.INVALID, "entry of unknown version", "v=7"),
        ]
        quarantine.add(connection, items)


def test_from_nothing_to_all_of_it_and_back(page: Page, engine: sa.Engine, settings: Settings) -> None:
    page.goto("/attention")
    expect(page.get_by_role("heading", name="Nothing needs you")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")
    assert_accessible(page)
    picture(page, "attention-nothing")
    page.emulate_media(color_scheme="dark")
    picture(page, "attention-nothing-dark")
    page.emulate_media(color_scheme="light")

    fill(engine)
    balance(engine)
    expect(page.get_by_role("region", name="Failed tickets")).to_contain_text("Charged twice!")
    review = page.get_by_role("region", name="Waiting for a verdict")
    expect(review.get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_role("heading", name="The books do not balance")).to_be_hidden(timeout=20_000)
    page.set_viewport_size({"width": 1280, "height": 900})
    picture(page, "attention-desktop")
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    picture(page, "attention-desktop-dark")
    assert_accessible(page)
    page.set_viewport_size({"width": 390, "height": 844})
    picture(page, "attention-phone-dark")
    page.emulate_media(color_scheme="light")
    picture(page, "attention-phone")
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size({"width": 1280, "height": 900})

    # What waits in quarantine: opened, it stays open while other things change.
    held = page.get_by_role("region", name="Quarantine")
    held.get_by_role("listitem").filter(has_text="There is no such survey").get_by_text("What came").click()
    expect(held.get_by_role("region", name="What came")).to_contain_text("<b>Lost</b>")

    # By key, with the focus in an answer, and the next one has it then.
    first = review.get_by_role("listitem").first
    expect(first).to_contain_text("8 weeks")
    first.get_by_role("button", name="Yes").focus()
    page.keyboard.press("n")
    expect(page.get_by_role("status")).to_have_text("No: noted.")
    expect(review).not_to_contain_text("8 weeks")
    expect(review.get_by_role("listitem").filter(has_text="7 weeks").get_by_role("button", name="Yes")).to_be_focused()
    expect(held.get_by_role("region", name="What came")).to_be_visible()
    page.keyboard.press("y")
    expect(page.get_by_role("status")).to_have_text("Yes: the ticket is on its way.")
    expect(review).not_to_contain_text("7 weeks")
    page.get_by_role("heading", name="Needs attention").click()
    page.keyboard.press("y")  # nowhere in an answer: nothing

    failed = page.get_by_role("region", name="Failed tickets")
    failed.get_by_role("listitem").filter(has_text="Charged twice!").get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_have_text("It is on its way to the desk again.")
    expect(failed).not_to_contain_text("Charged twice!")
    failed.get_by_role("button", name="Try again").click()
    expect(failed).to_be_hidden()
    with engine.connect() as connection:
        assert outbox.depth(connection) == 3  # two tried again, one Yes

    with engine.begin() as connection:
        surveys.save(
            connection,
            "tests",
            Survey.model_validate(
                {
                    "slug": "nowhere",
                    "question": "Well?",
                    "options": [{"key": "good", "label": "Good"}, {"key": "bad", "label": "Bad"}],
                }
            ),
        )
    held.get_by_role("button", name="Try all again").click()
    expect(held.get_by_text("Waits for another try")).to_have_count(2)
    Handler(engine, VaderScorer(), settings.failure_limit).replay()
    expect(held.get_by_role("link", name="see the answer")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("status")).to_contain_text("was tried again and is settled")
    expect(page.get_by_role("status")).to_contain_text("still cannot be processed")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("")


def test_books_and_a_database_that_is_away(page: Page, site: str, engine: sa.Engine) -> None:
    answer_id = answer(engine, "It broke.", vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    perhaps = answer(engine, "Perhaps.", label=Label.NEGATIVE, p_negative=0.5)
    with engine.begin() as connection:
        outbox.close(connection, answer_id)
    page.goto("/attention?survey=default&done=no")
    expect(page.get_by_role("status")).to_have_text("No: noted.")
    expect(page).to_have_url(f"{site}/attention?survey=default")  # said once, not with every reload
    books = page.get_by_role("region", name="The books do not balance")
    expect(books.get_by_role("link", name=str(answer_id))).to_be_visible()
    expect(books).to_contain_text("was selected, and has no ticket")
    expect(books).to_contain_text("nobody knows by name")
    assert_accessible(page)
    picture(page, "attention-books")
    expect(page.locator("#live")).to_have_text("live")

    name = engine.url.database
    engine.dispose()
    admin = sa.create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        expect(page.get_by_text("The database cannot be reached at the moment; what")).to_be_visible()
        page.get_by_role("button", name="Yes, open a ticket").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was done")
        expect(page.get_by_text("Perhaps.", exact=True)).to_be_visible()
        picture(page, "attention-away")
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    admin.dispose()
    expect(page.get_by_text("The database cannot be reached at the moment; what")).to_be_hidden(timeout=20_000)
    page.get_by_role("button", name="Yes, open a ticket").click()
    expect(page.get_by_role("status")).to_have_text("Yes: the ticket is on its way.")
    expect(page.get_by_role("alert")).to_be_hidden()
    with engine.connect() as connection:
        assert connection.execute(sa.select(feedback.c.selected).where(feedback.c.id == perhaps)).scalar_one()


def test_the_first_steps_tick_themselves_off(page: Page, site: str, engine: sa.Engine) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    page.goto("/")
    steps = page.get_by_role("region", name="First steps")
    expect(steps).to_contain_text("0 of 3")
    expect(steps.get_by_role("link", name="Open an unhappy form")).to_have_attribute(
        "href", "http://127.0.0.1:5000/?vote=bad&ref=test"
    )
    steps.get_by_role("button", name="Copy the line").click()
    expect(steps.locator("[aria-live]")).to_have_text("The line is copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == '<script async src="http://127.0.0.1:5000/widget.js" data-survey="default"></script>'
    answer(engine, "Here I am.", vote="good", context=Context(url="https://shop.example/"))
    expect(steps).to_contain_text("2 of 3")
    expect(steps.get_by_role("listitem").filter(has_text="Put it on your own page")).to_contain_text("done")
    assert_accessible(page)
    picture(page, "checklist")
    page.set_viewport_size({"width": 320, "height": 700})
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    picture(page, "checklist-phone-dark")
    unhappy = answer(engine, "It broke.", vote="bad", label=Label.NEGATIVE, p_negative=0.9)
    with engine.begin() as connection:
        taken = ledger.take(connection, unhappy, "default", 60)
        assert isinstance(taken, ledger.Taken)
        ledger.created(connection, taken, 7)
    expect(steps.locator("[aria-live]")).to_contain_text("All done")
    page.reload()
    expect(page.get_by_text("It broke.")).to_be_visible()
    expect(steps).to_be_hidden()

    # Where it is hidden, it stays hidden.
    with engine.begin() as connection:
        connection.execute(sa.delete(tickets))
    page.reload()
    expect(steps).to_be_visible()
    steps.get_by_role("button", name="Hide these").click()
    expect(steps).to_be_hidden()
    page.reload()
    expect(page.get_by_text("It broke.")).to_be_visible()
    expect(steps).to_be_hidden()
