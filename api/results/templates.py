"""The pages' HTML: frames from frontend/results, filled in by the module results.js."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from api.results.rights import Level
from heed.web.static import FRONTEND


class Templates:
    """Renders with everything escaped. Pages may name their address to themselves, for the check of a form's origin."""

    def __init__(self) -> None:
        loader = FileSystemLoader(FRONTEND / "results" / "templates")
        self._jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)

    def page(
        self, name: str, /, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """The template as an answer that no cache keeps; `who` looks at it (None: nobody that is known)."""
        html = self._jinja.get_template(name).render({"who": None, "Level": Level, **values})
        own = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
        return HTMLResponse(html, status, {**own, **(headers or {})})
