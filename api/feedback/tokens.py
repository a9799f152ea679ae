"""Signed tokens: who a client is, and where a receipt stands. Both are opaque to those who hold them.

Guarantees: neither can be made or changed without the secret key; a request that is repeated with the same
idempotency key and no token belongs to the same client, so it meets its own first vote.
"""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, sha256
from uuid import UUID, uuid4

from itsdangerous import BadSignature, Signer

from heed.identity import identity_key, prove


class Tokens:
    """Makes and reads the tokens of one secret key."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()
        self._client = self._signer("heed.client")
        self._receipt = self._signer("heed.receipt")
        self._shown = self._signer("heed.shown")
        self._identity_key = identity_key(secret_key)

    def new_client(self) -> str:
        """The id (32 hex digits) of a client never seen before."""
        return uuid4().hex

    def client_of_user(self, user: str) -> str:
        """The id of the client that somebody is on every device, once their id is proven."""
        return hmac.digest(self._secret, b"heed.client-of-user" + user.encode(), "sha256").hex()[:32]

    def proves(self, user: str, given: str) -> bool:
        """Whether the host's server made this hash of the id."""
        return hmac.compare_digest(prove(self._identity_key, user), given)

    def client_of_request(self, digest: str) -> str:
        """The id of the client that sent the request with this digest, when nothing else names one."""
        return hmac.new(self._secret, b"heed.client-of-request" + digest.encode(), sha256).hexdigest()[:32]

    def _signer(self, purpose: str) -> Signer:
        """A signer with a key of its own, derived once rather than at each signature."""
        key = hmac.digest(self._secret, purpose.encode(), "sha256")
        return Signer(key, salt=purpose, key_derivation="none", digest_method=sha256)

    def client_token(self, client: str) -> str:
        """The token that proves to be `client`."""
        return self._client.sign(client).decode()

    def read_client(self, token: str) -> str | None:
        """The client's id; None when the token is not one of ours."""
        return _unsigned(self._client, token)

    def shown_token(self) -> str:
        """That a form was shown now; signed, since a form is asked how long it took to fill in."""
        return self._shown.sign(str(int(time.time() * 1000))).decode()

    def read_shown(self, token: str) -> float | None:
        """How many seconds ago the form was shown; None when the token is not one of ours."""
        shown = _unsigned(self._shown, token)
        return None if shown is None else time.time() - int(shown) / 1000

    def receipt_token(self, submission_id: UUID) -> str:
        """The last part of a receipt's address."""
        return self._receipt.sign(urlsafe_b64encode(submission_id.bytes).rstrip(b"=")).decode()

    def read_receipt(self, token: str) -> UUID | None:
        """The submission's id; None when the token is not one of ours."""
        encoded = _unsigned(self._receipt, token)
        return None if encoded is None else UUID(bytes=urlsafe_b64decode(encoded + "=="))


def digest_of(idempotency_key: str, survey: str, body: str) -> str:
    """Names a request by its key and content."""
    return blake2b("\n".join((idempotency_key, survey, body)).encode(), digest_size=16).hexdigest()


def _unsigned(signer: Signer, token: str) -> str | None:
    try:
        return signer.unsign(token.encode("ascii", "replace")).decode()
    except BadSignature:
        return None
