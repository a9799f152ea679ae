"""What each address of the site takes: the one table of who may do what.

Guarantees: what is not in the table is closed to everybody, whatever routes are added later; a test walks the table and
every route of the app, for each role, each scope of a key, and nobody.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from starlette.routing import compile_path

from heed.contracts import KeyScope, Role


class Level(IntEnum):
    """What somebody may do; each level includes those before it."""

    NOBODY = 0
    VIEWER = 1
    MANAGER = 2
    ADMIN = 3


LEVEL_OF_ROLE = {Role.VIEWER: Level.VIEWER, Role.MANAGER: Level.MANAGER, Role.ADMIN: Level.ADMIN}
LEVEL_OF_SCOPE = {
    KeyScope.SUBMIT: Level.NOBODY,  # the feedback site's
    KeyScope.READ: Level.VIEWER,
    KeyScope.MANAGE: Level.MANAGER,
    KeyScope.ADMIN: Level.ADMIN,
}


def level_of_scopes(scopes: Collection[KeyScope]) -> Level:
    """What a key with these scopes may do here."""
    return max((LEVEL_OF_SCOPE[scope] for scope in scopes), default=Level.NOBODY)


@dataclass(frozen=True, slots=True)
class Right:
    """The least `level`, and whether it takes sight of every survey: what is shown is not kept by survey. `costly`: it
    may take Postgres long, so that everybody has only so many of these at once (api.results.turns)."""

    level: Level
    every_survey: bool = False
    costly: bool = False


OPEN = Right(Level.NOBODY)
VIEWER, MANAGER, ADMIN = Right(Level.VIEWER), Right(Level.MANAGER), Right(Level.ADMIN)
COSTLY = Right(Level.VIEWER, costly=True)
EXPORT = Level.MANAGER  # of GET /api/v1/feedback as a file

RIGHTS: dict[tuple[str, str], Right] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/static/{path:path}"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): VIEWER,
    ("GET", "/"): VIEWER,
    ("GET", "/s/{slug}"): VIEWER,
    ("GET", "/feedback/{answer_id}"): COSTLY,
    ("GET", "/review"): MANAGER,
    ("GET", "/sessions"): VIEWER,
    ("POST", "/sessions/{session_id}/revoke"): VIEWER,
    ("GET", "/people"): ADMIN,
    ("POST", "/people"): ADMIN,
    ("GET", "/people/{name}"): ADMIN,
    ("POST", "/people/{name}"): ADMIN,
    ("POST", "/people/{name}/password"): ADMIN,
    ("POST", "/people/{name}/sessions/revoke"): ADMIN,
    ("GET", "/keys"): ADMIN,
    ("POST", "/keys"): ADMIN,
    ("POST", "/keys/{number}/revoke"): ADMIN,
    ("GET", "/audit"): ADMIN,
    # Signing in by a provider, and one's own account
    ("GET", "/login/oidc"): OPEN,
    ("GET", "/login/oidc/callback"): OPEN,
    ("POST", "/sessions/password"): VIEWER,
    ("POST", "/people/{name}/sign-in/forget"): ADMIN,
    ("POST", "/api/v1/me/password"): VIEWER,
    ("DELETE", "/api/v1/people/{name}/sign-in"): ADMIN,
    ("GET", "/openapi.json"): VIEWER,
    ("GET", "/api/v1/me"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}/results"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}/triage"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}/live"): VIEWER,
    ("GET", "/api/v1/feedback"): COSTLY,
    ("GET", "/api/v1/feedback/{answer_id}"): VIEWER,
    ("POST", "/api/v1/feedback/{answer_id}/verdict"): MANAGER,
    ("GET", "/api/v1/books"): Right(Level.MANAGER, every_survey=True),
    ("GET", "/api/v1/quarantine"): Right(Level.MANAGER, every_survey=True),
    ("GET", "/api/v1/sessions"): VIEWER,
    ("DELETE", "/api/v1/sessions/{session_id}"): VIEWER,
    ("GET", "/api/v1/people"): ADMIN,
    ("POST", "/api/v1/people"): ADMIN,
    ("PATCH", "/api/v1/people/{name}"): ADMIN,
    ("POST", "/api/v1/people/{name}/password"): ADMIN,
    ("GET", "/api/v1/people/{name}/sessions"): ADMIN,
    ("DELETE", "/api/v1/people/{name}/sessions"): ADMIN,
    ("GET", "/api/v1/keys"): ADMIN,
    ("POST", "/api/v1/keys"): ADMIN,
    ("DELETE", "/api/v1/keys/{number}"): ADMIN,
    ("GET", "/api/v1/audit"): ADMIN,
    # Surveys
    ("GET", "/surveys"): VIEWER,
    ("GET", "/surveys/{slug}"): VIEWER,
    ("POST", "/surveys/{slug}"): MANAGER,
    ("GET", "/surveys/{slug}/preview"): VIEWER,
    ("POST", "/surveys/{slug}/preview"): MANAGER,
    ("POST", "/surveys/{slug}/close"): MANAGER,
    ("POST", "/surveys/{slug}/reopen"): MANAGER,
    ("GET", "/surveys/{slug}/qr.svg"): VIEWER,
    ("GET", "/surveys/{slug}/poster"): VIEWER,
    ("GET", "/surveys/{slug}/versions/{number}"): VIEWER,
    ("GET", "/surveys/{slug}/rehearsal"): Right(Level.MANAGER, costly=True),
    ("POST", "/surveys/{slug}/rehearsal"): MANAGER,
    ("GET", "/theme/{color}.css"): VIEWER,
    ("GET", "/api/v1/surveys"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}"): VIEWER,
    ("PUT", "/api/v1/surveys/{slug}"): MANAGER,
    ("POST", "/api/v1/surveys/{slug}/close"): MANAGER,
    ("POST", "/api/v1/surveys/{slug}/reopen"): MANAGER,
    ("GET", "/api/v1/surveys/{slug}/versions"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}/versions/{number}"): VIEWER,
    ("GET", "/api/v1/surveys/{slug}/rehearsal"): Right(Level.MANAGER, costly=True),
    ("GET", "/api/v1/colors/{color}"): VIEWER,
    # The overview and the digest
    ("GET", "/api/v1/surveys/{slug}/overview"): COSTLY,
    ("GET", "/api/v1/surveys/{slug}/digest"): COSTLY,
    ("GET", "/digest"): COSTLY,
    # The list of answers
    ("GET", "/feedback"): COSTLY,
    # What needs a person, and the first steps
    ("GET", "/attention"): MANAGER,
    ("POST", "/attention/tickets/retry"): MANAGER,
    ("POST", "/attention/tickets/{answer_id}/retry"): MANAGER,
    ("POST", "/attention/quarantine/replay"): Right(Level.MANAGER, every_survey=True),
    ("POST", "/attention/quarantine/{number}/replay"): Right(Level.MANAGER, every_survey=True),
    ("POST", "/attention/verdicts/{answer_id}"): MANAGER,
    ("GET", "/api/v1/attention"): MANAGER,
    ("GET", "/api/v1/books/missing"): Right(Level.MANAGER, every_survey=True),
    ("POST", "/api/v1/feedback/{answer_id}/ticket/retry"): MANAGER,
    ("POST", "/api/v1/tickets/retry"): MANAGER,
    ("GET", "/api/v1/quarantine/{number}/replay"): Right(Level.MANAGER, every_survey=True),
    ("POST", "/api/v1/quarantine/{number}/replay"): Right(Level.MANAGER, every_survey=True),
    ("POST", "/api/v1/quarantine/replay"): Right(Level.MANAGER, every_survey=True),
    ("GET", "/api/v1/checklist"): MANAGER,
}

_PATTERNS: dict[re.Pattern[str], dict[str, Right]] = {}
for (_method, _path), _right in RIGHTS.items():
    _PATTERNS.setdefault(compile_path(_path)[0], {})[_method] = _right


def rights_at(path: str) -> dict[str, Right]:
    """What each method takes at this address; empty when there is nothing."""
    return next((methods for pattern, methods in _PATTERNS.items() if pattern.match(path)), {})
