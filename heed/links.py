"""One-time login links of the results site: made where the system is started, read where it is logged in to.

Guarantees: a token cannot be made without the secret key and is valid for an hour; that it works once is kept by
whoever reads it, in `heed.db.used_links`, by its nonce.
"""

import secrets

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from heed.errors import Invalid

VALID_SECONDS = 3600


def make_login_token(secret_key: str) -> str:
    """A token for `/login?once=`, valid for an hour from now."""
    return _serializer(secret_key).dumps(secrets.token_urlsafe(16))


def read_login_token(secret_key: str, token: str) -> str:
    """The nonce of a token; `Invalid` says whether it is too old or not one of ours."""
    try:
        nonce = _serializer(secret_key).loads(token, max_age=VALID_SECONDS)
    except SignatureExpired:
        raise Invalid("This login link is more than an hour old.") from None
    except BadSignature:
        raise Invalid("This is not a valid login link.") from None
    assert isinstance(nonce, str)
    return nonce


def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="heed.login-link")
