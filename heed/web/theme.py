"""The route of a colour's stylesheet: the content security policy allows no style in a page.

Guarantees: works without scripts; one address for each colour, which caches keep for a day.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heed import theme

PATH = "/theme/{color}.css"


async def answer(request: Request) -> Response:
    """The stylesheet of the colour in the path."""
    color = f"#{request.path_params['color']}"
    if not theme.is_color(color):
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(theme.stylesheet(color), headers=headers, media_type="text/css")
