r"""Documents to the body of a bulk request, without parsing them and with nothing of one able to reach another.

Bodies pass through byte for byte, but for three things: white space around them goes, raw line ends become spaces (inside
JSON strings they are escaped anyway), and ``"_origin":{"p":3,"o":17}`` is spliced in behind the opening brace. A body with
an ``_origin`` of its own then has two, which Elasticsearch refuses for that document alone, so it ends in the dead letters.

What is not an object is rejected here. What is not JSON in some other way, Elasticsearch refuses document by document, with
four exceptions that it stores, and that no reader can parse afterwards, not even the rest of a search result that one of
them is in: comments, bytes that are not UTF-8, and halves of surrogate pairs, raw or as ``\ud800``. Documents that might
hold one of these, and only those, are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from prismlib.errors import UnwritableError
from prismlib.records import Documents, Partition
from prismlib.runtime.identity import MAX_ID_BYTES, unfit_id

_SPACE = b" \t\r\n"
_LINE_ENDS_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")
# A // comment ends with the line, and a document is one line: it can only stand behind the end of the object.
# Two searches with a literal prefix each: as one alternation they take five times as long.
_COMMENT = re.compile(rb"/\*")
_COMMENT_BEHIND = re.compile(rb"\}\s*//")


@dataclass(frozen=True, slots=True)
class Bulk:
    """Documents ready to be sent.

    Attributes:
        lines: the one or two lines of each document, without the last line end.
        positions: of each of them among the documents it was built from.
        rejected: what cannot be sent, by position.
    """

    lines: Sequence[bytes]
    positions: Sequence[int]
    rejected: dict[int, UnwritableError]

    def body(self, start: int, stop: int) -> bytes:
        """The request for the documents ``start`` up to, not including, ``stop``."""
        return b"\n".join([*self.lines[start:stop], b""])


def build(documents: Documents, *, with_topic: bool) -> Bulk:
    """Lines for all documents.

    Args:
        documents: with ids and versions.
        with_topic: the origin names the topic, which matters when a pipeline reads several.
    """
    if not len(documents):
        return Bulk([], (), {})
    rejected: dict[int, UnwritableError] = {}
    ids = _escaped(documents.ids, rejected)
    origins = {source: _origin(source, with_topic=with_topic) for source in set(documents.sources)}
    columns = (ids, documents.versions, documents.sources, documents.offsets)
    if not rejected and _all_plain(documents.bodies):
        lines = [
            b'{"index":{"_id":"%b","version":%d,"version_type":"external_gte"}}\n%b%d},%b'
            % (id_, version, origins[source], offset, body[1:])  # type: ignore[index]  # plain: no body is None
            for id_, version, source, offset, body in zip(*columns, documents.bodies, strict=True)
        ]
        return Bulk(lines, range(len(lines)), rejected)
    lines, positions = [], []
    for position, (id_, version, source, offset, body) in enumerate(zip(*columns, documents.bodies, strict=True)):
        if position in rejected:
            continue
        if body is None:
            line = b'{"delete":{"_id":"%b","version":%d,"version_type":"external_gte"}}' % (id_, version)
        else:
            try:
                rest = _behind_the_brace(body)
            except UnwritableError as error:
                rejected[position] = error
                continue
            line = b'{"index":{"_id":"%b","version":%d,"version_type":"external_gte"}}\n%b%d}%b' % (
                id_,
                version,
                origins[source],
                offset,
                rest,
            )
        lines.append(line)
        positions.append(position)
    return Bulk(lines, positions, rejected)


def _origin(source: Partition, *, with_topic: bool) -> bytes:
    topic = b'"t":%b,' % orjson.dumps(source.stream) if with_topic else b""
    return b'{"_origin":{%b"p":%d,"o":' % (topic, source.index)


def _escaped(ids: Sequence[str], rejected: dict[int, UnwritableError]) -> list[bytes]:
    """The ids as they stand between the quotes of a JSON string; b"" for one that is rejected."""
    together = "".join(ids)
    if (
        together.isascii()
        and together.isprintable()
        and '"' not in together
        and "\\" not in together
        and all(ids)
        and max(map(len, ids)) <= MAX_ID_BYTES
    ):
        return "\n".join(ids).encode().split(b"\n")
    escaped = []
    for position, id_ in enumerate(ids):
        error = unfit_id(id_)
        if error is not None:
            rejected[position] = error
        escaped.append(b"" if position in rejected else orjson.dumps(id_)[1:-1])
    return escaped


def _all_plain(bodies: Sequence[bytes | None]) -> bool:
    """Nothing here needs a second look: a few passes over all bodies at once instead of one look at each."""
    if None in bodies:
        return False
    some: Sequence[bytes] = bodies  # type: ignore[assignment]
    if {body[:2] for body in some} != {b'{"'} or {body[-1:] for body in some} != {b"}"}:
        return False
    together = b"".join(some)
    return b"\n" not in together and b"\r" not in together and not _suspicious(together)


def _suspicious(text: bytes) -> bool:
    """It may hold one of the four things that Elasticsearch would store and nobody could read."""
    if b"/" in text and (_COMMENT.search(text) or _COMMENT_BEHIND.search(text)):
        return True
    if b"\\" in text and (b"\\ud" in text or b"\\uD" in text):
        return True
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return True
    return False


def _behind_the_brace(body: bytes) -> bytes:
    """What follows the spliced origin: a comma and the members, or only the end of an empty object."""
    stripped = body.strip(_SPACE).translate(_LINE_ENDS_TO_SPACES)
    if not (stripped.startswith(b"{") and stripped.endswith(b"}")):
        raise UnwritableError("the document is not a JSON object", code="not-an-object")
    if _suspicious(stripped):
        try:
            orjson.loads(stripped)
        except orjson.JSONDecodeError as error:
            raise UnwritableError("the document is not JSON in valid UTF-8", code="not-json") from error
    members = stripped[1:].lstrip(_SPACE)
    return members if members.startswith(b"}") else b"," + members
