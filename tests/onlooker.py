"""Who looks on while a test uses a page: what the browser complains of, what axe finds, and pictures of every state.

Pictures go to `test-artifacts/screens`, which nobody commits.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

expect.set_options(timeout=15_000)  # a busy machine takes its time
SCREENS = Path(__file__).parents[1] / "test-artifacts" / "screens"
# A browser reports pages with these statuses as failed loads, and what is lost while a test takes the network away.
_MEANT = re.compile(
    r"status of (401|403|404|409|410|413|422|429|503)|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_(REFUSED|RESET)"
)
_AXE = Axe()


@contextmanager
def watched(context: BrowserContext, *sites: str) -> Iterator[Page]:
    """A page of `context`. Console errors, violations of the content security policy (the console tells them) and
    requests to anywhere but `sites` fail the test.
    """
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _MEANT.search(message.text):
            complaints.append(message.text)

    page.on("console", told)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    allowed = tuple(f"{site}/" for site in sites)
    page.on("request", lambda sent: None if sent.url.startswith((*allowed, "blob:")) else complaints.append(sent.url))
    yield page
    assert complaints == []


def assert_accessible(page: Page) -> None:
    """Axe finds nothing, its best practices included."""
    found = _AXE.run(page)
    assert found.violations_count == 0, found.generate_report()


def picture(page: Page, name: str) -> None:
    """Keep how the page looks now."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True, animations="disabled")
