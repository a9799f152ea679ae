"""The customers' pages: the form, the receipt (which says thank you), and what can go wrong, whole without scripts.

Guarantees: nothing is recorded on GET; a form that is sent twice counts once; a form that is refused comes back
with what was written in it and says what to change.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.feedback.submit import COOKIE, AlreadyVoted, Desk, cookie, keep, received_text
from heed.contracts import DEFAULT_SURVEY, Submission, Survey
from heed.contracts.text import COMMENT_MAX, EMAIL_MAX, NAME_MAX
from heed.web.problems import Problem, as_problem, field_errors
from heed.web.static import FRONTEND

RATINGS = {1: "Very bad", 2: "Bad", 3: "Fair", 4: "Good", 5: "Very good"}
# In the words of the form; the API's field names stay in the API.
TITLES = {
    404: "We cannot find this page",
    413: "That was too much text",
    429: "Too many answers at once",
    503: "We could not take your answer just now",
}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FRONTEND / "feedback"), autoescape=select_autoescape(default=True)
    )
    environment.globals.update(comment_max=COMMENT_MAX, name_max=NAME_MAX, email_max=EMAIL_MAX, ratings=RATINGS)
    return environment


def add(app: Starlette, desk: Desk) -> None:
    """Add the pages to the site."""
    environment = _environment()

    def render(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
        html = environment.get_template(template).render(values)
        return HTMLResponse(html, status, {"Cache-Control": "no-store", **(headers or {})})

    def form(survey: Survey, given: Mapping[str, str], errors: list[dict[str, str]], status: int = 200) -> Response:
        # The key makes sending this very form twice (a double click, a reload) one submission.
        key = given.get("key") or str(uuid4())
        return render("form.html", status, survey=survey, given=given, errors=errors, key=key)

    def sorry(problem: Problem) -> Response:
        title = TITLES.get(problem.status, "That did not work")
        sent = problem.status != 404  # something was written, and is still where the back button leads
        return render("problem.html", problem.status, problem.headers, title=title, detail=problem.detail, sent=sent)

    async def show(request: Request) -> Response:
        try:
            survey = await desk.survey(request.path_params.get("slug", DEFAULT_SURVEY.slug))
        except Problem as problem:
            return sorry(problem)
        vote = request.query_params.get("vote", "")
        response = form(survey, {"vote": vote} if survey.option(vote) else {}, [])
        # A client that comes with its token can be told from another; so it gets one before it answers.
        if desk.tokens.read_client(request.cookies.get(COOKIE, "")) is None:
            response.headers.update(keep(request, desk.tokens.client_token(desk.tokens.new_client())))
        return response

    async def submit(request: Request) -> Response:
        try:
            survey = await desk.survey(request.path_params["slug"])
            given = await _given(request)
            try:
                submission = _submission(given)
            except ValidationError as error:
                found = field_errors(error.errors(include_input=False, include_url=False, include_context=False))
                return form(survey, given, [_for_people(each) for each in found], 422)
            try:
                taken = await desk.take(request, survey, submission, key=given.get("key") or None, source="form")
            except Problem as problem:
                if problem.status != 422:
                    raise
                found = problem.extensions.get("errors") or [{"field": "", "message": problem.detail}]
                return form(survey, given, found, 422)
        except AlreadyVoted as error:
            return render(
                "already.html",
                409,
                receipt=f"/r/{desk.tokens.receipt_token(error.id)}",
                received=received_text(error.id),
            )
        except Problem as problem:
            return sorry(problem)
        # The answer has an address of its own, so that reloading it sends nothing again.
        return RedirectResponse(f"/r/{desk.tokens.receipt_token(taken.id)}", 303, cookie(request, taken))

    async def receipt(request: Request) -> Response:
        submission_id = desk.tokens.read_receipt(request.path_params["token"])
        if submission_id is None:
            return sorry(Problem(404, "This receipt's address is not complete. Please copy the whole link."))
        headers = {"X-Robots-Tag": "noindex"}
        return render("receipt.html", headers=headers, id=submission_id, received=received_text(submission_id))

    async def nothing(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        person = "text/html" in request.headers.get("accept", "")
        return sorry(problem) if person and problem.status == 404 else problem.response()

    app.add_route("/", show, methods=["GET"])
    app.add_route("/s/{slug}", show, methods=["GET"])
    app.add_route("/s/{slug}", submit, methods=["POST"])
    app.add_route("/r/{token}", receipt, methods=["GET"])
    app.add_exception_handler(HTTPException, nothing)


async def _given(request: Request) -> dict[str, str]:
    """The form's fields as text; files and anything beyond the form's own fields are ignored."""
    async with request.form(max_files=1, max_fields=20, max_part_size=100_000) as fields:
        return {
            # Browsers send line breaks as CR LF; people wrote one character.
            name: value.replace("\r\n", "\n")
            for name, value in fields.items()
            if not isinstance(value, UploadFile)
        }


def _submission(given: Mapping[str, str]) -> Submission:
    rating = given.get("rating", "")
    name, email, reply = given.get("name", ""), given.get("email", ""), "reply" in given
    contact = {"name": name, "email": email, "reply": reply} if name.strip() or email.strip() or reply else None
    return Submission.model_validate(
        {
            "vote": given.get("vote"),
            "rating": (int(rating) if rating.isdecimal() and len(rating) == 1 else rating) if rating else None,
            "comment": given.get("comment", ""),
            "contact": contact,
        }
    )


def _for_people(error: dict[str, str]) -> dict[str, str]:
    """A validation error as the form says it: the field to go to, and a sentence."""
    field, message = error["field"], error["message"]
    if field == "":
        return {"field": "vote", "message": "Please choose an option, give a rating or write a comment."}
    if field == "contact":
        return {"field": "email", "message": "To get a reply, please give your e-mail address."}
    if field == "contact.email":
        return {"field": "email", "message": "Please check the e-mail address; it should look like name@example.com."}
    if field == "contact.name":
        return {"field": "name", "message": f"Please keep the name under {NAME_MAX} characters."}
    if field == "comment" and "at most" in message:
        return {"field": "comment", "message": f"Please keep the comment under {COMMENT_MAX:,} characters."}
    if field == "rating":
        return {"field": "rating", "message": "Please choose a rating from 1 to 5."}
    return {"field": field.rpartition(".")[2], "message": message}
