"""`Submission`: what a customer sends, as the public API takes it.

Guarantees: a Submission that validates can be stored as it is, and says something (a vote, a rating or words).
"""

from typing import Annotated, Self

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from heed.contracts.context import Context
from heed.contracts.text import EMAIL_MAX, USER_MAX, Comment, Name, OptionKey, storable


def _email(value: str) -> str:
    try:
        # Syntax only: a look-up in the DNS would make the form depend on it.
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise ValueError(f"this is not an e-mail address: {error}") from None


def _empty_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Email = Annotated[
    str,
    StringConstraints(max_length=EMAIL_MAX, strip_whitespace=True),
    AfterValidator(storable),
    AfterValidator(_email),
]


class Contact(BaseModel):
    """How the customer can be reached, and whether they want to be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[Name | None, BeforeValidator(_empty_is_none)] = None
    email: Annotated[Email | None, BeforeValidator(_empty_is_none)] = None
    reply: bool = False

    @model_validator(mode="after")
    def _reply_needs_an_address(self) -> Self:
        if self.reply and self.email is None:
            raise ValueError("to get a reply, give an e-mail address")
        return self


UserId = Annotated[str, StringConstraints(min_length=1, max_length=USER_MAX), AfterValidator(storable)]


class User(BaseModel):
    """Somebody whom the host site knows, and its server's proof of that (heed.identity)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: UserId
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="HMAC-SHA256 of the id with the identity key, in hexadecimal; made by the host's server."
    )


class Submission(BaseModel):
    """One answer. At least one of vote, rating and comment says something; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    vote: Annotated[OptionKey | None, BeforeValidator(_empty_is_none)] = Field(
        None, description="The key of one of the survey's options.", examples=["good"]
    )
    rating: int | None = Field(None, ge=1, le=5, description="1 (worst) to 5 (best).", examples=[4])
    comment: Comment = Field("", description="The customer's own words.", examples=["Quick and friendly."])
    contact: Contact | None = None
    context: Context | None = None
    user: User | None = Field(None, description="Whom the host site knows this customer as; one vote for each.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.vote is None and self.rating is None and not self.comment.strip():
            raise ValueError("the answer is empty: give a vote, a rating or a comment")
        return self
