"""The sandbox's tickets, comments and users in SQLite.

Guarantees: what was answered is on disk (write-ahead log, every commit synced); a ticket and its idempotency key
are one transaction, so one key makes one ticket however many requests carry it; each change of a ticket gets the
next number in one sequence, so that an incremental reader misses none.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from local.sandbox.errors import key_reused, not_found, record_invalid
from local.sandbox.incoming import Change, NewComment, NewTicket, NewUser

KEY_SECONDS = 2 * 60 * 60
AGENT_EMAIL = "agent@example.com"  # who acts when the caller's credentials name nobody

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT UNIQUE, external_id TEXT UNIQUE,
    role TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, external_id TEXT, subject TEXT NOT NULL, description TEXT NOT NULL,
    status TEXT NOT NULL, priority TEXT, tags TEXT NOT NULL, requester_id INTEGER NOT NULL REFERENCES users,
    submitter_id INTEGER NOT NULL REFERENCES users, change INTEGER NOT NULL UNIQUE,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS tickets_external_id ON tickets (external_id);
CREATE INDEX IF NOT EXISTS tickets_status ON tickets (status, id);
CREATE INDEX IF NOT EXISTS tickets_updated_at ON tickets (updated_at);
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, ticket_id INTEGER NOT NULL REFERENCES tickets,
    author_id INTEGER NOT NULL REFERENCES users, body TEXT NOT NULL, public INTEGER NOT NULL,
    change INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS comments_ticket ON comments (ticket_id, id);
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, body TEXT NOT NULL, response TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS idempotency_created_at ON idempotency (created_at);
"""

