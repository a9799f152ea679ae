"""The pages' HTML: templates of frontend/results, and the way from page to page."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from api.results.access import Who
from api.results.rights import RIGHTS, Level
from heed.web.static import FRONTEND

# Path, name, and whether the page is of one survey.
_PAGES = (
    ("/", "Overview", False),
    ("/feedback", "Feedback", True),
    ("/attention", "Needs attention", True),
    ("/digest", "Digest", True),
    ("/surveys", "Surveys", False),
)


class Link(NamedTuple):
    """A way to another page."""

    path: str
    name: str
    href: str


def _nav(who: Who, survey: str | None) -> list[Link]:
    """The pages that they may see; those of one survey lead to this one."""
    links = []
    for path, name, of_survey in _PAGES:
        right = RIGHTS.get(("GET", path))
        if right is not None and who.may(right):
            href = f"{path}?survey={survey}" if of_survey and survey else path
            links.append(Link(path, name, f"/s/{survey}" if path == "/" and survey else href))
    return links


class Templates:
    """Renders with everything escaped. Pages may name their address to themselves, for the check of a form's origin.
    `made_up` tells whether a survey's answers are."""

    def __init__(self, made_up: Callable[[str | None], bool]) -> None:
        loader = FileSystemLoader(FRONTEND / "results" / "templates")
        self._jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        self._jinja.globals["nav"] = _nav
        self._jinja.globals["made_up"] = made_up

    def page(
        self, name: str, /, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """The template as an answer that no cache keeps. `who` looks at it (None: nobody that is known); `slug` is
        the survey that it is about, and `here` its path among the site's pages, where it has them."""
        known = {"who": None, "slug": None, "here": None, "Level": Level, **values}
        html = self._jinja.get_template(name).render(known)
        own = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
        return HTMLResponse(html, status, {**own, **(headers or {})})
