"""`heed.web.problems` for a site of FastAPI's: with its validation errors, and what OpenAPI says of errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from heed.web import problems
from heed.web.problems import MEDIA_TYPE, Problem, field_errors

# For `FastAPI(telemetry=...)`: its own spans would carry visitors' addresses (heed.tracing has ours).
NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}

# For `FastAPI(responses=...)`: what OpenAPI says of every route's errors.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457)",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string", "format": "uri"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                }
            }
        },
    }
}


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    problems.install(app)
    app.add_exception_handler(RequestValidationError, _respond)


def as_problem(error: Exception) -> Problem:
    """What `error` says to the outside."""
    if not isinstance(error, RequestValidationError):
        return problems.as_problem(error)
    errors = field_errors(error.errors())
    first = errors[0] if errors else {"field": "", "message": "the request is not valid"}
    where = f"{first['field']}: " if first["field"] else ""
    return Problem(422, f"{where}{first['message']}", kind="invalid", errors=errors)


async def _respond(_request: Request, error: Exception) -> Response:
    return as_problem(error).response()
