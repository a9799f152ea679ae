"""What is asked and answered about people, sessions, API keys and the audit, as models: the routes and the pages speak
these."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from heed.contracts import KeyScope, PersonName, Role
from heed.contracts.text import Slug, storable
from heed.db.audit import Action

AUDIT_PAGE = 50
SURVEYS_MOST = 1_000

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
SessionId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
KeyName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(storable)
]
Surveys = Annotated[
    list[Slug] | None,
    Field(min_length=1, max_length=SURVEYS_MOST, description="Which surveys they see; null: all, as an admin does."),
]


class Me(BaseModel):
    """Who asks, and what they may do."""

    actor: str = Field(description="A person's name, `key` and its number, or HEED_API_KEY.")
    level: Literal["viewer", "manager", "admin"]
    surveys: list[str] | None = Field(description="Which surveys they see; null: all.")


class PersonShown(BaseModel):
    """Somebody who may log in, unless `disabled_at` says since when no longer."""

    name: str
    role: Role
    surveys: list[str] | None
    built_in: bool = Field(description="Their password is a setting, and they stay as they are.")
    has_password: bool = Field(description="They can log in by a password of their own.")
    signs_in: bool = Field(description="They have logged in by the provider, which knows them from now on.")
    created_at: datetime
    disabled_at: datetime | None


class NewPerson(BaseModel):
    """Somebody to add."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ann", "role": "viewer", "surveys": ["default"]}]}
    )

    name: PersonName
    role: Role
    surveys: Surveys = None
    password: StrictBool = Field(
        True, description="`false`: none is made. They log in by the provider, and their name is their e-mail address."
    )


class PersonChange(BaseModel):
    """What changes; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "manager", "surveys": None}]})

    role: Role = Role.VIEWER
    surveys: Surveys = None
    disabled: bool = False


class PersonWithPassword(BaseModel):
    """Somebody with their new password, which is shown this once; null when none was made."""

    person: PersonShown
    password: str | None


class SessionShown(BaseModel):
    """Where somebody is logged in."""

    id: str
    created_at: datetime
    seen_at: datetime = Field(description="When it was used last, to the minute.")
    expires_at: datetime
    user_agent: str
    device: str = Field(description="What its `user_agent` says in short, such as: Firefox on Windows.")
    address: str
    current: bool = Field(description="It is the one that asks.")


class KeyShown(BaseModel):
    """An API key, without what makes it one."""

    id: int
    name: str
    shown: str = Field(description="Its first characters.")
    scopes: list[KeyScope]
    created_by: str
    created_at: datetime
    last_used_at: datetime | None = Field(description="On this site, to the minute.")
    revoked_at: datetime | None


class NewKey(BaseModel):
    """A key to make. `submit` is of the feedback site; `manage` includes `read`, and `admin` both."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "the shop's server", "scopes": ["submit"]}]}
    )

    name: KeyName
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=len(KeyScope))]


class KeyMade(BaseModel):
    """A new key, which is shown this once."""

    info: KeyShown
    key: str


class Line(BaseModel):
    """A line of the audit: who did what to what."""

    id: int
    at: datetime
    actor: str
    action: str
    object: str
    detail: dict[str, Any]


class Audited(BaseModel):
    """A part of the audit, newest first; `next` is the `before` of the following part, null at the end."""

    items: list[Line]
    next: int | None


class AuditFilter(BaseModel):
    """Which lines; what is not given does not narrow."""

    model_config = ConfigDict(extra="forbid")

    actor: Annotated[str, Field(max_length=200), AfterValidator(storable)] | None = None
    action: Action | None = None
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = AUDIT_PAGE
