"""Plain HTTP to Elasticsearch: a pool of kept connections, credentials, and what an answer's status means.

The official client's transport costs about three times the CPU of this on the bulk path, and its helpers sleep between
retries for longer than a Kafka consumer may go without polling.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import logging
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import urllib3

from prism_elasticsearch.config import ElasticsearchConfig
from prismlib.errors import ConfigError, FatalError, RetryableError, UnreachableError
from prismlib.http import retry_after_seconds

log = logging.getLogger(__name__)

SUPPORTED_MAJOR = 9
"""The REST interface of one major version of Elasticsearch is what this plugin was run against."""

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_LATER = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: the HTTP status; never one that :meth:`Connection.request` raises for.
        data: the body.
        url: the address that was asked, for messages.
    """

    status: int
    data: bytes
    url: str

    def json(self) -> Any:
        """The parsed body. Raises RetryableError where something between us and the server answered in its place."""
        try:
            return orjson.loads(self.data)
        except orjson.JSONDecodeError as error:
            raise RetryableError(
                f"Elasticsearch at {self.url}: the answer with status {self.status} is not JSON; is the address a proxy's?"
            ) from error


class Connection:
    """Requests to the nodes of one cluster, from any number of threads. Never retries and never sleeps."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        authorization: str | None = None,
        secrets: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        timeout: float = 30.0,
        compress: bool = False,
        pool_size: int = 4,
    ) -> None:
        """Nothing is connected yet.

        Args:
            urls: ``http(s)://host:port[/prefix]`` of each node.
            authorization: value of the header of that name.
            secrets: what must not appear in any message, besides the header's value.
            tls: how to check certificates, for https.
            timeout: seconds to wait for an answer.
            compress: gzip request bodies.
            pool_size: connections to keep open per node.
        """
        self.urls = tuple(urls)
        self._secrets = sorted(
            {s for s in (*secrets, *(authorization or "").split()) if len(s) > 3}, key=len, reverse=True
        )
        self._headers = {"accept": _JSON, "accept-encoding": "identity"}
        if authorization is not None:
            self._headers["authorization"] = authorization
        self._compress = compress
        self._turns = itertools.count()
        limits = urllib3.Timeout(connect=min(timeout, 10.0), read=timeout)
        self._nodes = []
        for url in self.urls:
            parts = urlsplit(url)
            pool: urllib3.HTTPConnectionPool
            assert parts.hostname is not None  # noqa: S101  # the configuration checked it
            if parts.scheme == "https":
                pool = urllib3.HTTPSConnectionPool(
                    parts.hostname, parts.port or 443, maxsize=pool_size, timeout=limits, ssl_context=tls
                )
            else:
                pool = urllib3.HTTPConnectionPool(parts.hostname, parts.port or 80, maxsize=pool_size, timeout=limits)
            self._nodes.append((url, parts.path.rstrip("/"), pool))

    @property
    def name(self) -> str:
        """The addresses, for messages."""
        return ", ".join(self.urls)

    def clean(self, text: str) -> str:
        """``text`` without credentials."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def request(self, method: str, path: str, body: bytes | None = None, *, lines: bool = False) -> Answer:
        """One request to the next node in turn.

        Args:
            method: the HTTP method.
            path: path and query, beginning with ``/``.
            body: the request body.
            lines: the body is newline-delimited JSON.

        Raises:
            RetryableError: no answer, or one that says 'later' (408, 429, 500, 502, 503, 504).
            FatalError: the credentials or the certificate are refused, or something else than Elasticsearch answers.
        """
        url, prefix, pool = self._nodes[next(self._turns) % len(self._nodes)]
        headers = self._headers
        if body is not None:
            headers = {**headers, "content-type": _NDJSON if lines else _JSON}
            if self._compress:
                headers["content-encoding"] = "gzip"
                body = gzip.compress(body, 1)
        try:
            response = pool.urlopen(
                method, prefix + path, body=body, headers=headers, retries=False, redirect=False, assert_same_host=False
            )
        except urllib3.exceptions.SSLError as error:
            reason = self.clean(str(error))
            if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise FatalError(
                    f"Elasticsearch at {url}: its certificate is not trusted ({reason}); set ca_certs to its authority's file"
                ) from error
            raise RetryableError(f"Elasticsearch at {url} cannot be reached over TLS: {reason}") from error
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(f"Elasticsearch at {url} does not answer: {self.clean(_why(error))}") from error
        status = response.status
        if status in _LATER:
            raise RetryableError(
                f"Elasticsearch at {url} answers {status}",
                retry_after=retry_after_seconds(response.headers.get("retry-after")),
            )
        if status in {401, 403}:
            raise FatalError(self._refused(url, status))
        if 300 <= status < 400:
            raise FatalError(f"Elasticsearch at {url} redirects (status {status}); set url to where it really is")
        return Answer(status, response.data, url)

    def json(self, method: str, path: str, body: object = None) -> Any:
        """Send and receive JSON; None for a 404. Raises as :meth:`request`, and FatalError for any other refusal."""
        answer = self.request(method, path, None if body is None else orjson.dumps(body))
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise FatalError(f"Elasticsearch at {answer.url} refuses {method} {path}: {self.reason(answer)}")
        return answer.json()

    def reason(self, answer: Answer) -> str:
        """The server's reason for refusing a whole request, for people."""
        try:
            error = orjson.loads(answer.data)["error"]
            text = f"{error['type']}: {error['reason']}" if isinstance(error, dict) else str(error)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            text = "no reason given"
        return self.clean(f"status {answer.status}, {text[:300]}")

    def close(self) -> None:
        """Close what is idle; may be called twice."""
        for _, _, pool in self._nodes:
            pool.close()

    def _refused(self, url: str, status: int) -> str:
        given = self._headers.get("authorization", "").partition(" ")[0]
        setting = {"ApiKey": "api_key", "Basic": "username and password"}.get(given)
        if setting is None:
            return (
                f"Elasticsearch at {url} asks for credentials (status {status}); set api_key, or username and password"
            )
        if status == 401:
            return f"Elasticsearch at {url} does not accept the credentials (status 401); check {setting}"
        return f"Elasticsearch at {url} denies access (status 403); the rights of {setting} do not cover this"


