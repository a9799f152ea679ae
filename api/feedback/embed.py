"""What other sites' pages get: the widget, leave to frame the form and to send answers from scripts, QR codes, a demo.

Guarantees: only pages of a survey's origins can frame its form or read what the API answers their scripts, errors too;
nothing here says or asks who a visitor is.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.feedback.submit import Desk
from api.feedback.surveys import Surveys
from heed import qr
from heed.contracts import DEFAULT_SURVEY, Survey
from heed.contracts.text import CONTEXT_MAX
from heed.errors import Later
from heed.web.guards import csp
from heed.web.languages import chosen
from heed.web.problems import Problem, as_problem
from heed.web.static import FRONTEND, Static

WIDGET = FRONTEND / "widget"
WIDGET_SECONDS = 300  # how long a page may use its copy of the widget before it asks again
PREFLIGHT_SECONDS = 600
_SUBMIT = re.compile(r"/api/v1/surveys/([^/]+)/feedback")
_ANY_PAGE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


def framing(survey: Survey | None) -> dict[str, str]:
    """The header that lets this site's pages and those of the survey's origins frame a page; none without a survey."""
    ancestors = " ".join(("'self'", *survey.origins)) if survey is not None else "'none'"
    return {"Content-Security-Policy": csp(ancestors)}


def add(app: Starlette, desk: Desk, root: Callable[[Request], str]) -> None:
    """Add the routes to the site; `root` is its public address as a request shows it."""
    files = Static(WIDGET)
    environment = Environment(
        loader=FileSystemLoader(WIDGET), autoescape=select_autoescape(default=True), undefined=StrictUndefined
    )

    async def survey_of(slug: str) -> Survey:
        survey = await desk.surveys.get(slug)
        if survey is None:
            raise HTTPException(404)
        return survey

    async def widget(request: Request) -> Response:
        response = await files.get_response("widget.js", request.scope)
        response.headers.update({**_ANY_PAGE, "Cache-Control": f"public, max-age={WIDGET_SECONDS}"})
        return response

    async def demo(request: Request) -> Response:
        survey = await survey_of(request.query_params.get("survey", DEFAULT_SURVEY.slug))
        html = environment.get_template("demo.html").render(survey=survey, site=root(request))
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": csp(frame_src="'self'")}
        return HTMLResponse(html, headers=headers)

    async def code(request: Request) -> Response:
        survey = await survey_of(request.path_params["slug"])
        address = f"{root(request)}/s/{survey.slug}{_query(request, survey)}"
        headers = {**_ANY_PAGE, "Cache-Control": "no-cache"}
        return Response(qr.svg(address), headers=headers, media_type="image/svg+xml")

    app.add_route("/widget.js", widget, methods=["GET"])
    app.add_route("/demo", demo, methods=["GET"])
    app.add_route("/s/{slug}/qr.svg", code, methods=["GET"])


def _query(request: Request, survey: Survey) -> str:
    """What a link to the form may say, as far as it makes sense."""
    asked = request.query_params
    said = {
        "vote": option.key if (option := survey.option(asked.get("vote"))) else "",
        "ref": asked.get("ref", "").replace("\x00", "").strip()[:CONTEXT_MAX],
        "lang": language.code if (language := chosen(request)) else "",
    }
    said = {name: value for name, value in said.items() if value}
    return f"?{urlencode(said)}" if said else ""


class Cors:
    """ASGI middleware: lets scripts of a survey's origins send answers and read what becomes of them. Cookies are not
    for them. It stands around whatever may refuse a submission, so that a script can read every refusal.
    """

    def __init__(self, app: ASGIApp, surveys: Surveys) -> None:
        self.app, self._surveys = app, surveys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _SUBMIT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is None:
            await self.app(scope, receive, send)
            return
        asked = dict(scope["headers"])
        origin = asked.get(b"origin", b"").decode("latin-1")
        try:
            survey = await self._surveys.get(match[1]) if origin else None
        except Later as error:
            await as_problem(error).response()(scope, receive, send)
            return
        allowed = _allowing(origin) if survey is not None and origin in survey.origins else {}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                headers.update(allowed)
            await send(message)

        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in asked:
            await _preflight(survey, allowed)(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)


def _allowing(origin: str) -> Mapping[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After"}


def _preflight(survey: Survey | None, allowed: Mapping[str, str]) -> Response:
    """What a browser asks before it lets a script send an answer."""
    if survey is None:
        return Problem(404, "There is no survey of this name.", kind="unknown-survey").response()
    if not allowed:
        return Problem(403, "Pages of this origin may not send answers here.", kind="strange-origin").response()
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type, Idempotency-Key, X-Heed-Client",
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
    return Response(status_code=204, headers=headers)
