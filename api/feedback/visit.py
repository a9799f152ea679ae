"""One visit of a customer: what is the same for every page that it may end with.

Guarantees: every page of a visit is in one language, is kept by no cache, and is framed by nobody but whom its survey
names; being embedded and the language that was chosen are carried on to the next page.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.feedback.embed import framing
from api.feedback.submit import COOKIE_SECONDS
from heed.contracts import Survey
from heed.web.languages import COOKIE, chosen, language_of


class Visit:
    """One request: its language, the survey whose page embeds it if one does, and what is carried to the next page.

    `color` is the survey's, as soon as it is known; a receipt's address says `of` which survey it is.
    """

    def __init__(self, request: Request, slug: str | None, embed: Survey | None, of: Survey | None = None) -> None:
        self.request, self.slug, self.embed = request, slug, embed
        self.color = survey.color if (survey := embed or of) else None
        # Never the beginning of another site's address.
        self.path = "/" + quote(request.scope["path"].lstrip("/\\"))
        self.language = language_of(request)
        self._chose = chosen(request)
        self.carried = {"embed": embed.slug} if embed else {"survey": of.slug} if of else {}
        self.carried |= {"lang": self._chose.code} if self._chose else {}

    def page(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """The template in the visitor's language."""
        environment = self.language.templates
        html = environment.get_template(template).render(
            path=self.path, slug=self.slug, carried=self.carried, embed=self.embed, color=self.color, **values
        )
        response = HTMLResponse(html, status, {"Cache-Control": "no-store", "Content-Language": self.language.code})
        response.headers.update(framing(self.embed) if self.embed else {})
        response.headers.update(headers or {})
        if self._chose and not self.embed:
            secure = self.request.scope["scheme"] == "https"
            response.set_cookie(COOKIE, self._chose.code, COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure)
        return response

    def message(
        self, status: int, title: str, text: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Response:
        """A page that says one thing."""
        says = self.language.says
        values = {"state": "problem", "at": None, "words": "", "link": None, **more}
        return self.page("message.html", status, headers, title=says(title), text=says(text), **values)

    def address(self, path: str, fragment: str = "", of: Survey | None = None) -> str:
        """Where `path` is, with what is carried; a receipt `of` a survey with a colour is in that colour."""
        named = {"survey": of.slug} if of and of.color and not self.embed else {}
        query = "&".join(f"{name}={value}" for name, value in (named | self.carried).items())
        return f"{path}{'?' if query else ''}{query}{fragment}"

    def link(self, path: str, text: str, of: Survey | None = None) -> dict[str, str]:
        """A link to another page."""
        return {"address": self.address(path, of=of), "text": self.language.says(text)}