def connect(config: ElasticsearchConfig, base: Path, *, pool_size: int = 2) -> Connection:
    """A connection as configured.

    Args:
        config: the sink's table.
        base: folder that ``ca_certs`` is relative to.
        pool_size: connections to keep open per node.

    Raises:
        ConfigError: ``ca_certs`` cannot be read.
    """
    authorization = None
    secrets: list[str] = []
    if config.api_key is not None:
        secrets = [config.api_key.reveal()]
        authorization = f"ApiKey {config.api_key.reveal()}"
    elif config.username is not None and config.password is not None:
        secrets = [config.password.reveal()]
        pair = f"{config.username.reveal()}:{config.password.reveal()}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    if authorization is not None and not (authorization.isascii() and authorization.isprintable()):
        raise ConfigError(
            "api_key holds characters that no key has; copy the value `encoded` that Elasticsearch showed"
        )
    tls = None
    if any(url.startswith("https://") for url in config.urls):
        tls = _tls(base / config.ca_certs if config.ca_certs else None, verify=config.verify)
    return Connection(
        config.urls,
        authorization=authorization,
        secrets=secrets,
        tls=tls,
        timeout=config.request_timeout,
        compress=config.gzip,
        pool_size=pool_size,
    )


@contextlib.contextmanager
def for_commands() -> Iterator[None]:
    """What a command says: UnreachableError for RetryableError, ConfigError for FatalError."""
    try:
        yield
    except RetryableError as error:
        raise UnreachableError(str(error)) from error
    except FatalError as error:
        raise ConfigError(str(error)) from error


def check_version(connection: Connection) -> str:
    """The server's version.

    Raises:
        ConfigError: it is not Elasticsearch, or another major version than this plugin knows.
        RetryableError: it does not answer.
        FatalError: it refuses.
    """
    answer = connection.json("GET", "/")
    version = answer.get("version") if isinstance(answer, dict) else None
    if not isinstance(version, dict) or not isinstance(number := version.get("number"), str):
        raise ConfigError(f"{connection.name} is not Elasticsearch: it does not tell its version; check url")
    if "distribution" in version:
        raise ConfigError(f"{connection.name} is {version['distribution']} {number} and not Elasticsearch; check url")
    if number.partition(".")[0] != str(SUPPORTED_MAJOR):
        raise ConfigError(
            f"Elasticsearch at {connection.name} has version {number}, and this plugin supports {SUPPORTED_MAJOR}.x only; "
            f"install the prism-pipeline that supports {number.partition('.')[0]}.x, or use another cluster"
        )
    return number


def _tls(ca_certs: Path | None, *, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_certs is not None:
        try:
            context = ssl.create_default_context(cafile=ca_certs)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca_certs: {ca_certs} cannot be read as certificates: {error}") from error
    if not verify:
        # The user's own decision: said once here, and by `prism check`, instead of with every new connection.
        log.warning(
            "certificates of Elasticsearch are not verified: anybody on the way can read and change what is sent"
        )
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """Short and without the address, which the caller names."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    # A refused connection counts as a timeout in urllib3.
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
        error, urllib3.exceptions.NewConnectionError
    ):
        return "no answer in time"
    return "the connection was closed" if isinstance(error, urllib3.exceptions.ProtocolError) else type(error).__name__
