"""What OpenAPI says of this site beyond the routes' models: how to come in, who may, what belongs together, examples.

Guarantees: what each operation takes is read from the table of rights, which the gate goes by; each example fits its
schema (a test holds them to it).
"""

from typing import Any

from fastapi import FastAPI

from api.results.rights import RIGHTS, Level

ABOUT = """The results of Heed's surveys, the answers one by one, people and keys, the books.

Send an API key as `Authorization: Bearer`; browsers send the cookie of their session. Errors are problem documents
(RFC 9457): `type` says which, `detail` what to do. 401: nobody is known to ask. 403: they may not. 404: there is no
such thing, or it is of a survey that they do not see. 422: what was sent is not valid. 429 and 503: try again after
`Retry-After`. Fields may be added to answers; fields that nobody knows are refused in what is sent.
"""
_TAGS = {
    "results": "A survey's totals, how well its triage works, and all of it live.",
    "feedback": "Answers, filtered or one by one.",
    "verdicts": "What people say of triage's decisions.",
    "surveys": "What is asked.",
    "people and keys": "Who may do what, and who did what.",
    "books": "Whether everything accepted and everything selected is accounted for.",
}
_LEVELS = {Level.VIEWER: "a viewer or the scope `read`", Level.MANAGER: "a manager or the scope `manage`"}
_ADMIN = "an admin or the scope `admin`"
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, made on the page /keys."},
    "session": {"type": "apiKey", "in": "cookie", "name": "heed_session", "description": "Who is logged in."},
}

_ID, _AT = "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "2026-05-04T09:30:00Z"
_ITEM: dict[str, Any] = {
    "id": _ID,
    "survey": "default",
    "vote": "bad",
    "rating": 2,
    "comment": "It arrived broken, and nobody answers.",
    "contact": {"name": "Ann", "email": "ann@example.com", "reply": True},
    "context": {"url": "https://shop.example/orders", "app": None, "ref": "order 17", "language": "en"},
    "customer": None,
    "flags": [],
    "erased_at": None,
    "source": "form",
    "received_at": _AT,
    "label": "negative",
    "compound": -0.48,
    "p_negative": 0.93,
    "decision": "ticket",
    "queued": False,
    "selected": True,
    "reasons": ["text", "option"],
    "priority": "high",
    "ticket": {
        "state": "opened",
        "desk_id": 35436,
        "desk_status": "new",
        "attempts": 1,
        "last_error": None,
        "url": "https://example.zendesk.com/agent/tickets/35436",
    },
}
_COUNTS = {"negative": 1, "neutral": 0, "positive": 2, "unknown": 0}
_BUCKET = {**_COUNTS, "at": "2026-05-04T09:00:00Z", "answers": 3, "votes": {"good": 2, "bad": 1, "none": 0}}
_PERSON = {
    "name": "ann",
    "role": "viewer",
    "surveys": ["default"],
    "built_in": False,
    "has_password": True,
    "signs_in": False,
    "created_at": _AT,
    "disabled_at": None,
}
_KEY = {
    "id": 7,
    "name": "the shop's server",
    "shown": "hk_3vQ9",
    "scopes": ["submit"],
    "created_by": "admin",
    "created_at": _AT,
    "last_used_at": None,
    "revoked_at": None,
}
EXAMPLES: dict[str, Any] = {
    "Item": _ITEM,
    "Answer": {
        **_ITEM,
        "stored_at": _AT,
        "scores": {"neg": 0.31},
        "scorer": "light-1",
        "policy": "1",
        "reading": None,
        "sampled": False,
        "verdicts": [{"needs_person": True, "judge": "manager", "at": _AT}],
    },
    "Page": {"items": [_ITEM], "next": None},
    "Verdict": {"needs_person": True},
    "Results": {
        "survey": "default",
        "question": "How was your experience?",
        "options": [{"key": "good", "label": "Good"}, {"key": "bad", "label": "Bad", "unhappy": True}],
        "total": 3,
        "votes": {"good": 2, "bad": 1, "none": 0},
        "ratings": {"1": 0, "2": 1, "3": 0, "4": 0, "5": 1, "none": 1},
        "average_rating": 3.5,
        "sentiment": _COUNTS,
        "selected": 1,
        "tickets": {"opened": 1},
        "hours": [_BUCKET],
        "days": [_BUCKET],
        "as_of": _AT,
    },
    "Books": {
        "accepted": 3,
        "stored": 3,
        "quarantined": 0,
        "queued": 0,
        "lost": 0,
        "selected": 1,
        "ticketed": 1,
        "in_flight": 0,
        "failed": 0,
        "balanced": True,
        "imbalance": 0,
        "problems": [],
        "settlements": [],
        "oldest_queued_seconds": None,
        "taken_at": _AT,
    },
    "Me": {"actor": "ann", "level": "viewer", "surveys": ["default"]},
    "PersonShown": _PERSON,
    "PersonWithPassword": {"person": _PERSON, "password": "kB3x-9sQd_1mWz7a"},
    "KeyShown": _KEY,
    "KeyMade": {"info": _KEY, "key": "hk_3vQ9mWz7aB3x9sQd1mWz7aB3x9sQd1mWz7aB3x9sQd1"},
    "Line": {"id": 12, "at": _AT, "actor": "ann", "action": "login", "object": "", "detail": {"by": "password"}},
}


def describe(app: FastAPI) -> None:
    """Let the app's document say all that."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())  # which keeps it as `openapi_schema`
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    document["info"]["description"] = ABOUT
    used: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            right = RIGHTS[method.upper(), path]
            who = _LEVELS.get(right.level, _ADMIN) + (", who sees every survey" if right.every_survey else "")
            said = operation.get("description", "").strip()
            operation["summary"] = said.partition("\n\n")[0].partition(". ")[0].replace("\n", " ").rstrip(".")
            operation["description"] = f"{said}\n\nTakes {who}.".strip()
            operation["security"] = [{name: []} for name in _SCHEMES]
            operation["tags"] = [_tag(path)]
            used.add(_tag(path))
    document["tags"] = [{"name": name, "description": _TAGS[name]} for name in _TAGS if name in used]
    components = document["components"]
    components["securitySchemes"] = _SCHEMES
    for name, example in EXAMPLES.items():
        components["schemas"][name].setdefault("examples", [example])


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1/").split("/")
    match parts[0]:
        case "books" | "quarantine":
            return "books"
        case "feedback":
            return "verdicts" if parts[-1] == "verdict" else "feedback"
        case "surveys":
            return "results" if parts[-1] in ("results", "triage", "live") else "surveys"
        case "me" | "people" | "sessions" | "keys" | "audit":
            return "people and keys"
        case _:
            return "results"
