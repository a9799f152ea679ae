"""Whether what a page shows is made up, so that every page of that survey says so (frame.html).

Guarantees: it costs a query every few seconds at most, and none on pages of other surveys; nothing fails with it: while
Postgres is away, a page keeps to what was known.
"""

from contextlib import suppress

import sqlalchemy as sa

from api.results.recent import Recent
from heed.db import engine as db
from heed.db import made_up
from heed.errors import Later


class MadeUp:
    """Knows whether the survey `demo` is the one that `heed demo` made."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._recent = Recent(self._read)
        self._known = False

    def __call__(self, survey: str | None) -> bool:
        """Whether the answers of this survey are made up."""
        if survey != made_up.SLUG:
            return False
        with suppress(Later):
            self._known = self._recent.read()
        return self._known

    def _read(self) -> bool:
        with db.begin(self._engine) as connection:
            return made_up.read(connection) is not None
