"""Errors over HTTP as RFC 9457 problem documents (`application/problem+json`): wrong input, wrong path, a service that
is away, a bug.

Guarantees: every error of a JSON route has this one form; it never echoes what was sent nor shows internals; what is
away answers 503 with Retry-After.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heed.errors import Later

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
_DETAILS = {404: "There is nothing at this address.", 405: "This address does not take that method."}


class Problem(Exception):
    """An error answer. `kind` is the last part of the problem's type; `detail` says why and what to do."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "about:blank",
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind
        self.headers, self.extensions = headers, extensions

    def response(self) -> JSONResponse:
        """The problem document."""
        body = {
            "type": self.kind if ":" in self.kind else f"urn:heed:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
        }
        return JSONResponse(body, self.status, dict(self.headers or {}), media_type=MEDIA_TYPE)


def install(app: Starlette) -> None:
    """Answer every error of `app` with a problem document."""
    for kind in (Problem, HTTPException, Later, Exception):  # the last is raised again, and so uvicorn logs it
        app.add_exception_handler(kind, answer)


async def answer(_request: Request, error: Exception) -> Response:
    """Exception handler for any error."""
    return as_problem(error).response()


def as_problem(error: Exception) -> Problem:
    """What `error` says to the outside."""
    match error:
        case Problem():
            return error
        case HTTPException():
            detail = _DETAILS.get(error.status_code, "The request could not be handled.")
            return Problem(error.status_code, detail, headers=error.headers)
        case Later():
            seconds = max(1, math.ceil(error.retry_after or RETRY_SECONDS))
            detail = "Something this needs is away at the moment; try again."
            return Problem(503, detail, kind="later", headers={"Retry-After": str(seconds)})
        case _:
            return Problem(500, "Something went wrong here; it has been logged.", kind="unexpected")


def field_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Pydantic's errors as `{"field", "message"}`, without the input itself."""
    return [
        {
            "field": ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path")),
            "message": error["msg"].removeprefix("Value error, "),
        }
        for error in errors
    ]


def invalid(error: ValidationError) -> Problem:
    """A 422 that names each field that is wrong and why."""
    errors = field_errors(error.errors(include_input=False, include_url=False, include_context=False))
    first = errors[0]
    where = f"{first['field']}: " if first["field"] else ""
    return Problem(422, f"{where}{first['message']}", kind="invalid", errors=errors)
