"""The customers' pages: the form, the receipt, the erasure, and what can go wrong, whole without scripts.

Guarantees: nothing is recorded on GET; a form that is sent twice counts once; a form that is refused comes back with
what was written in it and says what to change; a receipt tells how far an answer is and never what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.feedback.forms import Given, Wrong, asked, given_by, sentences, submission_of, suspicions, wrongs_of
from api.feedback.submit import COOKIE, AlreadyVoted, Desk, cookie, keep
from api.feedback.visit import Visit
from heed.contracts import DEFAULT_SURVEY, Survey, received_at
from heed.contracts.progress import Progress
from heed.errors import Later
from heed.settings import Settings
from heed.web import form
from heed.web.problems import Problem, as_problem

NOBODY_ELSE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}


def _(text: str) -> str:
    """Marks a text for the catalogues; it is translated where it is used."""
    return text


class Receipts(Protocol):
    """How far answers are; raises Later when that cannot be known now."""

    async def progress(self, submission: UUID) -> Progress:
        """How far it is."""

    async def erase(self, submission: UUID) -> None:
        """Have it erased."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands in the way of a form that is otherwise right."""

    title: str
    text: str


def add(app: Starlette, desk: Desk, receipts: Receipts, settings: Settings) -> None:
    """Add the pages to the site."""
    pages = Pages(desk, receipts, settings.form_seconds)
    app.add_route("/", pages.form, methods=["GET"])
    app.add_route("/s/{slug}", pages.form, methods=["GET"])
    app.add_route("/s/{slug}", pages.submit, methods=["POST"])
    app.add_route("/r/{token}", pages.receipt, methods=["GET"])
    app.add_route("/r/{token}/erase", pages.ask_to_erase, methods=["GET"])
    app.add_route("/r/{token}/erase", pages.erase, methods=["POST"])
    app.add_exception_handler(HTTPException, pages.missing)


