"""HTTP to a registry: several addresses, retries, one limit on the time of a question, and one on the size of an answer."""

from __future__ import annotations

import functools
import http.client
import io
import itertools
import logging
import random
import socket
import ssl
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import urllib3
import urllib3.connection

from prism_confluent_registry.access import Address, Credentials
from prismlib.errors import RegistryUnavailableError
from prismlib.http import retry_after_seconds

log = logging.getLogger(__name__)

MAX_ANSWER: Final = 8 << 20
"""Bytes; a schema has at most one megabyte in Kafka's default configuration, and 100,000 subjects fit."""

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
_BACKOFF: Final = 0.1  # seconds before the second round, doubled from round to round


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered.

    Attributes:
        status: the HTTP status; never one that :meth:`Connection.ask` raises or asks again for.
        body: the parsed JSON; None where it is none.
        url: the address that answered.
    """

    status: int
    body: Any
    url: str


@dataclass(frozen=True, slots=True)
class _NotNow:
    """Why one attempt was in vain, and how many seconds the server asked to wait."""

    problem: str
    retry_after: float = 0.0


class Connection:
    """Questions to one registry, which may have several addresses. May be used by several threads."""

    def __init__(
        self,
        addresses: Sequence[Address],
        credentials: Credentials | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Nothing is connected yet.

        Args:
            addresses: one or more, tried in this order until one answers; that one is asked first the next time.
            credentials: sent to all of them.
            tls: for those that are encrypted.
            timeout: seconds that one question may take, with all attempts at all addresses. Looking a host name up is
                up to the system, and not counted while it lasts.
        """
        self.name = ", ".join(address.url for address in addresses)
        self._timeout = timeout
        self._credentials = credentials
        # What is that short is no secret, and would be found everywhere.
        self._secrets = [one for one in (credentials.secrets if credentials else ()) if len(one) > 3]
        self._headers = {"accept": f"{_MEDIA_TYPE}, application/json", "accept-encoding": "identity"}
        if credentials is not None:
            self._headers["authorization"] = credentials.header
        self._nodes = [(address, _pool(address, tls)) for address in addresses]
        self._answering = 0

    def until(self) -> float:
        """The end of a question that begins now, for ``time.monotonic()``."""
        return time.monotonic() + self._timeout

    def ask(
        self, method: str, path: str, body: object = None, *, until: float | None = None, later: Collection[int] = ()
    ) -> Answer:
        """Ask until there is an answer.

        Args:
            method: the HTTP method; asking twice must do no harm.
            path: begins with a slash, with everything quoted.
            body: sent as JSON, unless it is None.
            until: when to give up; by default when a question that begins now must be over.
            later: statuses that mean 'not yet' here, besides 408, 429, 500, 502, 503 and 504.

        Raises:
            RegistryUnavailableError: no address answers in time, or one refuses the credentials, redirects, or is
                no registry.
        """
        until = self.until() if until is None else until
        data = None if body is None else orjson.dumps(body)
        first = self._answering
        problems: dict[str, str] = {}
        wait = 0.0
        for attempt in itertools.count():
            index = (first + attempt) % len(self._nodes)
            address, pool = self._nodes[index]
            left = until - time.monotonic()
            if left <= 0:
                break
            # A share of the time for each address that was not asked yet: one that swallows everything must not hide the others.
            share = left / max(1, len(self._nodes) - attempt)
            answer = self._once(address, pool, method, path, data, share, later)
            if isinstance(answer, Answer):
                self._answering = index
                return answer
            problems[address.url] = answer.problem
            wait = max(wait, answer.retry_after)
            if (attempt + 1) % len(self._nodes) == 0:
                backoff = _BACKOFF * 2 ** (attempt // len(self._nodes)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
                wait = max(wait, backoff)
                if time.monotonic() + wait >= until:
                    break
                log.debug("schema registry asked again", extra={"path": path, "problem": answer.problem, "wait": wait})
                time.sleep(wait)
                wait = 0.0
        told = "; ".join(f"{url} {problem}" for url, problem in problems.items()) or "there was no time left"
        raise RegistryUnavailableError(
            f"the schema registry gave no answer within {self._timeout:g} s: {told}; check url, and that the registry runs"
        )

    def clean(self, text: str) -> str:
        """What a server said, fit for a message: one line, short, without credentials."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = "".join(c if c.isprintable() else " " for c in text)
        return " ".join(text.split())[:300]

    def _once(
        self,
        address: Address,
        pool: urllib3.HTTPConnectionPool,
        method: str,
        path: str,
        body: bytes | None,
        seconds: float,
        later: Collection[int],
    ) -> Answer | _NotNow:
        headers = self._headers if body is None else {**self._headers, "content-type": _MEDIA_TYPE}
        try:
            response = pool.urlopen(
                method,
                address.path + path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(total=seconds),
                preload_content=False,
            )
            try:
                data = _read(response)
            finally:
                response.close()
        except urllib3.exceptions.SSLError as error:
            return self._tls_failed(address, error)
        except urllib3.exceptions.HTTPError as error:
            return _NotNow(self.clean(_why(error)))
        status = response.status
        if status in _LATER or status in later:
            return _NotNow(f"answers {status}", retry_after_seconds(response.headers.get("retry-after")) or 0.0)
        if status in {401, 403}:
            raise RegistryUnavailableError(self._refused(address, status))
        if 300 <= status < 400:
            raise RegistryUnavailableError(
                f"the schema registry at {address.url} redirects (status {status}), which is not followed; "
                "set url to where it really is"
            )
        if data is None:
            raise RegistryUnavailableError(
                f"the schema registry at {address.url} answers {method} {path} with more than {MAX_ANSWER >> 20} MiB"
            )
        if not data and status == 200:
            return _NotNow("answers nothing")
        try:
            return Answer(status, orjson.loads(data), address.url)
        except orjson.JSONDecodeError as error:
            if status >= 400:
                return Answer(status, None, address.url)
            raise RegistryUnavailableError(
                f"{address.url} answers {method} {path} with something that is not JSON; is it a proxy and not the registry?"
            ) from error

    def _tls_failed(self, address: Address, error: urllib3.exceptions.SSLError) -> _NotNow:
        reason = self.clean(str(error))
        if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise RegistryUnavailableError(
                f"the certificate of the schema registry at {address.url} is not trusted ({reason}); "
                "set ca to the file of its authority"
            ) from error
        return _NotNow(f"cannot be reached over TLS ({reason}); it may ask for a certificate of ours")

    def _refused(self, address: Address, status: int) -> str:
        where = f"the schema registry at {address.url}"
        if self._credentials is None:
            return f"{where} asks for credentials (status {status}); set token, or user and password, in [registry]"
        if status == 401:
            return f"{where} does not accept the credentials (status 401); check {self._credentials.name} in [registry]"
        return f"{where} denies access (status 403); the rights of {self._credentials.name} do not cover this"


class _Timed(io.RawIOBase):
    """Reads from a socket until a moment, however the bytes trickle in; a socket's own timeout begins anew with each."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self._raw = raw
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, until: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, until))


