"""What needs a person now, and what came of trying again, as models: the routes and the page speak these."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, Field

from api.results.models import Item, Quarantined
from heed.books import Astray, Books
from heed.contracts import Option, Priority, Reason

COUNTED = 1_000
SHOWN = 50
CARDS = 5

HeldNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
_UP_TO = f"Counted up to {COUNTED:,}."


class FailedTicket(BaseModel):
    """An answer whose ticket the desk refused."""

    id: UUID
    survey: str
    vote: str | None
    rating: int | None
    comment: str = Field(description="Empty, too, when it was erased; see `erased_at`.")
    erased_at: datetime | None
    received_at: datetime
    reasons: list[Reason]
    priority: Priority | None
    attempts: int
    error: str | None = Field(description="What the desk said.")
    failed_at: datetime


class Held(Quarantined):
    """Something in quarantine. `replay_at`: it waits for another try; `resolved_at`: it was stored after all."""

    feedback_id: UUID | None = Field(description="Which answer it is, as far as that can be read.")
    resolved_at: datetime | None
    replayable: bool = Field(description="Whether it can be tried again. Events come again by themselves.")


class Unbalanced(BaseModel):
    """The books, when they do not balance. `astray` names the submissions by which the tickets' side differs, at most
    50, among the newest 100,000; who is missing from the queue's side nobody knows by name."""

    books: Books
    astray: list[Astray]


class FailedTickets(BaseModel):
    """The tickets that the desk refused, newest failure first."""

    count: int
    items: list[FailedTicket] = Field(description=f"At most {SHOWN}.")


class QuarantineGroup(BaseModel):
    """What could not be processed, newest first, and what was stored when it was tried again in the last 24 hours."""

    count: int = Field(description=_UP_TO)
    items: list[Held] = Field(description=f"At most {SHOWN}.")
    stored: list[Held] = Field(description=f"At most {CARDS}.")


class ToJudge(BaseModel):
    """Answers that wait for a verdict, newest first."""

    count: int = Field(description=_UP_TO)
    items: list[Item] = Field(description=f"At most {CARDS}.")


class Elsewhere(BaseModel):
    """What needs a person in another survey."""

    survey: str
    question: str
    failed: int
    waiting: int = Field(description=_UP_TO)


class Attention(BaseModel):
    """What needs a person now, most urgent first. The books and the quarantine are not kept by survey: `balanced`,
    `books` and `quarantine` are null for whoever does not see every survey; `books` is also null while they balance or
    cannot be closed."""

    survey: str
    question: str
    options: tuple[Option, ...]
    nothing: bool = Field(description="Nothing needs a person, in this survey and in the others that are seen.")
    balanced: bool | None = Field(description="Null when the books cannot be closed at the moment.")
    books: Unbalanced | None
    failed: FailedTickets
    quarantine: QuarantineGroup | None
    flagged: ToJudge = Field(description="What came in a suspicious way, and is no ticket until somebody says so.")
    review: ToJudge = Field(description="What is perhaps unhappy, could not be read, or was drawn by lot.")
    elsewhere: list[Elsewhere]


class TriedAgain(BaseModel):
    """How many are on their way again."""

    count: int
