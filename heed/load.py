"""Loading a file of texts through the public HTTP API, as many customers would send them.

Guarantees: each row is a client of its own; a request that is sent again (no answer, 429, 503) carries the same
idempotency key, so no row is taken twice within a run; every row is counted, with the first reason of each refusal.
"""

import asyncio
import csv
import hashlib
import io
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from heed.contracts.submission import Email
from heed.contracts.text import Name, OptionKey
from heed.errors import Invalid, Later
from heed.lifecycle import Backoff

TRIES = 12
TIMEOUT_SECONDS = 20.0
NO_ANSWER = 0  # counted where no status came
_AGAIN = frozenset({NO_ANSWER, 408, 429, 500, 502, 503, 504})
_TEXT_COLUMNS = ("text", "comment")
_VALUES: dict[str, TypeAdapter[Any]] = {
    "vote": TypeAdapter(OptionKey),
    "name": TypeAdapter(Name),
    "email": TypeAdapter(Email),
}


@dataclass(frozen=True)
class Rows:
    """A file's submissions as the API takes them, and what in it was not used."""

    bodies: list[dict[str, Any]]
    digest: str  # of the file's content
    notices: list[str]


@dataclass
class Outcome:
    """What became of the rows; `seconds` holds the time of each accepted row's last request."""

    statuses: Counter[int] = field(default_factory=Counter)
    reasons: dict[int, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def accepted(self) -> int:
        """Rows that the site has taken."""
        return self.statuses[202]

    def percentile(self, share: float) -> float:
        """The time (seconds) that this share of the accepted rows stayed within; 0 when there are none."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0

    def count(self, status: int, reason: str = "") -> None:
        """Count a row."""
        self.statuses[status] += 1
        if reason:
            self.reasons.setdefault(status, reason)


def read(file: Path, column: str | None = None, limit: int | None = None) -> Rows:
    """Read a CSV or TSV file with a header line; `Invalid` says what is wrong with it.

    The words are in `column` (else `text` or `comment`). The columns vote, rating, name and email are used when all
    of their values are what the API takes under that name, since other files mean other things by them.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Invalid(f"{file} is not UTF-8 text (line {line}); save it as UTF-8") from None
    header, *records = [*_records(file, text)] or [[]]
    words = column or next((name for name in _TEXT_COLUMNS if name in header), None)
    if words is None or words not in header:
        wanted = f"column {column!r}" if column else "column named text or comment"
        raise Invalid(f"{file} has no {wanted}; its columns are: {', '.join(header)}. Name one with --column.")
    rows = [dict(zip(header, record, strict=False)) for record in islice(records, limit)]
    used: list[str] = []
    notices: list[str] = []
    for name in ("vote", "rating", "name", "email"):
        if name in header and name != words:
            if _usable(name, (row.get(name, "") for row in rows)):
                used.append(name)
            else:
                notices.append(
                    f"The column {name} is not used: it holds values that the API does not take as a {name}."
                )
    return Rows([_body(row, words, used) for row in rows], hashlib.sha256(content).hexdigest()[:16], notices)


async def send(
    rows: Rows, address: str, api_key: str | None, *, rate: float | None, concurrency: int, done: Callable[[], None]
) -> Outcome:
    """Post every row to `address`, at most `rate` a second and `concurrency` at once; `done` after each.

    Raises Later when nothing is listening there to begin with.
    """
    outcome = Outcome()
    run = secrets.token_hex(4)
    begun = time.monotonic()
    numbered = iter(enumerate(rows.bodies))
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)

    async def customer(client: httpx.AsyncClient) -> None:
        for number, body in numbered:
            if rate:
                await asyncio.sleep(begun + number / rate - time.monotonic())
            await _post(client, address, body, f"load-{rows.digest}-{number}-{run}", outcome)
            done()

    # The environment's proxies are for the world outside; the site is asked where the settings say it is.
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        await _reachable(client, address)
        client.cookies.jar.set_policy(
            DefaultCookiePolicy(allowed_domains=[])
        )  # a cookie would make all rows one client
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(customer(client))
    outcome.elapsed = time.monotonic() - begun
    return outcome


async def _reachable(client: httpx.AsyncClient, address: str) -> None:
    site = httpx.URL(address).copy_with(path="/healthz")
    try:
        await client.get(site)
    except httpx.ConnectError:
        raise Later(f"nothing answers at {site.copy_with(path='/')}; is Heed running (make run)?") from None


async def _post(client: httpx.AsyncClient, address: str, body: dict[str, Any], key: str, outcome: Outcome) -> None:
    pause = Backoff(0.2, 10)
    for left in reversed(range(TRIES)):
        begun = time.monotonic()
        wait: float | None = None
        try:
            response = await client.post(address, json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            status, reason = NO_ANSWER, str(error) or type(error).__name__
        else:
            status, reason, wait = response.status_code, _reason(response), _retry_after(response)
        if status == httpx.codes.ACCEPTED:
            outcome.seconds.append(time.monotonic() - begun)
            outcome.count(status)
            return
        if left == 0 or status not in _AGAIN:
            break
        await asyncio.sleep(pause.next() if wait is None else wait)
    outcome.count(status, reason)


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return min(float(value), TIMEOUT_SECONDS * 3) if value.isdecimal() else None


def _records(file: Path, text: str) -> Iterator[list[str]]:
    kind = file.suffix.lower()
    if kind in (".tsv", ".tab") or (kind != ".csv" and "\t" in text.partition("\n")[0]):
        # A line is a row, and quotes are the customer's own.
        return (line.removesuffix("\r").split("\t") for line in text.split("\n") if line.strip())
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # of the whole process, so never lowered
    return (record for record in csv.reader(io.StringIO(text, newline="")) if record)


def _usable(name: str, values: Iterable[str]) -> bool:
    given = {value for value in values if value.strip()}
    if name == "rating":
        return given <= {"1", "2", "3", "4", "5"}
    try:
        for value in given:
            _VALUES[name].validate_python(value)
    except ValidationError:
        return False
    return True


def _body(row: dict[str, str], words: str, used: Sequence[str]) -> dict[str, Any]:
    given = {name: row[name].strip() for name in used if row.get(name, "").strip()}
    body: dict[str, Any] = {"comment": row.get(words, "")}
    if "vote" in given:
        body["vote"] = given["vote"]
    if "rating" in given:
        body["rating"] = int(given["rating"])
    contact = {name: given[name] for name in ("name", "email") if name in given}
    return {**body, "contact": contact} if contact else body
