"""What clients send, checked as strictly as Zendesk checks it.

Guarantees: what comes out of here can be stored; what cannot is a 422 naming every field that is wrong, or a 400
when the request is not of the expected form at all. Fields that the sandbox does not know are ignored.
"""

import html
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from local.sandbox.errors import Details, invalid_attribute, record_invalid

STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
PRIORITIES = ("low", "normal", "high", "urgent")
SUBJECT_MAX = 150  # Zendesk counts the subject as HTML, so `&` costs five
BODY_MAX = 65_535
SHORT_MAX = 255
ID_MAX = 2**63 - 1

_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;.]+(\.[^@\s<>,;.]+)+")
_TAG_BREAK = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user by name and address; the address is in lower case."""

    name: str | None
    email: str | None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewComment:
    """A comment; one that is not public is an internal note."""

    body: str
    public: bool
    author_id: int | None


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be made. The requester is given by id or as a user; with neither it is the caller."""

    values: Mapping[str, str | None]
    tags: tuple[str, ...]
    comment: NewComment
    requester: NewUser | None
    requester_id: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What to change on a ticket: columns, tags (all of them, or some more and some fewer), a comment to add."""

    values: Mapping[str, str | None]
    tags: tuple[str, ...] | None
    more_tags: tuple[str, ...]
    fewer_tags: tuple[str, ...]
    comment: NewComment | None


class _Form:
    """One JSON object being read; collects what is wrong with it."""

    def __init__(self, source: Mapping[str, Any], details: Details, prefix: str = "") -> None:
        self.source, self.details, self.prefix = source, details, prefix

    def refuse(self, field: str, why: str, error: str = "InvalidValue") -> None:
        label = field.replace("_", " ").capitalize()
        self.details.setdefault(self.prefix or field, []).append({"description": f"{label}: {why}", "error": error})

    def text(self, field: str, most: int = SHORT_MAX) -> str | None:
        value = self.source.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(field, "is not a string")
        elif len(value) > most:
            self.refuse(field, f"is too long (maximum is {most} characters)", "ValueTooLong")
        else:
            return value
        return None

    def word(self, field: str, allowed: Collection[str]) -> str | None:
        value = self.source.get(field)
        if value is not None and value not in allowed:
            self.refuse(field, "is not included in the list")
            return None
        return value

    def number(self, field: str) -> int | None:
        value = self.source.get(field)
        if value is not None and (type(value) is not int or not 0 < value <= ID_MAX):
            self.refuse(field, "is not an id")
            return None
        return value

    def tags(self, field: str) -> tuple[str, ...]:
        value = self.source.get(field) or []
        found = value.split() if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(tag, str) and len(tag) <= SHORT_MAX for tag in found):
            self.refuse(field, "is not a list of tags")
            return ()
        return tuple(sorted({part for tag in found for part in _TAG_BREAK.split(tag.lower()) if part}))

    def part(self, field: str) -> "_Form | None":
        value = self.source.get(field)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(field, "is not an object")
            return None
        return _Form(value, self.details, field)


def parse(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON object in `raw`, and one canonical spelling of it."""
    try:
        payload = json.loads(raw, parse_constant=_no_constant)
        # A lone surrogate, which nothing can store, fails to encode here.
        canonical = json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise invalid_attribute("body", "It is not valid JSON") from None
    if not isinstance(payload, dict):
        raise invalid_attribute("body", "It is not a JSON object")
    return payload, canonical


def new_ticket(payload: Mapping[str, Any]) -> NewTicket:
    """`{"ticket": {…}}` of a ticket to be created."""
    form = _form(payload, "ticket")
    values = _columns(form)
    requester = form.part("requester")
    user = _user(requester) if requester else None
    comment = _comment(form)
    if comment is None:
        form.refuse("comment", "cannot be blank", "BlankValue")
    made = NewTicket(
        values, form.tags("tags"), comment or NewComment("", True, None), user, form.number("requester_id")
    )
    _finish(form)
    return made


def change(payload: Mapping[str, Any]) -> Change:
    """`{"ticket": {…}}` with what is to change."""
    form = _form(payload, "ticket")
    made = Change(
        {name: value for name, value in _columns(form).items() if name in form.source},
        form.tags("tags") if "tags" in form.source else None,
        form.tags("additional_tags"),
        form.tags("remove_tags"),
        _comment(form),
    )
    for name in ("status", "subject"):
        if name in made.values and not made.values[name]:
            form.refuse(name, "cannot be blank", "BlankValue")
    _finish(form)
    return made


def new_user(payload: Mapping[str, Any]) -> NewUser:
    """`{"user": {…}}`."""
    form = _form(payload, "user")
    made = _user(form)
    _finish(form)
    return made


def _form(payload: Mapping[str, Any], name: str) -> _Form:
    source = payload.get(name)
    if not isinstance(source, dict):
        raise invalid_attribute(name, f"{name} is required and must be an object")
    return _Form(source, {})


def _finish(form: _Form) -> None:
    if form.details:
        raise record_invalid(form.details)


def _columns(form: _Form) -> dict[str, str | None]:
    subject = form.text("subject", BODY_MAX)
    if subject and len(html.escape(subject)) > SUBJECT_MAX:
        form.refuse("subject", f"is too long (maximum is {SUBJECT_MAX} characters after encoding)", "ValueTooLong")
    return {
        "subject": subject,
        "external_id": form.text("external_id"),
        "status": form.word("status", STATUSES),
        "priority": form.word("priority", PRIORITIES),
    }


def _comment(form: _Form) -> NewComment | None:
    comment = form.part("comment")
    if comment is None:
        return None
    body, public = comment.source.get("body"), comment.source.get("public", True)
    if body is None or (isinstance(body, str) and not body.strip()):
        comment.refuse("body", "cannot be blank", "BlankValue")
    if not isinstance(public, bool):
        comment.refuse("public", "is not true or false")
    return NewComment(comment.text("body", BODY_MAX) or "", bool(public), comment.number("author_id"))


def _user(form: _Form) -> NewUser:
    email = form.text("email")
    if email is not None:
        email = email.strip().lower()
        if not _EMAIL.fullmatch(email):
            form.refuse("email", "is not properly formatted")
    name = form.text("name")
    if email is None and not (name and name.strip()):
        form.refuse("name", "is too short (minimum is 1 characters)", "ValueTooShort")
    return NewUser(name.strip() if name else None, email, form.text("external_id"))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
