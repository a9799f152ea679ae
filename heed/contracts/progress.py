"""`Progress`: how far a submission is, as its customer may know it. Times are in UTC; None: not yet, or never."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """`read_at`: stored, its words read. `set_aside_at`: it could not be processed, a person will look at it.
    `ticket_at`, `in_progress_at`, `solved_at`: its ticket was opened, taken up by an agent, solved. `expected`: a
    ticket is to come. `considered`: a person decides whether there is to be one. `erase_asked_at`, `erased_at`: the
    customer wants it erased, and it is.
    """

    read_at: datetime | None = None
    set_aside_at: datetime | None = None
    expected: bool = False
    considered: bool = False
    ticket_at: datetime | None = None
    in_progress_at: datetime | None = None
    solved_at: datetime | None = None
    erase_asked_at: datetime | None = None
    erased_at: datetime | None = None
