"""The login page, and what every way of logging in ends with: a session and its cookie.

Guarantees: whoever is logged in, by whatever way, has the same kind of session; where they are led then is on this
site.
"""

import math

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.results.access import COOKIE, Access, local_path
from api.results.templates import Templates
from heed.db import sessions
from heed.settings import Settings
from heed.telemetry import LOGINS


class Entrance:
    """What the ways of logging in have in common."""

    def __init__(self, settings: Settings, access: Access, templates: Templates) -> None:
        self._access, self._templates = access, templates
        self._provider = settings.oidc_name if settings.oidc_issuer else None

    def form(
        self, message: str = "", status: int = 200, then: str = "/", wait: float = 0, name: str = "", *, by: str = ""
    ) -> Response:
        """The login page; `by` the provider is how it was tried before."""
        headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
        values = {"next": local_path(then), "has_password": self._access.has_password, "provider": self._provider}
        return self._templates.page("login.html", status, headers, message=message, name=name, by=by, **values)

    def begin(self, connection: sa.Connection, request: Request, name: str, by: str) -> str | None:
        """A session's token; None when they were disabled meanwhile."""
        return sessions.begin(
            connection,
            name,
            by,
            proof=self._access.proof_for(name),
            user_agent=request.headers.get("user-agent", ""),
            address=address(request),
        )

    def enter(self, request: Request, token: str, path: str, by: str) -> Response:
        """Lead somebody who has a session to where they wanted to go."""
        LOGINS.labels(by).inc()
        response = RedirectResponse(local_path(path), 303, {"Cache-Control": "no-store"})
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, sessions.SECONDS, httponly=True, samesite="lax", secure=secure)
        return response


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""
