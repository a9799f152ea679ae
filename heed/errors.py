"""Errors named by what has to happen next. Anything else is unexpected: the work is delivered again."""


class HeedError(Exception):
    """The root of Heed's own errors."""


class Invalid(HeedError):
    """It can never be processed as it is: quarantine it with this reason."""


class Later(HeedError):
    """It cannot be processed now: try again, after `retry_after` seconds if the other side named them."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(HeedError):
    """The other side understood and said no, for good: record the failure and show it."""


class Paused(HeedError):
    """Nothing of this kind can work until a person acts (wrong credentials): stop trying, say so."""


def word_for(error: Exception) -> str:
    """One word for logs and metrics: what has to happen next, or `unexpected`."""
    return next(
        (kind.__name__.lower() for kind in (Invalid, Later, Refused, Paused) if isinstance(error, kind)), "unexpected"
    )
