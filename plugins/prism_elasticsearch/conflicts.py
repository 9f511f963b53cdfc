"""Stale, or deleted by somebody else? Both answer 409.

An unversioned delete, such as a person makes, raises the version by one, and for ``index.gc_deletes`` (60 s by default)
Elasticsearch then calls the very same document stale: to count it as delivered would hide a hole. What tells them apart:

- An id made of the record's origin belongs to one record, so nothing of ours can have a higher version of it.
- A business key has higher versions for good reasons. Only when the index has exactly the next version, and the document is
  not there, a delete by hand and a tombstone as the key's next record look the same. Tombstones that this sink has sent it
  remembers. Otherwise the document waits: either its tombstone is sent meanwhile, or Elasticsearch forgets the foreign
  delete and takes the document again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from prism_elasticsearch.connection import Connection
from prismlib.errors import UnwritableError
from prismlib.records import Documents, Retry
from prismlib.runtime.identity import EPOCH_SHIFT, origin_ids

REMEMBERED = 100_000
"""Tombstones to remember, the latest of all threads: far more than are ever between a document and its next try."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A document that was refused because the index has, or had, a higher version.

    Attributes:
        position: of the document.
        index: where it was to be written.
        current: the version in the index.
    """

    position: int
    index: str
    current: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The conflicts that are not simply stale documents, by position."""

    rejected: dict[int, UnwritableError]
    retry: dict[int, Retry]


class ConflictJudge:
    """Remembers the tombstones of one sink and judges its conflicts; for any number of threads."""

    def __init__(self, connection: Connection) -> None:
        """The connection is the sink's."""
        self._connection = connection
        self._lock = threading.Lock()
        self._deleted: dict[str, int] = {}

    def remember_deletes(self, documents: Documents) -> None:
        """Note the tombstones of a write; call it before they are sent."""
        if None not in documents.bodies:
            return
        with self._lock:
            for position, body in enumerate(documents.bodies):
                if body is None:
                    self._deleted.pop(documents.ids[position], None)  # so that the newest are last
                    self._deleted[documents.ids[position]] = documents.versions[position]
            while len(self._deleted) > REMEMBERED:
                del self._deleted[next(iter(self._deleted))]

    def judge(self, documents: Documents, conflicts: Sequence[Conflict]) -> Verdicts:
        """Decide about the conflicts of one write; asks Elasticsearch only about those in doubt.

        Raises:
            RetryableError: it does not answer.
            FatalError: it refuses.
        """
        verdicts = Verdicts({}, {})
        doubtful = [conflict for conflict in conflicts if self._is_doubtful(documents, conflict)]
        if not doubtful:
            return verdicts
        asked = {"docs": [{"_index": c.index, "_id": documents.ids[c.position]} for c in doubtful]}
        found = self._connection.json("POST", "/_mget?_source=false", asked) or {"docs": []}
        for conflict, document in zip(doubtful, found["docs"], strict=True):
            position = conflict.position
            if "error" in document:
                verdicts.retry[position] = Retry(f"409, and asking for the document: {document['error'].get('type')}")
            elif document["found"]:
                continue
            elif _has_origin_id(documents, position):
                verdicts.rejected[position] = UnwritableError(
                    "the document was written once and then deleted by somebody else; if it should be there, retry it later "
                    "than the index setting gc_deletes after that delete",
                    code="deleted-elsewhere",
                )
            else:
                verdicts.retry[position] = Retry(
                    "409, and the document is deleted: by its next record, or by somebody else"
                )
        return verdicts

    def _is_doubtful(self, documents: Documents, conflict: Conflict) -> bool:
        position = conflict.position
        if _has_origin_id(documents, position):
            return True
        if conflict.current != documents.versions[position] + 1:
            return False
        with self._lock:
            return self._deleted.get(documents.ids[position]) != conflict.current


def _has_origin_id(documents: Documents, position: int) -> bool:
    epoch = documents.versions[position] >> EPOCH_SHIFT
    ids = origin_ids(documents.sources[position], epoch, [documents.offsets[position]])
    return documents.ids[position] == ids[0]
