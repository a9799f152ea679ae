"""The pages of people, sessions, API keys and the audit: plain forms, which work without JavaScript.

Guarantees: a password or a key is shown once, on the page that answers who made it; what is wrong with a form is said
on the page of that form, and nothing is changed.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Form, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse, Response

from api.results import summary
from api.results.people import People, may_end_all
from api.results.people_models import AuditFilter, NewKey, NewPerson, Number, PersonChange, SessionId
from api.results.routes import asking
from api.results.templates import Templates
from heed.contracts import KeyScope, PersonName, Role
from heed.db import engine as db
from heed.db.audit import Action
from heed.web.problems import Problem, invalid

ROLES = {
    Role.VIEWER: "sees results and answers",
    Role.MANAGER: "also gives verdicts and exports",
    Role.ADMIN: "also manages people and keys",
}
SCOPES = {
    KeyScope.SUBMIT: "send answers, without a rate limit",
    KeyScope.READ: "read results and answers",
    KeyScope.MANAGE: "also give verdicts and export",
    KeyScope.ADMIN: "also manage people and keys",
}
_NAMES = "A name has letters, digits and . _ @ + -, and at most 64 of them."

# The form field that tells whether the surveys that are ticked matter.
Reach = Annotated[str, Form(pattern="^(all|some)$")]
Ticked = Annotated[list[str], Form(default_factory=list)]
Text = Annotated[str, Form()]


def router(engine: sa.Engine, persons: People, templates: Templates, signs_in: bool) -> APIRouter:
    """The routes /people, /keys and /audit, and the end of a session; `signs_in`: there is a provider to log in by."""
    routes = APIRouter(include_in_schema=False)

    def questions() -> dict[str, str]:
        with db.begin(engine) as connection:
            return summary.questions(connection)

    def people_page(request: Request, problem: Problem | None = None, **more: Any) -> Response:
        values = {
            "people": persons.every(),
            "surveys": questions(),
            "all_roles": ROLES,
            "made": None,
            "given": {},
            "signs_in": signs_in,
            **more,
        }
        return _page(templates, "people.html", request, problem, **values)

    def person_page(request: Request, name: str, problem: Problem | None = None, **more: Any) -> Response:
        person = persons.one(name)
        logged_in = persons.sessions_of(person.name, asking(request))
        values = {
            "person": person,
            "sessions": logged_in,
            "surveys": questions(),
            "all_roles": ROLES,
            "made": None,
            **more,
        }
        return _page(templates, "person.html", request, problem, **values)

    def keys_page(request: Request, problem: Problem | None = None, **more: Any) -> Response:
        values = {"keys": persons.keys(), "scopes": SCOPES, "made": None, "given": {}, **more}
        return _page(templates, "keys.html", request, problem, **values)

    @routes.get("/people")
    def people(request: Request) -> Response:
        return people_page(request)

    @routes.post("/people")
    def add(
        request: Request,
        survey: Ticked,
        name: Text = "",
        role: Text = Role.VIEWER,
        reach: Reach = "all",
        no_password: Annotated[bool, Form()] = False,
    ) -> Response:
        only = survey if reach == "some" else None
        given = {"name": name, "role": role, "surveys": only, "password": not no_password}
        try:
            wanted = NewPerson.model_validate(given)
            made = persons.add(asking(request), wanted)
        except ValidationError as error:
            return people_page(request, _said(error), given=given)
        except Problem as problem:
            return people_page(request, problem, given=given)
        return people_page(request, made=made)

    @routes.get("/people/{name}")
    def person(name: PersonName, request: Request) -> Response:
        return person_page(request, name)

    @routes.post("/people/{name}")
    def change(
        name: PersonName,
        request: Request,
        survey: Ticked,
        role: Text = "",
        reach: Reach = "all",
        disabled: Annotated[bool, Form()] = False,
    ) -> Response:
        given = {"role": role, "surveys": survey if reach == "some" else None, "disabled": disabled}
        try:
            persons.change(asking(request), name, PersonChange.model_validate(given))
        except ValidationError as error:
            return person_page(request, name, _said(error))
        except Problem as problem:
            if problem.status == 404:
                raise
            return person_page(request, name, problem)
        return RedirectResponse("/people", 303)

    @routes.post("/people/{name}/password")
    def new_password(name: PersonName, request: Request) -> Response:
        try:
            made = persons.new_password(asking(request), name)
        except Problem as problem:
            if problem.status == 404:
                raise
            return person_page(request, name, problem)
        return person_page(request, name, made=made)

    @routes.post("/people/{name}/sign-in/forget")
    def forget_sign_in(name: PersonName, request: Request) -> Response:
        try:
            persons.forget_sign_in(asking(request), name)
        except Problem as problem:
            if problem.status == 404:
                raise
            return person_page(request, name, problem)
        return RedirectResponse(f"/people/{name}", 303)

    @routes.post("/people/{name}/sessions/revoke")
    def log_out(name: PersonName, request: Request) -> Response:
        persons.revoke_all(asking(request), name)
        return RedirectResponse(f"/people/{name}", 303)

    @routes.post("/sessions/{session_id}/revoke")
    def revoke(session_id: SessionId, request: Request, then: Text = "") -> Response:
        who = asking(request)
        persons.revoke(who, session_id, may_end_all(who))
        return RedirectResponse(f"/people/{then}" if _is_name(then) else "/sessions", 303)

    @routes.get("/keys")
    def keys(request: Request) -> Response:
        return keys_page(request)

    @routes.post("/keys")
    def make_key(request: Request, scope: Ticked, name: Text = "") -> Response:
        given = {"name": name, "scopes": scope}
        try:
            made = persons.make_key(asking(request), NewKey.model_validate(given))
        except ValidationError as error:
            return keys_page(request, _said(error, "A key needs a name, of at most 100 characters."), given=given)
        return keys_page(request, made=made)

    @routes.post("/keys/{number}/revoke")
    def revoke_key(number: Number, request: Request) -> Response:
        persons.revoke_key(asking(request), number)
        return RedirectResponse("/keys", 303)

    @routes.get("/audit")
    def audit(
        request: Request,
        actor: Annotated[str, Query(max_length=200)] = "",
        action: str = "",
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ) -> Response:
        given = {name: value for name, value in (("actor", actor.strip()), ("action", action)) if value}
        try:
            wanted = AuditFilter.model_validate({**given, "before": before})
        except ValidationError as error:
            raise _said(error) from None
        part = persons.audit(wanted)
        older = f"/audit?{urlencode({**given, 'before': part.next})}" if part.next else None
        values: dict[str, Any] = {"lines": part.items, "older": older, "given": given, "first": before is None}
        return _page(templates, "audit.html", request, actions=[each.value for each in Action], **values)

    return routes


def _page(templates: Templates, name: str, request: Request, problem: Problem | None = None, **values: Any) -> Response:
    status = problem.status if problem else 200
    told: Mapping[str, Any] = {"problem": problem.detail if problem else ""}
    return templates.page(name, status, who=asking(request), **told, **values)


def _said(error: ValidationError, name: str = _NAMES) -> Problem:
    """What is wrong, in the words of the forms."""
    said = invalid(error)
    first = str(said.extensions["errors"][0]["field"]).partition(".")[0]
    detail = {
        "name": name,
        "surveys": "Choose at least one survey.",
        "scopes": "Choose what the key may do.",
        "role": "Choose a role.",
    }.get(first)
    return Problem(422, detail or said.detail, kind="invalid")


def _is_name(text: str) -> bool:
    try:
        TypeAdapter(PersonName).validate_python(text)
    except ValidationError:
        return False
    return True
