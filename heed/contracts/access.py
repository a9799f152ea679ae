"""Words of who may do what on the results site; the feedback site and the commands speak them, too."""

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

# Plain ASCII, kept in small letters: two people never differ by capitals or by letters that look alike.
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$")
]
BUILT_IN = "admin"  # the person whose password is HEED_ADMIN_PASSWORD
KEY_PREFIX = "hk_"  # of every API key that was made on the results site


class Role(StrEnum):
    """What a person may do; each may do what those before it may."""

    VIEWER = "viewer"  # see results and answers
    MANAGER = "manager"  # verdicts, exports, the books, the quarantine
    ADMIN = "admin"  # people, keys, the audit


class KeyScope(StrEnum):
    """What a program with an API key may do. `submit` is of the feedback site; the others include those before them."""

    SUBMIT = "submit"  # send answers without a rate limit
    READ = "read"  # as a viewer
    MANAGE = "manage"  # as a manager
    ADMIN = "admin"  # as an admin


def fingerprint(token: str) -> str:
    """What is kept of a token or a key in its place, its SHA-256: too random to be guessed from it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
