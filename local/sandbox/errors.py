"""Errors in the shapes that Zendesk's Support API answers with."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

Details = dict[str, list[dict[str, str]]]


class ZendeskError(Exception):
    """An error answer: its status, its JSON body and extra headers."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status, self.body, self.headers = status, body, headers

    def response(self) -> JSONResponse:
        """The answer itself."""
        return JSONResponse(self.body, self.status, self.headers)


async def answer(_request: Request, error: Exception) -> JSONResponse:
    """Exception handler for `ZendeskError`."""
    assert isinstance(error, ZendeskError)
    return error.response()


def record_invalid(details: Details) -> ZendeskError:
    """422: what was sent is understood and not acceptable; `details` says why for each field."""
    return ZendeskError(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})


def not_found() -> ZendeskError:
    """404 for a record."""
    return ZendeskError(404, {"error": "RecordNotFound", "description": "Not found"})


def invalid_attribute(name: str, why: str) -> ZendeskError:
    """400: a parameter, or the body as a whole, is not what the endpoint takes."""
    message = f"You passed an invalid value for the {name} attribute. {why}"
    return ZendeskError(400, {"error": {"title": "Invalid attribute", "message": message}})


def unauthenticated() -> ZendeskError:
    """401."""
    return ZendeskError(401, {"error": "Couldn't authenticate you"}, {"WWW-Authenticate": 'Basic realm="Web Password"'})


def forbidden() -> ZendeskError:
    """403."""
    message = "You do not have access to this page. Please contact the account owner of this help desk."
    return ZendeskError(403, {"error": {"title": "Forbidden", "message": message}})


def rate_limited(retry_after: str | None) -> ZendeskError:
    """429; `retry_after` is the header's value, None leaves it out."""
    body = {
        "error": "APIRateLimitExceeded",
        "description": "Number of allowed API requests per minute exceeded",
    }
    return ZendeskError(429, body, None if retry_after is None else {"Retry-After": retry_after})


def key_reused(key: str) -> ZendeskError:
    """400: this idempotency key came before with another body."""
    description = f"The idempotency key '{key}' was used before with other parameters."
    return ZendeskError(400, {"error": "IdempotentRequestError", "description": description})
