"""Who is worker 1 of a pipeline now: whoever opened its sink last. A document PIPELINE/worker/NAME in the ledger's index.

Nothing on the server ties a write to it, and nothing has to: ids and versions make late writes harmless. It ends a worker
that would live on beside its successor.
"""

from __future__ import annotations

import uuid
from urllib.parse import quote

import orjson

from prism_elasticsearch.connection import Connection
from prismlib.errors import ConfigError, FatalError, FencedError


class Claim:
    """One process's claim to a worker's name."""

    def __init__(self, connection: Connection, index: str, pipeline: str, worker: str) -> None:
        """Nothing is written yet.

        Args:
            connection: the sink's.
            index: the ledger's.
            pipeline: name of the pipeline.
            worker: the name that is claimed.
        """
        self._connection = connection
        self._index = index
        self._who = f"worker {worker!r} of pipeline {pipeline}"
        self._path = f"/{index}/_doc/{quote(f'{pipeline}/worker/{worker}', safe='')}"
        self._claim = uuid.uuid4().hex
        self._document = {"pipeline": pipeline, "worker": worker, "claim": self._claim}

    def make(self) -> None:
        """Become the worker: whoever was it before is fenced.

        Raises:
            ConfigError: the index is from before there were claims.
            RetryableError: not stored now.
            FatalError: the ledger cannot be written.
        """
        answer = self._connection.request("PUT", self._path, orjson.dumps(self._document))
        if answer.status == 400:
            raise ConfigError(
                f"the ledger index {self._index!r} is from an earlier version, or was not made by Prism "
                f"({self._connection.reason(answer)}); run `prism setup PIPELINE.toml --yes`"
            )
        if answer.status not in {200, 201}:
            raise FatalError(f"the ledger {self._index} cannot be written: {self._connection.reason(answer)}")

    def require(self) -> None:
        """Ask whose the name is, in real time.

        Raises:
            FencedError: a later process has become the worker.
            RetryableError: no answer.
            FatalError: the ledger or the claim is gone.
        """
        answer = self._connection.request("GET", f"{self._path}?_source_includes=claim")
        if answer.status == 200:
            if answer.json()["_source"]["claim"] != self._claim:
                raise FencedError(
                    f"another process has become {self._who}; this one writes nothing more. Give each worker a name of its "
                    f"own with --worker"
                )
            return
        if answer.status == 404 and "error" in answer.json():
            raise FatalError(
                f"the ledger index {self._index!r} does not exist on {self._connection.name}; create it with "
                f"`prism setup PIPELINE.toml --yes`"
            )
        raise FatalError(
            f"the ledger {self._index} does not say any more who is {self._who} ({self._connection.reason(answer)}): something "
            f"was deleted there; start the worker again"
        )
