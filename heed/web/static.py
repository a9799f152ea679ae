"""Static files of a site, from several folders under one address.

Guarantees: a browser asks each time whether its copy is still right (ETag), so a deploy shows at once.
"""

from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FRONTEND = Path(__file__).parents[2] / "frontend"


class Static(StaticFiles):
    """Files of `folders`; the first folder that has a file wins."""

    def __init__(self, *folders: Path) -> None:
        super().__init__(directory=folders[0])
        self.all_directories = list(folders)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, to be checked again at each use."""
        response = super().file_response(*args, **kwargs)
        response.headers.setdefault("cache-control", "no-cache")
        return response
