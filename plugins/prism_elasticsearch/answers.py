"""The answer to a bulk request: what became of each document.

| item | outcome |
| --- | --- |
| 2xx; 404 of a delete | delivered |
| 409 of a delete, and the index has a higher version | delivered: the delete is stale |
| 409 of a document, and the index has a higher version | :mod:`prism_elasticsearch.conflicts` decides; mostly stale |
| 409 of any other kind, 408, 429, 5xx | retry |
| index closed or blocked | retry: an operator's doing, and not the document's fault |
| alias or write index missing, access denied | FatalError: no document can be written |
| any other 4xx | rejected, with Elasticsearch's reason but without the record's values |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prism_elasticsearch.conflicts import Conflict
from prismlib.errors import FatalError, RetryableError, UnwritableError
from prismlib.records import Documents, Retry

ALL_DELIVERED = b'{"errors":false'
"""How the answer begins when no document has an error; then nothing of it is parsed."""

_BLOCKED = frozenset({"cluster_block_exception", "index_closed_exception"})
_DENIED = frozenset({"security_exception"})
_VERSIONS = re.compile(r"current version \[(\d+)\] is higher than the one provided \[(\d+)\]")
_FIELD = re.compile(r"\bfield \[([^\]]{1,200})\]", re.IGNORECASE)
_VALUES = re.compile(
    r"( in document with id |\. Preview of field's value|\s*\bat \[Source:|\(for root starting at|For input string:).*",
    re.DOTALL,
)


@dataclass(slots=True)
class Outcome:
    """What is known so far about the documents of one write, by position; those named nowhere are delivered."""

    rejected: dict[int, UnwritableError] = field(default_factory=dict)
    retry: dict[int, Retry] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)


def read_items(
    answer: Any,
    positions: Sequence[int],
    documents: Documents,
    outcome: Outcome,
    *,
    alias: str,
    server: str,
    clean: Callable[[str], str],
) -> None:
    """Add an answer with errors to ``outcome``.

    Args:
        answer: the parsed answer.
        positions: of the documents that were sent, in order.
        documents: what they are positions of.
        outcome: receives what became of them.
        alias: where they were sent, for messages.
        server: its address, for messages.
        clean: removes credentials from a text of the server.

    Raises:
        RetryableError: the answer does not belong to what was sent.
        FatalError: nothing can be written to the alias.
    """
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(positions):
        raise RetryableError(
            f"Elasticsearch at {server}: the answer does not have one item for each of {len(positions)} documents"
        )
    for position, item in zip(positions, items, strict=True):
        ((operation, result),) = item.items()
        status = result["status"]
        error = result.get("error")
        if error is None:
            if status >= 300 and not (status == 404 and operation == "delete"):
                outcome.retry[position] = Retry(str(status))
            continue
        kind, reason = str(error.get("type")), str(error.get("reason"))
        if status == 409:
            conflict = versions_in_conflict(reason)
            if conflict is None:
                outcome.retry[position] = Retry(f"409 {kind}")
            elif documents.bodies[position] is not None:
                outcome.conflicts.append(Conflict(position, str(error.get("index")), conflict[0]))
        elif status in {408, 429} or status >= 500 or kind in _BLOCKED:
            outcome.retry[position] = Retry(f"{status} {kind}")
        elif kind == "index_not_found_exception":
            raise FatalError(
                f"the alias {alias!r} does not exist on {server} any more; create it with `prism setup PIPELINE.toml --yes`"
            )
        elif "no write index is defined" in reason:
            raise FatalError(
                f"the alias {alias!r} on {server} has no write index; set is_write_index for exactly one of its indices"
            )
        elif kind in _DENIED or status in {401, 403}:
            raise FatalError(
                f"Elasticsearch at {server} denies writing to {alias!r} (status {status} {kind}); the credentials need the "
                f"index privilege `write` on it"
            )
        else:
            outcome.rejected[position] = refusal(status, kind, clean(reason))


def versions_in_conflict(reason: str) -> tuple[int, int] | None:
    """Current and provided version of a conflict that the higher version won, or None for a conflict of another kind."""
    match = _VERSIONS.search(reason)
    return (int(match[1]), int(match[2])) if match else None


def refusal(status: int, kind: str, reason: str) -> UnwritableError:
    """Elasticsearch's reason without the values of the record, which it likes to quote."""
    at = _FIELD.search(reason)
    said = _VALUES.sub("", reason).strip()[:300]
    return UnwritableError(
        f"Elasticsearch refuses the document: {status} {kind}: {said}", code=kind, field=at[1] if at else None
    )
