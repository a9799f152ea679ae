"""News of tickets from the desk, as the log and the traces tell them; the ledger (heed.db.ledger.seen) keeps them.

Guarantees: nothing is told that is not committed.
"""

from collections.abc import Iterable

from heed import tracing
from heed.db.ledger import News
from heed.telemetry import log


def tell(news: Iterable[News], began: int, by: str) -> None:
    """Tell what was news; `by` is the way it came."""
    ended = tracing.now()
    for feedback_id, status in news:
        log.info("status", id=str(feedback_id), status=status, by=by)
        tracing.record(feedback_id, "status", began, ended, status=status, by=by)
