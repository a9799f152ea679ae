"""The database user that docs/operations.md gives to the feedback site: enough for receipts, and for nothing else."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from results_data import answer

from heed.contracts import Contact, QuarantineKind, QuarantineReason, new_id
from heed.db import engine as db
from heed.db import erasures, ledger, quarantine
from heed.db.receipts import read, wish_erased
from heed.db.tables import metadata
from heed.settings import Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def public(settings: Settings, engine: sa.Engine) -> Iterator[sa.Engine]:
    """As the feedback site connects, by what the documentation says."""
    text = OPERATIONS.read_text(encoding="utf-8")
    [section] = re.findall(r"^## A database user of its own.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    [sql] = re.findall(r"<<'SQL'\n(.*?)^SQL$", section, re.MULTILINE | re.DOTALL)
    role = f"heed_receipts_{secrets.token_hex(4)}"  # the tests share a server, and roles are the server's
    with engine.begin() as connection:
        connection.exec_driver_sql(sql.replace("heed_receipts", role).replace(":'password'", "'secret'"))
    url = sa.make_url(settings.need("database_url")).set(username=role, password="secret")
    its = settings.model_copy(update={"database_url": type(settings.database_url)(url.render_as_string(False))})
    made = db.connect(its, "feedback")
    yield made
    made.dispose()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_receipts_are_read_and_wishes_taken(public: sa.Engine, engine: sa.Engine) -> None:
    contact = Contact(name="Ann", email="ann@example.com", reply=True)
    answered, aside, unknown = answer(engine, "Broken.", vote="bad", contact=contact), new_id(), new_id()
    with engine.begin() as connection:
        item = quarantine.Item(QuarantineKind.SUBMISSION, "0/1", QuarantineReason.FAILED, "why", "{}", aside)
        quarantine.add(connection, [item])
        held = ledger.take(connection, answered, "default", 60)
        assert isinstance(held, ledger.Taken)
        ledger.created(connection, held, 7)
        ledger.opened(connection, held)
        ledger.seen(connection, [(answered, 7, "open"), (answered, 7, "solved")])
    with public.begin() as connection:
        seen = read(connection, answered)
        assert None not in (seen.read_at, seen.ticket_at, seen.solved_at)
        assert (seen.expected, seen.erase_asked_at) == (True, None)
        assert read(connection, aside).set_aside_at is not None
        assert read(connection, unknown).read_at is None
        for each in (answered, aside, unknown, answered):
            wish_erased(connection, each)
    with engine.begin() as connection:
        assert set(erasures.carry_out(connection, 10)) == {answered, aside}
    with public.begin() as connection:
        for each in (answered, aside):
            seen = read(connection, each)
            assert None not in (seen.erase_asked_at, seen.erased_at)
        seen = read(connection, unknown)
        assert (seen.erase_asked_at is None, seen.erased_at) == (False, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT comment FROM feedback",
        "SELECT * FROM feedback",
        "SELECT contact_email FROM feedback",
        "SELECT customer FROM feedback",
        "SELECT client FROM feedback",
        "SELECT payload FROM quarantine",
        "SELECT last_error FROM tickets",
        "UPDATE feedback SET erased_at = now()",
        "UPDATE erasures SET done_at = now()",
        "DELETE FROM erasures",
        "INSERT INTO tickets (feedback_id, state, attempts, first_attempt_at) SELECT NULL, 'x', 1, now()",
        "CREATE TABLE mine (id int)",
    ],
)
def test_everything_else_is_refused(public: sa.Engine, engine: sa.Engine, statement: str) -> None:
    answer(engine, "Broken.")
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), public.begin() as connection:
        connection.execute(sa.text(statement))


def test_of_the_other_tables_nothing_is_seen(public: sa.Engine) -> None:
    others = metadata.tables.keys() - {"feedback", "tickets", "quarantine", "erasures"}
    for name in others:
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), public.begin() as connection:
            connection.execute(sa.text(f"SELECT count(*) FROM {name}"))
