"""Who may do what: a token to read, a token to write."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from prismlib.errors import ConfigError
from prismlib.http import is_loopback
from prismlib.serve.problems import Problem

UNAUTHORIZED: Final = 40101
FORBIDDEN: Final = 40301


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens; without any, everybody who reaches the server may do everything.

    Attributes:
        read: lets its bearer read.
        write: lets its bearer read and write.
    """

    read: str | None = field(default=None, repr=False)
    write: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        for name, token in (("read_token", self.read), ("write_token", self.write)):
            if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
                raise ConfigError(
                    f"[serve] {name}: is empty or holds characters that no header can carry; make one of letters and digits"
                )
        if self.read is not None and self.read == self.write:
            raise ConfigError("[serve] read_token and write_token are the same; whoever may read could write")

    @property
    def open(self) -> bool:
        """Whether nobody is asked for a token."""
        return self.read is None and self.write is None

    def may_write(self, authorization: str | None) -> bool | None:
        """What the bearer of a header may do.

        Args:
            authorization: the header ``Authorization``: ``Bearer TOKEN``, or ``Basic`` with the token as password.

        Returns:
            True for reading and writing, False for reading alone, None for nothing.
        """
        if self.open:
            return True
        token = _token(authorization or "")
        # Both are compared, whatever comes of the first, so that the time tells nothing.
        write, read = _same(token, self.write), _same(token, self.read)
        return True if write else False if read else None


def check_host(host: str, access: Access) -> None:
    """Refuse to serve a network without tokens. Raises ConfigError."""
    if access.open and not is_loopback(host):
        raise ConfigError(
            f"[serve] host: {host} is reached from other machines, and no token is set; "
            'set read_token = { env = "NAME" } and write_token likewise, or leave host out'
        )


async def writes(request: Request) -> None:
    """Dependency of all routes that change something. Raises Problem."""
    if not request.state.may_write:
        raise Problem(FORBIDDEN, "This token may read only; changes need the write token of the server.")


def _token(authorization: str) -> bytes:
    """The token of a header; b"" where there is none."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode("latin-1", "replace")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _same(given: bytes, token: str | None) -> bool:
    return token is not None and hmac.compare_digest(given, token.encode())
