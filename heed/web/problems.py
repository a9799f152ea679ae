"""Errors over HTTP as RFC 9457 problem documents (`application/problem+json`).

Guarantees: every error of a JSON route has this one form; it never echoes what was sent.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"


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


async def answer(_request: Request, problem: Exception) -> Response:
    """Exception handler for `Problem`."""
    assert isinstance(problem, Problem)
    return problem.response()


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
