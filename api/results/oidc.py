"""The OpenID provider that people may log in by; what Authlib and joserfc do, is done here alone.

Guarantees: nobody is told to be somebody unless the provider's own key signed it, for this site, for this very login
and a moment ago; whatever the provider sends or does not send, it is `Later` (away) or `Refused` (not to be believed),
within a time limit and a size limit.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from heed.errors import Later, Refused
from heed.settings import Settings

SECONDS = 8.0  # for each request, however slowly its answer drips
BYTES_MOST = 256 * 1024
KNOWN_SECONDS = 3600.0  # for what the provider says of itself
RENEW_SECONDS = 60.0  # keys that were read so long ago are read again before a signature is refused
AWAY_SECONDS = 5.0  # so long nobody else waits for a provider that did not answer
LEEWAY_SECONDS = 60
# What is made with a private key: neither `none` nor a secret that a public key could be taken for.
ALGORITHMS = [f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)]
_SCOPE = "openid email"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to the provider: its name and theirs, for good; and their e-mail address if it was verified."""

    subject: str
    email: str | None


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorization: str
    token: str
    userinfo: str | None
    keys: str
    basic: bool  # how this site proves itself: in the header, or in the form


class Provider:
    """The provider of HEED_OIDC_ISSUER. Connects when first used."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = settings.need("oidc_issuer")
        self._client_id = settings.need("oidc_client_id")
        self._secret = settings.need("oidc_client_secret")
        self._redirect_uri = f"{settings.need('results_url').rstrip('/')}/login/oidc/callback"
        # No connection is kept, so that none turns out to be dead at the next login; redirects are not followed.
        self._http = httpx.AsyncClient(timeout=SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
        self._lock = asyncio.Lock()
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._away_since = -AWAY_SECONDS

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def address(self, state: str, nonce: str, verifier: str) -> str:
        """Where the provider asks people who they are."""
        metadata = await self._described()
        address: str = prepare_grant_uri(
            metadata.authorization,
            client_id=self._client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=_SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address

    async def identify(self, code: str, nonce: str, verifier: str) -> Identity:
        """Who came back with this `code`."""
        metadata = await self._described()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        more: dict[str, Any] = {"data": form}
        if metadata.basic:
            more["auth"] = (quote_plus(self._client_id), quote_plus(self._secret))
        else:
            form |= {"client_id": self._client_id, "client_secret": self._secret}
        tokens = await self._read("POST", metadata.token, **more)
        id_token, access = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not (access is None or isinstance(access, str)):
            raise Refused("The provider gave no id_token.")
        claims = await self._verified(metadata, id_token, access, nonce)
        subject = claims["sub"]
        if not (isinstance(subject, str) and 0 < len(subject) <= 255 and subject.isascii() and subject.isprintable()):
            raise Refused("The provider's `sub` is none.")
        told = claims
        if "email" not in claims and metadata.userinfo and access:
            told = await self._read("GET", metadata.userinfo, headers={"Authorization": f"Bearer {access}"})
            if told.get("sub") != subject:
                raise Refused("The provider's userinfo is of somebody else.")
        email = told.get("email")
        # Small letters of what is not ASCII may be somebody else's address.
        plain = isinstance(email, str) and email.isascii() and email.isprintable()
        verified = told.get("email_verified") is True and plain
        return Identity(f"{self.issuer} {subject}", str(email).lower() if verified else None)

    async def _verified(self, metadata: _Metadata, id_token: str, access: str | None, nonce: str) -> dict[str, Any]:
        read_at, keys = await self._signing_keys(metadata)
        try:
            return self._checked(keys, id_token, access, nonce)
        except Refused:
            if time.monotonic() - read_at < RENEW_SECONDS:
                raise
        # The provider may have taken another key meanwhile.
        self._keys = None
        _, keys = await self._signing_keys(metadata)
        return self._checked(keys, id_token, access, nonce)

    def _checked(self, keys: KeySet, id_token: str, access: str | None, nonce: str) -> dict[str, Any]:
        try:
            token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                },
                params={"nonce": nonce, "client_id": self._client_id, "access_token": access},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except Exception as error:  # a provider may send anything, and whatever it breaks, nobody gets in
            raise Refused(f"The id_token is not valid: {type(error).__name__}.") from error
        return dict(claims)

    async def _described(self) -> _Metadata:
        async with self._lock:
            now = time.monotonic()
            if self._metadata is not None and now - self._metadata[0] < KNOWN_SECONDS:
                return self._metadata[1]
            document = await self._published(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            metadata = self._understood(document)
            self._metadata = now, metadata
            return metadata

    def _understood(self, document: dict[str, Any]) -> _Metadata:
        if document.get("issuer") != self.issuer:
            raise Refused("The provider calls itself by another name than HEED_OIDC_ISSUER.")
        authorization, token, userinfo, keys = (
            self._endpoint(document.get(name))
            for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        )
        if authorization is None or token is None or keys is None:
            raise Refused("The provider does not say where its parts are.")
        methods = document.get("token_endpoint_auth_methods_supported")
        posts = isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods
        return _Metadata(authorization, token, userinfo, keys, basic=not posts)

    def _endpoint(self, given: object) -> str | None:
        """An address if it is one, and as safe as the issuer's."""
        if not isinstance(given, str):
            return None
        try:
            parts = urlsplit(given)
        except ValueError:
            return None
        safe = parts.scheme == "https" or parts.scheme == urlsplit(self.issuer).scheme
        return given if safe and parts.hostname else None

    async def _signing_keys(self, metadata: _Metadata) -> tuple[float, KeySet]:
        async with self._lock:
            now = time.monotonic()
            if self._keys is not None and now - self._keys[0] < KNOWN_SECONDS:
                return self._keys
            document = await self._published(metadata.keys)
            try:
                keys = KeySet.import_key_set({"keys": document["keys"]})
            except Exception as error:  # as above
                raise Refused(f"The provider's keys are none: {type(error).__name__}.") from error
            self._keys = now, keys
            return self._keys

    async def _published(self, url: str) -> dict[str, Any]:
        """What the provider says of itself to everybody. Those who wait for the lock do not each wait for it anew."""
        if time.monotonic() - self._away_since < AWAY_SECONDS:
            raise Later("The provider did not answer a moment ago.")
        try:
            return await self._read("GET", url)
        except Later:
            self._away_since = time.monotonic()
            raise

    async def _read(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        """The JSON object that the provider answers."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **more.pop("headers", {})}
        body = bytearray()
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._http.stream(method, url, headers=headers, **more) as response,
            ):
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > BYTES_MOST:
                        raise Refused("The provider's answer is too large.")
        except (httpx.HTTPError, TimeoutError) as error:
            raise Later(f"The provider does not answer: {type(error).__name__}.") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise Refused(f"The provider's address is none: {type(error).__name__}.") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise Later(f"The provider answered {response.status_code}.")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if response.status_code != 200 or not isinstance(document, dict):
            raise Refused(f"The provider answered {response.status_code}, and not as told.")
        return document
