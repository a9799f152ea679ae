"""Taking one submission, the same for the form and the JSON API: who sent it, does it fit the survey, admit it.

Guarantees: what is answered `taken` is on the queue; the same request sent again is answered with the first one's
id; whatever stands in the way is a `Problem` that says what to do.
"""

import hmac
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.requests import Request

from api.feedback.surveys import Surveys
from api.feedback.tokens import Tokens, digest_of
from heed import tracing
from heed.contracts import KEY_PREFIX, Flag, StreamEntry, Submission, Survey, User, fingerprint, new_id
from heed.errors import Later
from heed.settings import Settings
from heed.stream.admission import Admission, Admitted, Full, Held, Limited
from heed.stream.api_keys import is_published
from heed.telemetry import ADMISSIONS
from heed.web.problems import Problem

COOKIE = "heed_client"
COOKIE_SECONDS = 365 * 86_400
_ACCEPTED = ADMISSIONS.labels("accepted")
_PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")


@dataclass(frozen=True, slots=True)
class Taken:
    """The submission's id, its client's token, and whether the client should keep that token as a cookie."""

    id: UUID
    client_token: str
    set_cookie: bool


class AlreadyVoted(Exception):
    """This client answered before, as submission `id`."""

    def __init__(self, submission_id: UUID) -> None:
        super().__init__(str(submission_id))
        self.id = submission_id


