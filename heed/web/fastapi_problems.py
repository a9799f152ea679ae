"""A FastAPI site whose every error is a problem document: wrong input, wrong path, a service that is away, a bug.

Guarantees: no answer shows internals or echoes what was sent; what is away answers 503 with Retry-After.
"""

import math
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heed.errors import Later
from heed.web.problems import MEDIA_TYPE, Problem, answer, field_errors

RETRY_SECONDS = 5
_DETAILS = {404: "There is nothing at this address.", 405: "This address does not take that method."}

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
    app.add_exception_handler(Problem, answer)
    app.add_exception_handler(RequestValidationError, _respond)
    app.add_exception_handler(HTTPException, _respond)
    app.add_exception_handler(Later, _respond)
    app.add_exception_handler(Exception, _respond)  # Starlette raises it again, and so uvicorn logs the traceback


def as_problem(error: Exception) -> Problem:
    """What `error` says to the outside."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            errors = field_errors(error.errors())
            first = errors[0] if errors else {"field": "", "message": "the request is not valid"}
            where = f"{first['field']}: " if first["field"] else ""
            return Problem(422, f"{where}{first['message']}", kind="invalid", errors=errors)
        case HTTPException():
            detail = _DETAILS.get(error.status_code, "The request could not be handled.")
            return Problem(error.status_code, detail, headers=error.headers)
        case Later():
            seconds = max(1, math.ceil(error.retry_after or RETRY_SECONDS))
            detail = "Something this needs is away at the moment; try again."
            return Problem(503, detail, kind="later", headers={"Retry-After": str(seconds)})
        case _:
            return Problem(500, "Something went wrong here; it has been logged.", kind="unexpected")


async def _respond(_request: Request, error: Exception) -> Response:
    return as_problem(error).response()
