"""Dead letters on a topic, for pipelines whose own sink has no transactions."""

from __future__ import annotations

import itertools
from pathlib import Path

from prism_embedded import topics
from prism_embedded.database import BUSY_SECONDS, SETUP, Database
from prism_embedded.topic_sink import append_documents
from prismlib.errors import ConfigError, RetryableError, UnreachableError
from prismlib.records import Documents, WriteResult
from prismlib.stages import WritePolicy


class EmbeddedDeadLetters:
    """A Sink whose ``write`` is one transaction: durable when it returns. It takes records of any size."""

    def __init__(self, path: Path, *, topic: str, busy_seconds: float = BUSY_SECONDS) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            topic: where dead letters go.
            busy_seconds: how long to wait for the write lock.
        """
        self.policy = WritePolicy(stream=topic)
        self._path = path
        self._topic = topic
        self._database = Database(path, busy_seconds=busy_seconds)
        self._turns = itertools.count()

    def open(self) -> None:
        """Check that the topic exists."""
        self._database.open()
        try:
            with self._database.snapshot() as connection:
                found = topics.find(connection, [self._topic])
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        if not found:
            raise ConfigError(f"no dead letter topic {self._topic} in {self._path}; create it with {SETUP}")

    def write(self, documents: Documents) -> WriteResult:
        """Append them."""
        with self._database.transaction() as connection:
            append_documents(connection, self._path, documents, self._turns)
        return WriteResult()

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # write has waited already
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Let go."""
        self._database.close()