class Desk:
    """Where submissions are handed in."""

    def __init__(
        self, settings: Settings, redis: Redis, surveys: Surveys, admission: Admission, tokens: Tokens
    ) -> None:
        self._redis = redis
        self._api_key = settings.api_key.get_secret_value().encode() if settings.api_key else b""
        self._admission = admission
        self.surveys = surveys
        self.tokens = tokens

    async def survey(self, slug: str) -> Survey:
        """The survey, or a 404; a 503 while it cannot be known whether there is one."""
        try:
            survey = await self.surveys.get(slug)
        except Later as error:
            raise _unavailable(error) from error
        if survey is None:
            raise Problem(404, "There is no survey of this name.", kind="unknown-survey")
        return survey

    async def take(
        self,
        request: Request,
        survey: Survey,
        submission: Submission,
        *,
        key: str | None,
        source: Literal["form", "api"],
        client_token: str | None = None,
        flags: Sequence[Flag] = (),
        asked: int | None = None,
    ) -> Taken:
        """Admit `submission`, repeatable by its idempotency `key`; raises AlreadyVoted or Problem. Whose it is tells
        the `client_token`, else the request's cookie; `flags` make it wait for a manager; `asked` is the version of the
        survey that they saw (None: the published one)."""
        started = tracing.now()
        trusted = await self._trusted(request)
        if key is not None and not (0 < len(key) <= 255 and _PRINTABLE.issuperset(key)):
            raise Problem(422, "The idempotency key must be 1 to 255 printable ASCII characters.", kind="invalid")
        # Where it comes from may be told in another way the next time; what it says is what makes it the same.
        said = submission.model_dump_json(exclude={"context", "user"})
        digest = digest_of(key, survey.slug, said) if key is not None else ""
        user = submission.user
        client, known = self._of_user(user) if user else self._client(request, client_token, digest, trusted)
        if (refused := _misfit(survey, submission) or _not_open(survey)) is not None:
            # What the survey took before it was closed or changed, and is sent again as the answer got lost, was taken.
            first = await self._held(survey, client, digest)
            if first is not None:
                return Taken(first, self.tokens.client_token(client), not known)
            raise refused
        entry = StreamEntry(
            id=new_id(),
            survey=survey.slug,
            client=client,
            source=source,
            vote=submission.vote,
            rating=submission.rating,
            comment=submission.comment,
            contact=submission.contact,
            context=submission.context,
            user=user and user.id,
            flags=tuple(flags),
            asked=asked if asked is not None and asked <= survey.version else survey.version,
        )
        address = None if trusted or request.client is None else request.client.host
        try:
            outcome = await self._admission.admit(entry, digest, address, None if trusted else survey.burst)
        except Later as error:
            ADMISSIONS.labels("unavailable").inc()
            # It may be in the queue all the same, and then its trace needs its root.
            tracing.admit(entry.id, started, survey=survey.slug, source=source, outcome="unavailable")
            raise _unavailable(error) from error
        match outcome:
            case Admitted():
                _ACCEPTED.inc()
                tracing.admit(entry.id, started, survey=survey.slug, source=source, outcome="accepted")
                return Taken(entry.id, self.tokens.client_token(client), not known)
            case Held(id=first, same=True):
                ADMISSIONS.labels("repeated").inc()
                return Taken(first, self.tokens.client_token(client), not known)
            case Held(id=first):
                ADMISSIONS.labels("already-voted").inc()
                raise AlreadyVoted(first)
            case Limited(retry_after=seconds):
                ADMISSIONS.labels("rate-limited").inc()
                raise Problem(
                    429,
                    f"Too many answers came from your address. Please try again in {seconds} s.",
                    kind="rate-limited",
                    headers={"Retry-After": str(seconds)},
                )
            case Full():
                ADMISSIONS.labels("full").inc()
                raise Problem(
                    503,
                    "So many answers are waiting that no more can be taken. Please try again in half a minute.",
                    kind="full",
                    headers={"Retry-After": "30"},
                )

    async def _held(self, survey: Survey, client: str, digest: str) -> UUID | None:
        """The submission that this very request was taken as before; without a key (`digest`) nobody can tell."""
        if not digest:
            return None
        try:
            held = await self._admission.held(survey.slug, client, digest)
        except Later as error:
            raise _unavailable(error) from error
        return held.id if held is not None and held.same else None

    def _of_user(self, user: User) -> tuple[str, bool]:
        """The client that a proven user is everywhere; no cookie has to tell it."""
        if not self.tokens.proves(user.id, user.hash):
            message = (
                "the hash does not prove this id; your server makes it with the key that `heed identity-key` prints"
            )
            raise Problem(422, f"user: {message}", kind="invalid", errors=[{"field": "user", "message": message}])
        return self.tokens.client_of_user(user.id), True

    async def _trusted(self, request: Request) -> bool:
        """Whether the request carries an API key that may send answers; a wrong one is refused rather than ignored."""
        given = request.headers.get("authorization")
        if given is None:
            return False
        scheme, _, key = given.partition(" ")
        if scheme.lower() == "bearer" and await self._is_key(key.strip()):
            return True
        raise Problem(
            401,
            "This API key is not valid. Customers' submissions need none; leave the Authorization header out.",
            kind="unauthorized",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _is_key(self, key: str) -> bool:
        if self._api_key and hmac.compare_digest(key.encode(), self._api_key):
            return True
        if not key.startswith(KEY_PREFIX):
            return False
        try:
            return await is_published(self._redis, fingerprint(key))
        except Later as error:
            raise _unavailable(error) from error
        except (RedisError, OSError) as error:
            raise _unavailable(Later(f"Redis: {type(error).__name__}")) from error

    def _client(self, request: Request, token: str | None, digest: str, trusted: bool) -> tuple[str, bool]:
        """The client's id, and whether it keeps its token already (or is a server, which keeps no cookies)."""
        if token is not None:
            client = self.tokens.read_client(token)
            if client is None:
                raise Problem(
                    422,
                    "This is not a client token of this site. Leave it out to get one in the answer.",
                    kind="invalid-client",
                )
            return client, True
        cookie = None if trusted else request.cookies.get(COOKIE)
        client = self.tokens.read_client(cookie) if cookie else None
        if client is not None:
            return client, True
        return (self.tokens.client_of_request(digest) if digest else self.tokens.new_client()), trusted


def cookie(request: Request, taken: Taken) -> dict[str, str]:
    """The header that lets the client keep its token, if it has none yet."""
    return keep(request, taken.client_token) if taken.set_cookie else {}


def keep(request: Request, token: str) -> dict[str, str]:
    """The header that sets the client's cookie: for a year, out of scripts' reach, never sent from other sites."""
    secure = "; Secure" if request.scope["scheme"] == "https" else ""
    return {"Set-Cookie": f"{COOKIE}={token}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=lax{secure}"}


def _unavailable(error: Later) -> Problem:
    return Problem(
        503,
        "Your answer could not be taken just now and nothing was lost on our side. "
        "Please send it again in a moment, with the same idempotency key.",
        kind="unavailable",
        headers={"Retry-After": str(int(error.retry_after or 2))},
    )


def _not_open(survey: Survey) -> Problem | None:
    match survey.state(datetime.now(UTC)):
        case "early":
            return Problem(403, f"This survey opens at {survey.opens_at:%Y-%m-%d %H:%M} UTC.", kind="not-open-yet")
        case "closed":
            return Problem(410, "This survey is closed and takes no more answers.", kind="closed")
    return None


def _misfit(survey: Survey, submission: Submission) -> Problem | None:
    if submission.vote is not None and survey.option(submission.vote) is None:
        options = ", ".join(option.key for option in survey.options)
        message = f"this survey has no such option; its options are: {options}"
        return Problem(422, f"vote: {message}", kind="invalid", errors=[{"field": "vote", "message": message}])
    if submission.rating is not None and not survey.rating:
        message = "this survey asks for no rating"
        return Problem(422, f"rating: {message}", kind="invalid", errors=[{"field": "rating", "message": message}])
    return None
