"""The way of one unhappy customer, seen by all three: the customer, the manager, the support rep."""

from containers import Containers
from playwright.sync_api import Browser, expect


def walk(browser: Browser, system: Containers, words: str) -> None:
    """Answer on the form, find the answer on the results page, find its ticket at the desk."""
    context = browser.new_context()
    context.set_default_timeout(15_000)
    customer = context.new_page()
    customer.goto(f"{system.feedback}/")
    customer.get_by_role("radio", name="Bad", exact=True).check()
    customer.get_by_label("What should we know?").fill(words)
    customer.wait_for_timeout(500)  # who is faster than a hand gets no ticket without a manager's yes
    customer.get_by_role("button", name="Send").click()
    expect(customer.get_by_role("heading", name="Thank you")).to_be_visible()

    manager = context.new_page()
    manager.goto(system.run("results", "heed", "login").strip())
    expect(manager.get_by_text(words)).to_be_visible()
    ticket = manager.get_by_role("link", name="Ticket").first
    expect(ticket).to_be_visible()

    address = ticket.get_attribute("href")
    assert address is not None
    rep = context.new_page()
    rep.goto(address)
    expect(rep.get_by_text(words).first).to_be_visible()
    context.close()
