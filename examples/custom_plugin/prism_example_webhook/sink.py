"""The sink ``webhook``: documents as JSON to an HTTP endpoint, which answers for each of them.

    POST URL    {"documents": [{"id": "o1", "version": 7, "body": {...}}, {"id": "o2", "version": 9, "body": null}]}
    200         {"results": [{"status": 200}, {"status": 422, "reason": "no such customer"}]}

The endpoint keeps the document with the highest version of each id, and deletes one whose body is null. So every request
may be sent again.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson
import urllib3

from prismlib import (
    ConfigError,
    Documents,
    FatalError,
    RecordError,
    Retry,
    RetryableError,
    Secret,
    UnreachableError,
    UnwritableError,
    WritePolicy,
    WriteResult,
)

MAX_ANSWER = 8 << 20
"""Bytes of an answer that are read."""
MAX_WAIT = 300.0
"""Seconds that an endpoint can make a pipeline wait, whatever it asks for."""

_LATER = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = frozenset({400, 413, 422})


class WebhookSink:
    """See :class:`prismlib.Sink`. It never retries and never sleeps: the runner does."""

    def __init__(
        self, url: Secret, *, token: Secret | None = None, timeout: float = 10.0, max_documents: int = 500
    ) -> None:
        """Nothing is connected yet; ``timeout`` is in seconds, for one answer."""
        parts = urlsplit(url.reveal())
        self._name = f"{parts.scheme}://{parts.netloc}"  # for errors: path and query may hold a secret
        self.policy = WritePolicy(stream=self._name, max_documents=max_documents, versioned=True)
        self._url = url
        self._secrets = [url.reveal(), url.reveal().removeprefix(self._name), *([token.reveal()] if token else [])]
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token.reveal()}"
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=min(timeout, 5.0), read=timeout))

    def open(self) -> None:
        """Post nothing, which shows whether the address, the token and the form of answers are right."""
        try:
            self._post([])
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        except (_Refused, FatalError) as error:
            raise ConfigError(f"{error}; check url and token") from error

    def write(self, documents: Documents) -> WriteResult:
        """Post all documents; those that are no JSON are rejected without asking."""
        rejected: dict[int, RecordError] = {}
        retry: dict[int, Retry] = {}
        positions: list[int] = []
        lines: list[dict[str, Any]] = []
        for position, body in enumerate(documents.bodies):
            if not _is_json(body):
                rejected[position] = UnwritableError("the document is no JSON", code="not-json")
                continue
            positions.append(position)
            # A fragment goes out byte for byte.
            parsed = None if body is None else orjson.Fragment(body)
            lines.append({"id": documents.ids[position], "version": documents.versions[position], "body": parsed})
        if lines:
            self._send(lines, positions, rejected, retry)
        return WriteResult(rejected, retry)

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # write waits for the answer: nothing is buffered
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Close connections."""
        self._http.clear()

    def _send(
        self,
        lines: Sequence[dict[str, Any]],
        positions: Sequence[int],
        rejected: dict[int, RecordError],
        retry: dict[int, Retry],
    ) -> None:
        """Post documents; halve a request that is refused whole, down to the document at fault."""
        try:
            results = self._post(lines)
        except _Refused as error:
            if len(lines) == 1:
                rejected[positions[0]] = UnwritableError(str(error), code=str(error.status))
                return
            middle = len(lines) // 2
            self._send(lines[:middle], positions[:middle], rejected, retry)
            self._send(lines[middle:], positions[middle:], rejected, retry)
            return
        for position, result in zip(positions, results, strict=True):
            status, reason = result["status"], self._clean(str(result.get("reason", "no reason given")))
            if status in _LATER:
                after = result.get("retry_after")
                retry[position] = Retry(f"{status} {reason}", _wait(after) if isinstance(after, int | float) else None)
            elif status >= 400:
                rejected[position] = UnwritableError(f"status {status}: {reason}", code=str(status))

    def _post(self, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The endpoint's result for each document.

        Raises:
            RetryableError: no answer, or one that says 'later'.
            FatalError: an answer that no other document would change.
            _Refused: the whole request is refused for what is in it.
        """
        payload = orjson.dumps({"documents": lines})
        try:
            response = self._http.request(
                "POST",
                self._url.reveal(),
                body=payload,
                headers=self._headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = response.read(MAX_ANSWER + 1, decode_content=False)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise RetryableError(f"the webhook at {self._name} does not answer: {type(error).__name__}") from error
        status = response.status
        if status in _LATER:
            after = _seconds(response.headers.get("retry-after"))
            raise RetryableError(f"the webhook at {self._name} answers {status}", retry_after=after)
        if status in _REFUSED:
            raise _Refused(f"the webhook at {self._name} refuses the request with status {status}", status)
        if status != 200:
            raise FatalError(f"the webhook at {self._name} answers {status}")
        return self._results(answer, len(lines))

    def _results(self, answer: bytes, expected: int) -> list[dict[str, Any]]:
        try:
            results = orjson.loads(answer)["results"] if len(answer) <= MAX_ANSWER else None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            results = None
        if (
            not isinstance(results, list)
            or len(results) != expected
            or not all(isinstance(one, dict) and type(one.get("status")) is int for one in results)
        ):
            raise FatalError(f"the webhook at {self._name} does not answer with one result for each document")
        return results

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text[:300]


class _Refused(Exception):  # noqa: N818  # it never leaves this module
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _is_json(body: bytes | None) -> bool:
    if body is None:
        return True
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds a number or a date."""
    if header is None:
        return None
    if header.isdecimal():
        return _wait(float(header))
    try:
        return _wait(email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _wait(seconds: float) -> float:
    return min(MAX_WAIT, max(0.0, seconds))