class Pages:
    """The pages; `form_seconds` is the time that a person needs at least to fill in the form."""

    def __init__(self, desk: Desk, receipts: Receipts, form_seconds: float) -> None:
        self._desk, self._receipts, self._form_seconds = desk, receipts, form_seconds

    async def form(self, request: Request) -> Response:
        """The form; a link may have chosen the option already."""
        slug = request.path_params.get("slug", DEFAULT_SURVEY.slug)
        visit = await self._visit(request, slug)
        try:
            survey = await self._desk.survey(slug)
        except Problem as problem:
            return self._refused(visit, {}, problem, None)
        visit.color = survey.color
        if (shut := self._shut(visit, survey)) is not None:
            return shut
        # A client that comes with its token can be told from another; so it gets one before it answers: as a cookie,
        # and in the form itself where it is embedded, since no cookie of ours may be kept there.
        tokens, token = self._desk.tokens, request.cookies.get(COOKIE, "")
        known = tokens.read_client(token) is not None
        token = token if known else tokens.client_token(tokens.new_client())
        given = {name: request.query_params.get(name, "") for name in ("vote", "ref")}
        response = self._show(visit, survey, {**given, "client": token} if visit.embed else given)
        if not known:
            response.headers.append("Set-Cookie", keep(request, token)["Set-Cookie"])
        return response

    async def submit(self, request: Request) -> Response:
        """Take the form, or show it again with what is wrong."""
        slug = request.path_params["slug"]
        visit = await self._visit(request, slug)
        given = await given_by(request)
        survey = None
        try:
            survey = await self._desk.survey(slug)
            visit.color = survey.color
            if "again" in given:  # in another language
                return self._show(visit, survey, given)
            if request.headers.get("sec-fetch-site") == "cross-site":
                return self._ask(visit, survey, given)
            try:
                submission = submission_of(given, visit.language)
            except ValidationError as error:
                return self._show(visit, survey, given, wrongs_of(error, survey, visit.language), status=422)
            token = given.get("client") or request.cookies.get(COOKIE, "")
            taken = await self._desk.take(
                request,
                survey,
                submission,
                key=given.get("key") or None,
                source="form",
                client_token=token if self._desk.tokens.read_client(token) else None,
                flags=suspicions(given, self._desk.tokens, self._form_seconds),
                asked=asked(given),
            )
        except AlreadyVoted as error:
            return visit.message(
                409,
                _("You have already answered"),
                _("The first answer counts, so this one was not recorded."),
                state="already",
                at=received_at(error.id),
                words=given.get("comment", ""),
                at_is=visit.language.says("Received:"),
                link=visit.link(f"/r/{self._desk.tokens.receipt_token(error.id)}", _("See what becomes of it"), survey),
            )
        except Problem as problem:
            return self._refused(visit, given, problem, survey)
        receipt = f"/r/{self._desk.tokens.receipt_token(taken.id)}"
        # A page elsewhere that embeds the form keeps the token, since there no cookie reaches us; nor does a fragment.
        kept = f"#client={'' if submission.user else taken.client_token}" if visit.embed else ""
        to = visit.address(receipt, kept, survey)
        headers = cookie(request, taken)
        if request.headers.get("accept", "").startswith("application/json"):  # the page's own script
            return JSONResponse({"location": to}, 200, headers)
        # The answer has an address of its own, so that reloading it sends nothing again.
        return RedirectResponse(to, 303, headers)

    async def receipt(self, request: Request) -> Response:
        """How far an answer is."""
        visit = await self._visit(request)
        submission = self._desk.tokens.read_receipt(request.path_params["token"])
        if submission is None:
            return self._no_receipt(visit)
        try:
            progress, unknown = await self._receipts.progress(submission), False
        except Later:
            progress, unknown = Progress(), True
        return visit.page(
            "receipt.html",
            200,
            NOBODY_ELSE,
            id=submission,
            received_at=received_at(submission),
            progress=progress,
            unknown=unknown,
            settled=_settled(progress),
        )

    async def ask_to_erase(self, request: Request) -> Response:
        """Whether the customer really wants what they wrote to be erased."""
        return await self._erase_page(request)

    async def erase(self, request: Request) -> Response:
        """Have it erased."""
        submission = self._desk.tokens.read_receipt(request.path_params["token"])
        if submission is not None:
            try:
                await self._receipts.erase(submission)
            except Later:
                return await self._erase_page(request, failed=True)
        visit = await self._visit(request)
        return RedirectResponse(visit.address(f"/r/{request.path_params['token']}"), 303, NOBODY_ELSE)

    async def missing(self, request: Request, error: Exception) -> Response:
        """No such page, or a form that is none, for people; a problem document for programs."""
        problem = as_problem(error)
        if "text/html" not in request.headers.get("accept", ""):
            return problem.response()
        visit = await self._visit(request)
        if problem.status != 404:
            return self._failed(visit, problem)
        text = _("Its address may be incomplete, or the page is gone.")
        return visit.message(404, _("We cannot find this page"), text, link=visit.link("/", _("Go to the form")))

    async def _visit(self, request: Request, slug: str | None = None) -> Visit:
        """The survey that is embedded is the one in the path, or on other pages the one that they are asked with."""
        asked, named = (request.query_params.get(name, "") for name in ("embed", "survey"))
        try:
            embed = await self._desk.surveys.get(slug or asked) if asked else None
            of = await self._desk.surveys.get(named) if named and not slug and not embed else None
        except Later:  # nobody may frame what may be nobody's
            embed = of = None
        return Visit(request, slug, embed, of)

    def _show(
        self,
        visit: Visit,
        survey: Survey,
        given: Given,
        errors: Wrong | None = None,
        notice: Notice | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        tokens = self._desk.tokens
        shown = given.get("shown", "")
        return visit.page(
            "form.html",
            status,
            headers,
            **form.values(survey, visit.language),
            given=given,
            errors=errors or [],
            notice=notice,
            # The key makes sending this very form twice (a double click, a reload) one submission.
            key=given.get("key") or str(uuid4()),
            shown=shown if tokens.read_shown(shown) is not None else tokens.shown_token(),
        )

    def _refused(self, visit: Visit, given: Given, problem: Problem, survey: Survey | None) -> Response:
        """The page for what stood in the way; what was written stays in it."""
        says = visit.language.says
        words = given.get("comment", "")
        if survey is None and problem.status == 404:
            text = _("Its link may be incomplete, or the survey is gone.")
            link = visit.link("/", _("Go to our main form"))
            return visit.message(404, _("We cannot find this survey"), text, words=words, link=link)
        if survey is None:
            text = _("It cannot be looked up. Please load this page again in a moment.")
            return visit.message(
                problem.status, _("We cannot show this survey just now"), text, problem.headers, words=words
            )
        match problem.status:
            case 422:
                found = problem.extensions.get("errors") or [{"field": "-", "message": ""}]
                return self._show(visit, survey, given, sentences(found, survey, visit.language), status=422)
            case 429:
                seconds = int((problem.headers or {}).get("Retry-After", "60"))
                text = visit.language.counts(
                    "Please send it again in %(count)s second.", "Please send it again in %(count)s seconds.", seconds
                )
                notice = Notice(says(_("Many answers came from your network just now")), text)
                return self._show(visit, survey, given, notice=notice, status=429, headers=problem.headers)
            case 503:
                title = says(_("We could not take your answer just now"))
                notice = Notice(title, says(_("What you wrote is still here. Please send it again in a moment.")))
                return self._show(visit, survey, given, notice=notice, status=503, headers=problem.headers)
        return self._shut(visit, survey, words) or self._failed(visit, problem)

    def _ask(self, visit: Visit, survey: Survey, given: Given) -> Response:
        """Another site's page filled the form in: it is not sent before the visitor has seen it, and as a new one."""
        says = visit.language.says
        text = says("This came from another site. Send it if it is what you want to say.")
        kept = {name: given[name] for name in ("vote", "rating", "comment") if name in given}
        return self._show(visit, survey, kept, notice=Notice(says("Please look at it once more"), text), status=403)

    def _failed(self, visit: Visit, problem: Problem) -> Response:
        text = _("Please go back and try it again.")
        return visit.message(problem.status, _("That did not work"), text, problem.headers)

    def _shut(self, visit: Visit, survey: Survey, words: str = "") -> Response | None:
        """The page of a survey that takes no answers now; None when it does."""
        match survey.state(datetime.now(UTC)):
            case "closed":
                text = _("It takes no more answers. Thank you for wanting to tell us.")
                return visit.message(410, _("This survey is closed"), text, state="closed", words=words)
            case "early":
                text = _("Please come back a little later.")
                title = _("This survey is not open yet")
                return visit.message(
                    403,
                    title,
                    text,
                    state="early",
                    at=survey.opens_at,
                    at_is=visit.language.says("It opens:"),
                    words=words,
                )
        return None

    def _no_receipt(self, visit: Visit) -> Response:
        text = _("Its address is not complete. Please copy the whole link.")
        return visit.message(404, _("We cannot find this receipt"), text, NOBODY_ELSE)

    async def _erase_page(self, request: Request, failed: bool = False) -> Response:
        visit = await self._visit(request)
        token = request.path_params["token"]
        if self._desk.tokens.read_receipt(token) is None:
            return self._no_receipt(visit)
        status = 503 if failed else 200
        return visit.page("erase.html", status, NOBODY_ELSE, failed=failed, receipt=f"/r/{token}")


def _settled(progress: Progress) -> bool:
    """Whether nothing more is to come, so that nobody needs to look again soon."""
    waits = progress.considered or (progress.expected and not progress.solved_at)
    return bool(progress.read_at and not waits and (progress.erased_at or not progress.erase_asked_at))
