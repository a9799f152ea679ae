"""The least that could take a submission: a bare Starlette route doing one XADD, served exactly as the real site."""

import redis.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from heed.settings import Settings, load
from heed.web.serve import serve


def create_app(settings: Settings) -> Starlette:
    """One route; nothing is validated, nobody is told from another."""
    client = redis.asyncio.Redis.from_url(settings.need("redis_url"))

    async def submit(request: Request) -> Response:
        entry = await client.xadd("bench:bare", {"entry": await request.body()})
        return JSONResponse({"id": str(entry)}, 202)

    return Starlette(routes=[Route("/api/v1/surveys/default/feedback", submit, methods=["POST"])])


if __name__ == "__main__":
    settings = load()
    serve(create_app(settings), settings, settings.feedback_port)
