"""Ids and versions of documents.

The version is ``epoch << 44 | next offset``: it grows with the log, and a re-created topic, whose offsets begin at 0
again, gets the next epoch, or its records would be swallowed as stale. The default id names the record itself; with
``key_fixes_partition`` the id is the business key, because only then do versions of one id come from one partition.
"""

from __future__ import annotations

from collections.abc import Sequence

from prismlib.errors import UnwritableError
from prismlib.records import Partition

MAX_ID_BYTES = 512
"""A longer id makes Elasticsearch refuse the whole request; other stores keep to it, so that a pipeline can move."""

EPOCH_SHIFT = 44
"""2**44 offsets a partition, 2**19 epochs: the sum stays inside the positive 63 bits of an external version."""


def versions(epoch: int, offsets: Sequence[int]) -> list[int]:
    """One version per offset."""
    base = (epoch << EPOCH_SHIFT) + 1
    return [base + offset for offset in offsets]


def origin_ids(partition: Partition, epoch: int, offsets: Sequence[int]) -> list[str]:
    """``topic~epoch-partition-offset``, unique for all time; ``~`` stands in no topic name."""
    prefix = f"{partition.stream}~{epoch}-{partition.index}-"
    return [f"{prefix}{offset}" for offset in offsets]


def key_ids(keys: Sequence[bytes | None], fallback: Sequence[str]) -> list[str]:
    """The key as id, or the origin id where the key is missing, empty or not UTF-8.

    An id never comes from a missing key: all such records would overwrite one document.
    """
    ids = []
    for key, origin in zip(keys, fallback, strict=True):
        try:
            ids.append(key.decode() if key else origin)
        except UnicodeDecodeError:
            ids.append(origin)
    return ids


def unfit_id(id_: str) -> UnwritableError | None:
    """Why a document cannot be stored under this id, or None when it can."""
    try:
        size = len(id_.encode())
    except UnicodeEncodeError:
        why = "no valid Unicode"
    else:
        if 0 < size <= MAX_ID_BYTES:
            return None
        why = f"{size} bytes long, and {MAX_ID_BYTES} are allowed" if size else "empty"
    return UnwritableError(f"the document's id is {why}", code="invalid-id")
