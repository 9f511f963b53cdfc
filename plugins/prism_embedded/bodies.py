"""Bodies of documents to what is stored, and what cannot be.

There is no server behind this store that would refuse a document, so each is parsed here: that costs one or two
microseconds, and no reader ever meets one that it cannot read. ``_origin`` is spliced in behind the opening brace, as the
Elasticsearch sink does it; everything behind it stays as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import orjson

from prismlib.errors import UnwritableError
from prismlib.records import Documents, Partition
from prismlib.runtime.identity import MAX_ID_BYTES, unfit_id

_SPACE: Final = b" \t\r\n"
# SQLite's JSON functions refuse what is nested deeper than 1,000 levels, and a whole query with it; orjson stops at 1,024.
_DEPTH: Final = 900
_BELOW: Final = 1024 - _DEPTH


@dataclass(frozen=True, slots=True)
class Prepared:
    """Documents ready to be stored.

    Attributes:
        rows: id, version and body of each, in order.
        rejected: what cannot be stored, by position among the documents.
    """

    rows: Sequence[tuple[str, int, str | None]]
    rejected: dict[int, UnwritableError]


def prepare(documents: Documents, *, with_topic: bool) -> Prepared:
    """Check and splice.

    Args:
        documents: with ids and versions.
        with_topic: the origin names the topic, which matters when a pipeline reads several.
    """
    origins = {source: _origin(source, with_topic=with_topic) for source in set(documents.sources)}
    columns = (documents.ids, documents.versions, documents.sources, documents.offsets, documents.bodies)
    if _all_plain(documents):
        return Prepared(
            [
                (id_, version, f"{origins[source]}{offset}}},{body[1:].decode()}")  # type: ignore[index]  # plain: no None
                for id_, version, source, offset, body in zip(*columns, strict=True)
            ],
            {},
        )
    rows: list[tuple[str, int, str | None]] = []
    rejected: dict[int, UnwritableError] = {}
    for position, (id_, version, source, offset, body) in enumerate(zip(*columns, strict=True)):
        error = unfit_id(id_) or (_fault(body) if body is not None else None)
        if error is not None:
            rejected[position] = error
        elif body is None:
            rows.append((id_, version, None))
        else:
            members = body.lstrip(_SPACE)[1:].decode()
            comma = "" if members.lstrip().startswith("}") else ","
            rows.append((id_, version, f"{origins[source]}{offset}}}{comma}{members}"))
    return Prepared(rows, rejected)


def _origin(source: Partition, *, with_topic: bool) -> str:
    topic = f'"t":{orjson.dumps(source.stream).decode()},' if with_topic else ""
    return f'{{"_origin":{{{topic}"p":{source.index},"o":'


def _all_plain(documents: Documents) -> bool:
    """Nothing here needs a second look: a few passes over all documents at once instead of one look at each."""
    ids, bodies = documents.ids, documents.bodies
    if not all(ids) or not "".join(ids).isascii() or max(map(len, ids), default=0) > MAX_ID_BYTES:
        return False
    try:
        parsed = list(map(orjson.loads, bodies))  # type: ignore[arg-type]  # a None is an error, and looked at apart
    except orjson.JSONDecodeError:
        return False
    return (
        set(map(type, parsed)) == {dict}
        and all(parsed)
        and not any("_origin" in document for document in parsed)
        and {body[:1] for body in bodies} == {b"{"}  # type: ignore[index]  # parsed: no body is None
        and max(map(bytes.count, bodies, repeat(b"{"))) + max(map(bytes.count, bodies, repeat(b"["))) <= _DEPTH  # type: ignore[arg-type]
    )


def _fault(body: bytes) -> UnwritableError | None:
    """Why one body cannot be stored."""
    try:
        parsed = orjson.loads(body)
        orjson.loads(b"[" * _BELOW + body + b"]" * _BELOW)
    except orjson.JSONDecodeError:
        return UnwritableError(
            f"the document is not JSON in valid UTF-8, or nested deeper than {_DEPTH} levels", code="not-json"
        )
    if not isinstance(parsed, dict):
        return UnwritableError("the document is not a JSON object", code="not-an-object")
    if "_origin" in parsed:
        return UnwritableError("the document has a field _origin, which is Prism's own", code="duplicate-field")
    return None
