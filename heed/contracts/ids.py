"""Ids of submissions: UUIDv7 (RFC 9562), so that they sort by the time of arrival and can be made anywhere."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then random bits."""
    return uuid7()


def received_at(submission_id: UUID) -> datetime:
    """The time (UTC, to the millisecond) that a UUIDv7 was made."""
    return datetime.fromtimestamp((submission_id.int >> 80) / 1000, UTC)


def first_id(at: datetime) -> UUID:
    """The smallest id of that millisecond, so that a range of times is a range of ids; a time without a zone is UTC."""
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def _is_v7(value: UUID) -> UUID:
    if value.version != 7:
        raise ValueError("the id is not a UUIDv7")
    return value


SubmissionId = Annotated[UUID, AfterValidator(_is_v7)]
