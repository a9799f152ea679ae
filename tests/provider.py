"""An OpenID provider over HTTP that does what a test tells it to: tells the truth, lies, is slow, or breaks."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

CLIENT, CLIENT_SECRET = "heed-results", "tests-only-client-secret"


@dataclass
class Provider:
    """Who comes is `claims`; `wrong` changes what is signed. `instead` answers for a path in place of the provider."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    signed_by: str = "its key"
    instead: dict[str, Any] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key, self.other = self.new_key(), RSAKey.generate_key(2048, {"kid": "one"})
        self.asked: dict[str, dict[str, str]] = {}

    @staticmethod
    def new_key() -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": "one"})

    def app(self) -> Starlette:
        app = Starlette()
        for path, answer in (
            ("/.well-known/openid-configuration", self.describe),
            ("/authorize", self.authorize),
            ("/token", self.token),
            ("/userinfo", self.tell),
            ("/jwks", self.keys),
        ):
            app.add_route(path, self._unless_told(path, answer), methods=["GET", "POST"])
        return app

    def _unless_told(self, path: str, answer: Any) -> Any:
        async def respond(request: Request) -> Response:
            self.seen.append(path)
            return await (self.instead.get(path) or answer)(request)

        return respond

    async def describe(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                **({"userinfo_endpoint": f"{self.issuer}/userinfo"} if self.userinfo else {}),
            }
        )

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = uuid4().hex
        self.asked[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        proof = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {proof}"
        asked = self.asked[form["code"]]  # a provider that does not mind a code being used twice
        assert len(form["code_verifier"]) >= 43
        assert asked["code_challenge_method"] == "S256"
        assert form["redirect_uri"] == asked["redirect_uri"]
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            **self.claims,
            **self.wrong,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": self.signed(claims)})

    def signed(self, claims: dict[str, Any]) -> str:
        public = self.key.as_pem(private=False)
        match self.signed_by:
            case "its key":
                return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
            case "another key":
                return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.other)
            case "another key that it brings along":
                brought = {"alg": "RS256", "kid": "two", "jwk": self.other.as_dict(private=False)}
                return jwt.encode(brought, claims, self.other)
            case "nobody":
                parts = ({"alg": "none"}, claims)
                return ".".join(_base64(json.dumps(part).encode()) for part in parts) + "."
            case "its public key as a secret":
                return _hmac(claims, public)
            case "the client's secret":
                return _hmac(claims, CLIENT_SECRET.encode())
            case _:
                return self.signed_by

    async def tell(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        return JSONResponse(self.userinfo)

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))


def _base64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _hmac(claims: dict[str, Any], secret: bytes) -> str:
    header = _base64(json.dumps({"alg": "HS256", "kid": "one"}).encode())
    signed = f"{header}.{_base64(json.dumps(claims).encode())}"
    return f"{signed}.{_base64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def answers(status: int = 200, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """Answers that, whatever it is asked."""

    async def respond(_request: Request) -> Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return Response(text, status, headers, "application/json")

    return respond


async def hangs(_request: Request) -> Response:
    """Says nothing for longer than anybody waits."""
    await asyncio.sleep(1.5)
    return Response("{}")


async def drips(_request: Request) -> Response:
    """Says something all the time, and never comes to an end."""

    async def slowly() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(slowly(), media_type="application/json")


async def floods(_request: Request) -> Response:
    """Says more than anybody wants to know."""

    async def fast() -> Any:
        for _ in range(2_000):
            yield b" " * 65_536

    return StreamingResponse(fast(), media_type="application/json")


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
