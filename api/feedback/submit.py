"""Taking one submission, the same for the form and the JSON API: who sent it, does it fit the survey, admit it.

Guarantees: what is answered `taken` is on the queue; the same request sent again is answered with the first one's
id; whatever stands in the way is a `Problem` that says what to do.
"""

import hmac
import string
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from starlette.requests import Request

from api.feedback.surveys import Surveys
from api.feedback.tokens import Tokens, digest_of
from heed import tracing
from heed.contracts import StreamEntry, Submission, Survey, new_id, received_at
from heed.errors import Later
from heed.settings import Settings
from heed.stream.admission import Admission, Admitted, Full, Held, Limited
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

    def __init__(self, settings: Settings, surveys: Surveys, admission: Admission, tokens: Tokens) -> None:
        self._api_key = settings.api_key.get_secret_value().encode() if settings.api_key else b""
        self._admission = admission
        self.surveys = surveys
        self.tokens = tokens

    async def survey(self, slug: str) -> Survey:
        """The survey, or a 404."""
        survey = await self.surveys.get(slug)
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
    ) -> Taken:
        """Admit `submission`, repeatable by its idempotency `key`; raises AlreadyVoted or Problem."""
        started = tracing.now()
        _fits(survey, submission)
        trusted = self._trusted(request)
        if key is not None and not (0 < len(key) <= 255 and _PRINTABLE.issuperset(key)):
            raise Problem(422, "The idempotency key must be 1 to 255 printable ASCII characters.", kind="invalid")
        digest = digest_of(key, survey.slug, submission.model_dump_json()) if key is not None else ""
        client, known = self._client(request, digest, trusted)
        entry = StreamEntry(
            id=new_id(),
            survey=survey.slug,
            client=client,
            source=source,
            vote=submission.vote,
            rating=submission.rating,
            comment=submission.comment,
            contact=submission.contact,
        )
        address = None if trusted or request.client is None else request.client.host
        try:
            outcome = await self._admission.admit(entry, digest, address)
        except Later as error:
            ADMISSIONS.labels("unavailable").inc()
            # It may be in the queue all the same, and then its trace needs its root.
            tracing.admit(entry.id, started, survey=survey.slug, source=source, outcome="unavailable")
            raise Problem(
                503,
                "Your answer could not be taken just now and nothing was lost on our side. "
                "Please send it again in a moment, with the same idempotency key.",
                kind="unavailable",
                headers={"Retry-After": str(int(error.retry_after or 2))},
            ) from error
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

    def _trusted(self, request: Request) -> bool:
        """Whether the request carries the API key; a wrong one is refused rather than ignored."""
        given = request.headers.get("authorization")
        if given is None:
            return False
        scheme, _, key = given.partition(" ")
        if scheme.lower() == "bearer" and self._api_key and hmac.compare_digest(key.strip().encode(), self._api_key):
            return True
        raise Problem(
            401,
            "This API key is not valid. Customers' submissions need none; leave the Authorization header out.",
            kind="unauthorized",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _client(self, request: Request, digest: str, trusted: bool) -> tuple[str, bool]:
        """The client's id, and whether it keeps its token already (or is a server, which keeps no cookies)."""
        header = request.headers.get("x-heed-client")
        if header is not None:
            client = self.tokens.read_client(header)
            if client is None:
                raise Problem(
                    422,
                    "X-Heed-Client is not a client token of this site. Leave it out to get one in the answer.",
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


def _fits(survey: Survey, submission: Submission) -> None:
    if submission.vote is not None and survey.option(submission.vote) is None:
        options = ", ".join(option.key for option in survey.options)
        message = f"this survey has no such option; its options are: {options}"
        raise Problem(422, f"vote: {message}", kind="invalid", errors=[{"field": "vote", "message": message}])
    if submission.rating is not None and not survey.rating:
        message = "this survey asks for no rating"
        raise Problem(422, f"rating: {message}", kind="invalid", errors=[{"field": "rating", "message": message}])


def received_text(submission_id: UUID) -> str:
    """When a submission was received, for people."""
    return received_at(submission_id).strftime("%-d %B %Y, %H:%M UTC")
