"""Tells the desk what customers erased: one internal note on the ticket, so that agents remove the words there, too.

Guarantees: one note a ticket, whatever dies between it and its record, since it is known again by its marker; one
process at a time; a desk that is away is told later; a ticket that is gone or closed for good needs no note.
"""

import sqlalchemy as sa

from heed.db import erasures
from heed.db.engine import begin
from heed.errors import Refused
from heed.telemetry import log
from ticketing import text
from ticketing.desk import Desk

_LOCK = 0x45726173  # "Eras"


def tell(engine: sa.Engine, desk: Desk) -> bool:
    """Tell of one erasure; whether there may be more. False, too, while another process tells."""
    with begin(engine) as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
            return False
        wish = erasures.untold(connection)
        if wish is None:
            return False
        feedback_id, erased_at = wish
        # By its external id: the number may be one that another desk gave, before this one came in its place.
        ticket = desk.find(feedback_id)
        if ticket is not None:
            try:
                desk.annotate(
                    ticket.desk_id,
                    marker=text.erasure_marker(feedback_id),
                    note=text.erasure_note(feedback_id, erased_at),
                    look_first=True,
                )
            except Refused:
                log.warning("erasure not told; the ticket takes no notes", id=str(feedback_id))
        erasures.told(connection, feedback_id)
    log.info("erasure told", id=str(feedback_id))
    return True
