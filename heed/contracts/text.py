"""Text from outside: what is refused (NUL, lone surrogates) and the caps on its length.

Python and JSON can carry both, Postgres and Redis clients cannot, so they are stopped at the door.
"""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

COMMENT_MAX = 5_000
NAME_MAX = 200
USER_MAX = 200  # of the id by which a host site knows its user
URL_MAX = 2_000
CONTEXT_MAX = 100
EMAIL_MAX = 254  # RFC 5321's path limit less its angle brackets


def storable(text: str) -> str:
    """`text` itself; ValueError when Postgres or UTF-8 could not hold it."""
    if "\x00" in text:
        raise ValueError("the text contains a NUL character; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the text contains half of a surrogate pair, which is not a character") from None
    return text


Comment = Annotated[str, StringConstraints(max_length=COMMENT_MAX), AfterValidator(storable)]
Name = Annotated[str, StringConstraints(max_length=NAME_MAX), AfterValidator(storable)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")]
OptionKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
