"""Whom the host site knows a customer as: its server proves an id with a key that it shares with Heed.

Guarantees: nobody without the key can answer as somebody else; the key proves nothing but ids, and cannot be turned
back into the secret key that it comes from.
"""

import hmac


def identity_key(secret_key: str) -> str:
    """The key for the host's server, in hexadecimal; it uses the text as it is."""
    return hmac.digest(secret_key.encode(), b"heed.identity", "sha256").hex()


def prove(key: str, user: str) -> str:
    """HMAC-SHA256 (RFC 2104) of the id, in hexadecimal: what the host's server makes."""
    return hmac.digest(key.encode(), user.encode(), "sha256").hex()