Row = sqlite3.Row
Table = Literal["tickets", "comments", "users"]
Filters = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key with the digest of the body that came with it."""

    value: str
    digest: str


class Store:
    """One connection, one caller at a time. `on_status` hears of each changed status after it is committed."""

    def __init__(self, path: Path, clock: Callable[[], float], on_status: Callable[[Row], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock, self._on_status = clock, on_status
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; nothing is lost."""
        with self._lock:
            self._connection.close()

    def check(self) -> str | None:
        """Readiness."""
        with self._read() as database:
            database.execute("SELECT 1")
        return None

    def now(self) -> int:
        """The time in Unix seconds."""
        return int(self._clock())

    def create(
        self, new: NewTicket, caller: str, key: Key | None, render: Callable[[Row, Row], str]
    ) -> tuple[str, bool]:
        """Make the ticket, or find what this key made before: the answer's text, and whether it was found."""
        with self._write() as database:
            if key is not None:
                database.execute("DELETE FROM idempotency WHERE created_at <= ?", (self.now() - KEY_SECONDS,))
                known = database.execute(
                    "SELECT body, response FROM idempotency WHERE key = ?", (key.value,)
                ).fetchone()
                if known is not None:
                    if known["body"] != key.digest:
                        raise key_reused(key.value)
                    return str(known["response"]), True
            requester = self._requester(database, new, caller)
            now, change = self.now(), self._next_change(database)
            subject = new.values["subject"] or new.comment.body.strip().splitlines()[0][:150]
            cursor = database.execute(
                "INSERT INTO tickets (external_id, subject, description, status, priority, tags, requester_id,"
                " submitter_id, change, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(new.values["external_id"], subject, new.comment.body, new.values["status"] or "new"),
                    *(new.values["priority"], json.dumps(new.tags), requester, requester, change, now, now),
                ),
            )
            ticket = self._one(database, "tickets", cursor.lastrowid)
            comment = self._add_comment(database, ticket, new.comment, requester)
            response = render(ticket, comment)
            if key is not None:
                database.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (key.value, key.digest, response, now))
        return response, False

    def update(self, ticket_id: int, change: Change, caller: str) -> tuple[Row, Row | None, int]:
        """Change a ticket: the ticket as it is now, the comment that was added, and who did it."""
        with self._write() as database:
            before = self._one(database, "tickets", ticket_id)
            if before["status"] == "closed":
                raise record_invalid({"status": [{"description": "Status: closed prevents ticket update"}]})
            agent = self._user(database, NewUser(None, caller), "agent")["id"]
            tags = set(json.loads(before["tags"]) if change.tags is None else change.tags)
            values = {
                **change.values,
                "tags": json.dumps(sorted((tags | set(change.more_tags)) - set(change.fewer_tags))),
                "change": self._next_change(database),
                "updated_at": self.now(),
            }
            assignments = ", ".join(f"{column} = ?" for column in values)  # columns named by our own code
            database.execute(
                f"UPDATE tickets SET {assignments} WHERE id = ?",  # noqa: S608
                (*values.values(), ticket_id),
            )
            after = self._one(database, "tickets", ticket_id)
            comment = self._add_comment(database, after, change.comment, agent) if change.comment else None
        if after["status"] != before["status"]:
            self._on_status(after)
        return after, comment, agent

    def save_user(self, new: NewUser) -> tuple[Row, bool]:
        """Create or update the user with this external id or address; True when it is new."""
        with self._write() as database:
            found = [
                row
                for column, value in (("external_id", new.external_id), ("email", new.email))
                if value is not None and (row := self._find_user(database, column, value)) is not None
            ]
            if not found:
                return self._user(database, new, "end-user"), True
            if found[-1]["id"] != found[0]["id"]:
                why = f"Email: {new.email} is already being used by another user"
                raise record_invalid({"email": [{"description": why, "error": "DuplicateValue"}]})
            database.execute(
                "UPDATE users SET name = coalesce(?, name), email = coalesce(?, email),"
                " external_id = coalesce(?, external_id), updated_at = ? WHERE id = ?",
                (new.name, new.email, new.external_id, self.now(), found[0]["id"]),
            )
            return self._one(database, "users", found[0]["id"]), False

    def caller(self, email: str) -> Row:
        """The user behind the caller's credentials."""
        with self._write() as database:
            return self._user(database, NewUser(None, email), "agent")

    def get(self, table: Table, row_id: int) -> Row:
        """One row; 404 when there is none."""
        with self._read() as database:
            return self._one(database, table, row_id)

    def page(
        self, table: Table, filters: Filters, *, limit: int, offset: int = 0, after: int = 0, newest: bool = False
    ) -> list[Row]:
        """Up to `limit` rows by id, those with an id over `after`, without the first `offset`."""
        where = " AND ".join(["id > ?", *(f"{column} = ?" for column in filters)])
        order = "DESC" if newest else "ASC"
        with self._read() as database:
            return database.execute(
                f"SELECT * FROM {table} WHERE {where} ORDER BY id {order} LIMIT ? OFFSET ?",  # noqa: S608
                (after, *filters.values(), limit, offset),
            ).fetchall()

    def count(self, table: Table, filters: Filters) -> int:
        """How many rows there are."""
        where = " AND ".join(["1", *(f"{column} = ?" for column in filters)])
        with self._read() as database:
            query = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608
            return int(database.execute(query, tuple(filters.values())).fetchone()[0])

    def changed(self, *, after: int = 0, since: int = 0, limit: int) -> list[Row]:
        """Tickets in the order of their last change: those with a number over `after`, changed since a time."""
        with self._read() as database:
            return database.execute(
                "SELECT * FROM tickets WHERE change > ? AND updated_at >= ? ORDER BY change LIMIT ?",
                (after, since, limit),
            ).fetchall()

    def changed_between(self, after: int, before: int, limit: int) -> list[Row]:
        """Tickets last changed between two times, both excluded. May exceed `limit` to keep a second together."""
        with self._read() as database:
            return database.execute(
                "WITH page AS (SELECT updated_at FROM tickets WHERE updated_at > ?1 AND updated_at < ?2"
                " ORDER BY updated_at LIMIT ?3) SELECT * FROM tickets WHERE updated_at > ?1"
                " AND updated_at <= (SELECT max(updated_at) FROM page) ORDER BY updated_at, change",
                (after, before, limit),
            ).fetchall()

    def users(self, ids: set[int]) -> dict[int, Row]:
        """These users by id."""
        marks = ", ".join("?" * len(ids))
        with self._read() as database:
            rows = database.execute(f"SELECT * FROM users WHERE id IN ({marks})", tuple(ids))  # noqa: S608
            return {row["id"]: row for row in rows}

    def search_users(self, words: str) -> list[Row]:
        """Users with this address, or with these words in the name."""
        pattern = "%" + "".join(f"\\{letter}" if letter in "%_\\" else letter for letter in words) + "%"
        with self._read() as database:
            return database.execute(
                "SELECT * FROM users WHERE email = ? OR name LIKE ? ESCAPE '\\' ORDER BY id LIMIT 100",
                (words.lower(), pattern),
            ).fetchall()

    def stats(self) -> dict[str, Any]:
        """Counts, and the external ids that stand on more than one ticket."""
        with self._read() as database:
            counts: dict[str, Any] = {
                table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
                for table in ("tickets", "comments", "users")
            }
            counts["statuses"] = dict(
                database.execute("SELECT status, count(*) FROM tickets GROUP BY status").fetchall()
            )
            twice = database.execute(
                "SELECT external_id FROM tickets WHERE external_id IS NOT NULL"
                " GROUP BY external_id HAVING count(*) > 1 ORDER BY 1"
            )
            counts["duplicates"] = [row[0] for row in twice]
            return counts

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._connection

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @staticmethod
    def _next_change(database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT coalesce(max(change), 0) + 1 FROM tickets").fetchone()[0])

    @staticmethod
    def _one(database: sqlite3.Connection, table: Table, row_id: int | None) -> Row:
        row: Row | None = database.execute(f"SELECT * FROM {table} WHERE id = ?", (row_id,)).fetchone()  # noqa: S608
        if row is None:
            raise not_found()
        return row

    @staticmethod
    def _find_user(database: sqlite3.Connection, column: str, value: str) -> Row | None:
        query = f"SELECT * FROM users WHERE {column} = ?"  # noqa: S608
        found: Row | None = database.execute(query, (value,)).fetchone()
        return found

    def _user(self, database: sqlite3.Connection, new: NewUser, role: str) -> Row:
        """The user with this address, made if there is none."""
        found = self._find_user(database, "email", new.email) if new.email else None
        if found is not None:
            return found
        name = new.name or (new.email if role == "agent" else None)
        if not name:
            why = "Requester: Name: is too short (minimum is 1 characters)"
            raise record_invalid({"requester": [{"description": why, "error": "ValueTooShort"}]})
        now = self.now()
        cursor = database.execute(
            "INSERT INTO users (name, email, external_id, role, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            (name, new.email, new.external_id, role, now, now),
        )
        return self._one(database, "users", cursor.lastrowid)

    def _requester(self, database: sqlite3.Connection, new: NewTicket, caller: str) -> int:
        if new.requester is not None:
            return int(self._user(database, new.requester, "end-user")["id"])
        if new.requester_id is None:
            return int(self._user(database, NewUser(None, caller), "agent")["id"])
        return self._existing_user(database, new.requester_id, "requester")

    @staticmethod
    def _existing_user(database: sqlite3.Connection, user_id: int, field: str) -> int:
        if database.execute("SELECT 1 FROM users WHERE id = ?", (user_id,)).fetchone() is None:
            why = f"{field.capitalize()}: is not a user"
            raise record_invalid({field: [{"description": why, "error": "InvalidValue"}]})
        return user_id

    def _add_comment(self, database: sqlite3.Connection, ticket: Row, new: NewComment, author: int) -> Row:
        if new.author_id is not None:
            author = self._existing_user(database, new.author_id, "author")
        cursor = database.execute(
            "INSERT INTO comments (ticket_id, author_id, body, public, change, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            (ticket["id"], author, new.body, new.public, ticket["change"], ticket["updated_at"]),
        )
        return self._one(database, "comments", cursor.lastrowid)