class _HTTPConnection(urllib3.connection.HTTPConnection):
    """Its read timeout limits the whole answer."""

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as in the class above it
        limited = functools.partial(_TimedResponse, until=time.monotonic() + (self.timeout or 0.0))
        self.response_class = limited  # type: ignore[assignment]  # called like the class that it makes
        return super().getresponse()


class _HTTPSConnection(_HTTPConnection, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _pool(address: Address, tls: ssl.SSLContext | None) -> urllib3.HTTPConnectionPool:
    if address.encrypted:
        return _HTTPSPool(address.host, address.port, maxsize=4, ssl_context=tls)
    return _HTTPPool(address.host, address.port, maxsize=4)


def _read(response: urllib3.BaseHTTPResponse) -> bytes | None:
    """The whole body, never unpacked; None where it is too large."""
    data = bytearray()
    while chunk := response.read(1 << 16, decode_content=False):
        data += chunk
        if len(data) > MAX_ANSWER:
            return None
    return bytes(data)


def _why(error: urllib3.exceptions.HTTPError) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return f"cannot be reached: {cause.strerror}"
    # A refused connection counts as a timeout in urllib3.
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    ):
        return "does not answer in time"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "closed the connection, or did not answer in HTTP"
    return f"cannot be asked: {type(error).__name__}"
