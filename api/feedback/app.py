"""The feedback site's composition root: its parts, its JSON API, its health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.feedback import embed, pages
from api.feedback.openapi import PATH, document
from api.feedback.progress import Receipts
from api.feedback.submit import AlreadyVoted, Desk, cookie
from api.feedback.surveys import Surveys
from api.feedback.tokens import Tokens
from heed.contracts import Submission, received_at
from heed.settings import Settings
from heed.stream.admission import Admission, connect
from heed.stream.queue import Queue
from heed.web import health, problems, theme
from heed.web.guards import BodyLimit, SecurityHeaders
from heed.web.measure import Measure
from heed.web.problems import Problem, invalid
from heed.web.static import FRONTEND, Static


def create_app(settings: Settings) -> Starlette:
    """The site as an ASGI app; connects to Redis, and for receipts to Postgres, when first used."""
    redis = connect(settings)
    receipts = Receipts(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        receipts.close()
        await redis.aclose()

    app = Starlette(lifespan=lifespan)
    desk = Desk(settings, redis, Surveys(redis), Admission(redis, settings), Tokens(settings.need("secret_key")))
    base = str(settings.feedback_url).rstrip("/") if settings.feedback_url else None

    def root(request: Request) -> str:
        return base or f"{request.scope['scheme']}://{request.headers.get('host', '')}"

    def receipt(request: Request, submission_id: Any) -> str:
        return f"{root(request)}/r/{desk.tokens.receipt_token(submission_id)}"

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
            token = request.headers.get("x-heed-client")
            taken = await desk.take(request, survey, submission, key=key, source="api", client_token=token)
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

    described = document()

    async def openapi(_request: Request) -> Response:
        return JSONResponse(described)

    app.add_route(PATH, submit, methods=["POST"])
    app.add_route("/openapi.json", openapi, methods=["GET"])
    problems.install(app)
    pages.add(app, desk, receipts, settings)
    embed.add(app, desk, root)
    app.add_route(theme.PATH, theme.answer, methods=["GET"])
    ping = Queue.connect(settings)
    app.router.routes.extend(health.routes(ready={"redis": ping.check}))
    app.mount("/static", Static(FRONTEND / "feedback" / "static", FRONTEND / "widget" / "static", FRONTEND / "shared"))
    app.add_middleware(BodyLimit)
    app.add_middleware(embed.Cors, surveys=desk.surveys)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measure)
    return app
