"""The feedback site's composition root: its parts, its JSON API, its health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from api.feedback import pages
from api.feedback.openapi import PATH, complete
from api.feedback.submit import AlreadyVoted, Desk, cookie
from api.feedback.surveys import Surveys
from api.feedback.tokens import Tokens
from heed import __version__
from heed.contracts import Submission, received_at
from heed.settings import Settings
from heed.stream.admission import Admission, connect
from heed.stream.queue import Queue
from heed.web import fastapi_problems, health
from heed.web.guards import BodyLimit, SecurityHeaders
from heed.web.measure import Measure
from heed.web.problems import Problem, invalid
from heed.web.static import FRONTEND, Static


def create_app(settings: Settings) -> FastAPI:
    """The site as an ASGI app; connects to Redis when first used."""
    redis = connect(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()

    app = FastAPI(
        title="Heed: feedback",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=fastapi_problems.NO_TELEMETRY,
    )
    desk = Desk(settings, Surveys(redis), Admission(redis, settings), Tokens(settings.need("secret_key")))
    base = str(settings.feedback_url).rstrip("/") if settings.feedback_url else None

    def receipt(request: Request, submission_id: Any) -> str:
        root = base or f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        return f"{root}/r/{desk.tokens.receipt_token(submission_id)}"

    async def submit(request: Request) -> Response:
        survey = await desk.survey(request.path_params["slug"])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "Send the submission as application/json.", kind="not-json")
        try:
            submission = Submission.model_validate_json(await request.body())
        except ValidationError as error:
            raise invalid(error) from None
        key = request.headers.get("idempotency-key")
        try:
            taken = await desk.take(request, survey, submission, key=key, source="api")
        except AlreadyVoted as error:
            raise Problem(
                409,
                "You have already answered this survey; the first answer counts.",
                kind="already-voted",
                id=str(error.id),
                receipt=receipt(request, error.id),
                received_at=received_at(error.id).isoformat(),
            ) from None
        answer = {"id": str(taken.id), "receipt": receipt(request, taken.id), "client": taken.client_token}
        return Response(to_json(answer), 202, cookie(request, taken), "application/json")

    # A plain route: FastAPI would parse and validate the body a second time, at half the site's rate.
    app.add_route(PATH, submit, methods=["POST"])
    fastapi_problems.install(app)
    pages.add(app, desk)
    ping = Queue.connect(settings)
    app.router.routes.extend(health.routes(ready={"redis": ping.check}))
    app.mount("/static", Static(FRONTEND / "feedback" / "static", FRONTEND / "shared"))
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measure)
    complete(app)
    return app
