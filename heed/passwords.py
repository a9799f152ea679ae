"""Passwords of people: made, hashed with argon2id, checked.

Guarantees: a check takes the same time whether or not there is a hash to check against; however many log in at once,
no more than two hashes are computed at a time, so guessing takes neither the memory nor all the processor.
"""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from heed.errors import Later

WAIT_SECONDS = 2.0
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = _HASHER.hash(secrets.token_bytes(16))
_TURNS = threading.BoundedSemaphore(2)


def make() -> str:
    """A new password that nobody can guess, short enough to be typed."""
    return secrets.token_urlsafe(12)


def hash_of(password: str) -> str:
    """What to keep of a password."""
    return _HASHER.hash(_bytes(password))


def matches(kept: str | None, password: str) -> bool:
    """Whether this is the password whose hash was kept; never when none was. `Later` when too many ask at once."""
    if not _TURNS.acquire(timeout=WAIT_SECONDS):
        raise Later("Too many log in at once.")
    try:
        same = _HASHER.verify(kept or _NOBODYS, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _TURNS.release()
    return same and kept is not None


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
