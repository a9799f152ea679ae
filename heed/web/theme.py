"""The route of a colour's stylesheet: the content security policy allows no style in a page.

Guarantees: works without scripts; one address for each colour, which caches keep for a day.
"""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heed import theme

PATH = "/theme/{color}.css"
_COLOR = re.compile(r"[0-9a-f]{6}")


async def answer(request: Request) -> Response:
    """The stylesheet of the colour in the path."""
    color = request.path_params["color"]
    if not _COLOR.fullmatch(color):
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(theme.stylesheet(f"#{color}"), headers=headers, media_type="text/css")
