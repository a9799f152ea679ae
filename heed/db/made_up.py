"""The survey that `heed demo` fills: whether it is there, and how far it is filled.

Guarantees: a survey that somebody made under the same name is not taken for it: the demo's has its line among the
cursors, which is written with it and goes with it.
"""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert

from heed.db.tables import cursors

SLUG = "demo"
_NAME = "made-up answers"


class Filled(BaseModel):
    """`done` of `answers` answers of the year until `until` are there; `settlement` is their line in the books."""

    until: datetime
    answers: int
    settlement: int
    done: int = 0


def read(connection: sa.Connection, lock: bool = False) -> Filled | None:
    """How far it is filled; None when there is none. `lock`: nobody else goes on with it, or removes it, meanwhile."""
    query = sa.select(cursors.c.position).where(cursors.c.name == _NAME)
    position = connection.execute(query.with_for_update() if lock else query).scalar()
    return None if position is None else Filled.model_validate_json(position)


def write(connection: sa.Connection, filled: Filled) -> None:
    """Remember how far it is."""
    statement = insert(cursors).values(name=_NAME, position=filled.model_dump_json())
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_={"position": statement.excluded.position, "updated_at": sa.func.now()}
        )
    )


def forget(connection: sa.Connection) -> None:
    """It is gone."""
    connection.execute(sa.delete(cursors).where(cursors.c.name == _NAME))
