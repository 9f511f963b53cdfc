"""Errors as all parts answer them, and as Confluent's clients know them: an HTTP status, and a code that says more."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818  # an answer, not a failure of ours
    """What is answered instead of a result.

    Attributes:
        code: three digits are a status; five begin with one.
        message: one sentence.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.code if self.code < 1000 else self.code // 100
