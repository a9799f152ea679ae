"""`StreamEntry` v1: one admitted submission on its way through Redis.

On the stream an entry has two fields: `v` (the version) and `entry` (this model as JSON). A reader reads every
version that was ever written; a version that it does not know is quarantined, never guessed at. A third field, `flag`,
is what admission itself found suspicious.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from heed.contracts.context import Context
from heed.contracts.ids import SubmissionId
from heed.contracts.submission import Contact, UserId
from heed.contracts.text import Comment, OptionKey, Slug
from heed.errors import Invalid

VERSION = 1
MADE_UP: Literal["demo"] = "demo"  # the source of answers that `heed demo` makes up; admission gives it to none
_FLAG = re.compile(rb"[a-z-]{1,32}")


class Flag(StrEnum):
    """What made a submission suspicious. Readers take flags that they do not know."""

    HONEYPOT = "honeypot"  # a field was filled in that people cannot see
    FAST = "fast"  # sent sooner than a person can read and choose
    UNSEEN = "unseen"  # a form was sent that was never shown
    BURST = "burst"  # its survey got more answers in that minute than it expects


class StreamEntry(BaseModel):
    """What the worker needs to know of a submission. `client` is the opaque id behind the client's token; `user` whom
    the host site proved the customer to be; `asked` the version of the survey that they saw."""

    model_config = ConfigDict(extra="ignore")

    v: Literal[1] = 1
    id: SubmissionId
    survey: Slug
    client: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    source: Literal["form", "api", "demo"] = "api"
    vote: OptionKey | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    comment: Comment = ""
    contact: Contact | None = None
    context: Context | None = None
    user: UserId | None = None
    flags: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,32}$")], ...] = ()
    asked: Annotated[int, Field(ge=1, lt=2**31)] | None = None

    def fields(self) -> dict[str, str]:
        """The entry as the fields of a Redis stream entry."""
        return {"v": str(self.v), "entry": self.model_dump_json()}


def parse_entry(fields: Mapping[bytes, bytes]) -> StreamEntry:
    """Read a stream entry of any known version; `Invalid` says why one cannot be read."""
    version = fields.get(b"v")
    if version != b"1":
        raise Invalid(f"stream entry of unknown version {version!r}")
    try:
        entry = StreamEntry.model_validate_json(fields.get(b"entry", b""))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
        raise Invalid(f"stream entry does not fit version 1: {problems}") from None
    flag = fields.get(b"flag")
    if flag is None:
        return entry
    if not _FLAG.fullmatch(flag):
        raise Invalid("stream entry with a flag that is none")
    return entry.model_copy(update={"flags": (*entry.flags, flag.decode())})
