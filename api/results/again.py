"""Trying again what failed: refused tickets and what is in quarantine.

Guarantees: a failed ticket is worked on again exactly once, with its event back in the outbox in one transaction, so
there is never a second ticket; asked for twice is done once; what was asked for is in the audit with it; who sees only
some surveys can ask for no others.
"""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from api.results.access import Who
from api.results.attention_models import Held
from heed.contracts import QuarantineKind
from heed.db import audit, ledger
from heed.db import engine as db
from heed.db import quarantine as kept
from heed.db.audit import Action
from heed.db.tables import feedback, quarantine
from heed.web.problems import Problem

_HELD = [quarantine.c[name] for name in Held.model_fields if name != "replayable"]


def held(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Held]:
    """Rows of the quarantine as they are shown."""
    rows = connection.execute(query.with_only_columns(*_HELD)).mappings()
    return [Held(**row, replayable=row["kind"] == QuarantineKind.SUBMISSION) for row in rows]


class Again:
    """Tries again what failed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ticket(self, answer_id: UUID, who: Who) -> int:
        """Send this answer's ticket on its way again if it has failed; how many that are. A 404 problem when there is
        no such answer among theirs."""
        with db.begin(self._engine) as connection:
            survey = connection.execute(sa.select(feedback.c.survey).where(feedback.c.id == answer_id)).scalar()
            if survey is None or not who.sees(survey):
                raise Problem(404, "There is no such answer.", kind="unknown-feedback")
            return self._tickets(connection, who, str(answer_id), [answer_id], None)

    def tickets(self, survey: str, who: Who) -> int:
        """Send every failed ticket of a survey on its way again; how many. A 404 problem when it is not theirs."""
        who.check_sees(survey)
        with db.begin(self._engine) as connection:
            return self._tickets(connection, who, survey, None, [survey])

    def item(self, number: int, who: Who) -> Held:
        """Ask the worker to try one thing in quarantine again; as it is then, or a 404 or 409 problem."""
        with db.begin(self._engine) as connection:
            found = self._one(connection, number)
            if not found.replayable:
                detail = (
                    "This is an event on its way to a ticket, not a customer's answer. It cannot be tried again from "
                    "here, and need not be: as long as there is no ticket, the outbox sends another."
                )
                raise Problem(409, detail, kind="not-replayable")
            if not kept.ask_replay(connection, [number], anew=True):
                return self._one(connection, number)  # it waits already, or is stored
            audit.note(connection, who.actor, Action.REPLAY, f"quarantine {number}", submissions=1)
            return self._one(connection, number)

    def items(self, who: Who) -> int:
        """Ask the worker to try everything in quarantine again that can be; how many did not wait for that already."""
        with db.begin(self._engine) as connection:
            asked = kept.ask_replay(connection, anew=True)
            if asked:
                audit.note(connection, who.actor, Action.REPLAY, "quarantine", submissions=asked)
            return asked

    def one(self, number: int) -> Held:
        """One thing in quarantine, also when it is stored by now; a 404 problem when there is none of that number."""
        with db.begin(self._engine) as connection:
            return self._one(connection, number)

    @staticmethod
    def _tickets(
        connection: sa.Connection, who: Who, what: str, ids: Sequence[UUID] | None, only: Sequence[str] | None
    ) -> int:
        sent = ledger.replay_failed(connection, ids, only)
        if sent:
            audit.note(connection, who.actor, Action.REPLAY, what, tickets=sent)
        return sent

    @staticmethod
    def _one(connection: sa.Connection, number: int) -> Held:
        for found in held(connection, sa.select(quarantine).where(quarantine.c.id == number)):
            return found
        raise Problem(404, "There is nothing in quarantine with this number.", kind="unknown-quarantine")
