"""The ledger as documents beside the data: one row per pipeline, partition and generation, and the pipeline's notes.

The version of a row is ``ledger_epoch << 44 | next offset``, so that a row never goes back, but by a reset that raises the
epoch. A row belongs to one generation, because progress is a statement about what one index holds; a note to none.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from prism_elasticsearch.answers import ALL_DELIVERED, versions_in_conflict
from prism_elasticsearch.connection import Connection, check_version, for_commands
from prism_elasticsearch.generations import Generation, require_write_index
from prismlib.errors import ConfigError, DataLossError, FatalError, RetryableError, StageContractError
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.runtime.identity import EPOCH_SHIFT

log = logging.getLogger(__name__)

MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "pipeline": {"type": "keyword"},
        "topic": {"type": "keyword"},
        "partition": {"type": "integer"},
        "generation": {"type": "keyword"},
        "index_uuid": {"type": "keyword"},
        "topic_id": {"type": "keyword"},
        "next_offset": {"type": "long"},
        "timestamp_ms": {"type": "long"},
        "epoch": {"type": "integer"},
        "ledger_epoch": {"type": "integer"},
        "written_ms": {"type": "long"},
        "schema_id": {"type": "integer"},
        "mapping": {"type": "keyword"},
        "note": {"type": "keyword"},
        "kind": {"type": "keyword"},
        "at_ms": {"type": "long"},
        "who": {"type": "keyword"},
        "what": {"type": "keyword", "index": False, "doc_values": False},
        "first": {"type": "long"},
        "end": {"type": "long"},
        "worker": {"type": "keyword"},
        "claim": {"type": "keyword"},
    },
}
_PAGE: Final = 1_000  # notes per request


class Ledger:
    """Rows and notes of one pipeline in one index."""

    def __init__(self, connection: Connection, index: str, pipeline: str) -> None:
        """The index must exist; setup creates it."""
        self._connection = connection
        self._index = index
        self._pipeline = pipeline

    def _id(self, partition: Partition, generation: Generation) -> str:
        return f"{self._pipeline}/{partition.stream}/{partition.index}/{generation.index}"

    def load(self, partitions: Sequence[Partition], generation: Generation) -> dict[Partition, LedgerRow]:
        """The row of each partition that has one, read in real time, without waiting for a refresh.

        Raises:
            RetryableError: no answer.
            DataLossError: the rows speak of an index of this name that was deleted since.
        """
        if not partitions:
            return {}
        ids = {self._id(partition, generation): partition for partition in partitions}
        found = self._connection.json("POST", f"/{self._index}/_mget", {"ids": list(ids)})
        if found is None:
            raise FatalError(self._missing())
        rows = {}
        for document in found["docs"]:
            if "error" in document:
                kind = document["error"].get("type")
                if kind == "index_not_found_exception":
                    raise FatalError(self._missing())
                raise RetryableError(f"the ledger {self._index} cannot be read: {kind}")
            if document["found"]:
                rows[ids[document["_id"]]] = self._row(document["_source"], generation)
        return rows

    def _row(self, source: Mapping[str, Any], generation: Generation) -> LedgerRow:
        partition = Partition(source["topic"], source["partition"])
        if source["index_uuid"] != generation.uuid:
            raise DataLossError(
                f"{partition}: the index {generation.index} was deleted and created again (its UUID was {source['index_uuid']}, "
                f"now {generation.uuid}), so the {source['next_offset']} offsets that the ledger counts as written are not in "
                f"it; rebuild it with `prism replay start`"
            )
        return LedgerRow(
            partition=partition,
            next_offset=source["next_offset"],
            epoch=source["epoch"],
            topic_id=source["topic_id"],
            timestamp_ms=source["timestamp_ms"],
            ledger_epoch=source["ledger_epoch"],
            written_ms=source["written_ms"],
            schema_id=source.get("schema_id", -1),
            mapping=source.get("mapping", ""),
        )

    def load_notes(self) -> list[LedgerNote]:
        """Every note, oldest first. Raises RetryableError, FatalError."""
        # Needs the right `maintenance`, which a worker has no other use for: without it the newest may be missing for a second.
        with contextlib.suppress(FatalError):
            self._connection.json("POST", f"/{self._index}/_refresh")
        question: dict[str, Any] = {
            "size": _PAGE,
            "sort": [{"note": {"order": "asc", "unmapped_type": "keyword"}}],
            "query": {"bool": {"filter": [{"term": {"pipeline": self._pipeline}}, {"exists": {"field": "note"}}]}},
        }
        notes: list[LedgerNote] = []
        while True:
            # A shard that is not there must be an error: half of the notes would look like all of them.
            answer = self._connection.json(
                "POST", f"/{self._index}/_search?allow_partial_search_results=false", question
            )
            if answer is None:
                raise FatalError(self._missing())
            found = answer["hits"]["hits"]
            notes += [_note(hit["_source"]) for hit in found]
            if len(found) < _PAGE:
                return notes
            question["search_after"] = found[-1]["sort"]

    def save(self, rows: Sequence[LedgerRow], generation: Generation, notes: Sequence[LedgerNote] = ()) -> None:
        """Store both durably; a row that is older than what is stored is passed over.

        Raises:
            RetryableError: some are not stored.
            FatalError: the ledger is gone, or refuses a row or a note.
        """
        if not rows and not notes:
            return
        lines = []
        for row in rows:
            version = row.ledger_epoch << EPOCH_SHIFT | row.next_offset
            id_ = self._id(row.partition, generation)
            lines += [
                orjson.dumps({"index": {"_id": id_, "version": version, "version_type": "external_gte"}}),
                orjson.dumps(self._source(row, generation)),
            ]
        for note in notes:
            lines += [
                orjson.dumps({"index": {"_id": f"{self._pipeline}/note/{note.id}"}}),
                orjson.dumps(self._note_source(note)),
            ]
        path = f"/{self._index}/_bulk?filter_path=errors,items.*.status,items.*.error"
        answer = self._connection.request("POST", path, b"\n".join([*lines, b""]), lines=True)
        if answer.status != 200:
            raise FatalError(f"the ledger {self._index} cannot be written: {self._connection.reason(answer)}")
        if answer.data.startswith(ALL_DELIVERED):
            return
        saved: list[LedgerRow | LedgerNote] = [*rows, *notes]
        for one, item in zip(saved, answer.json()["items"], strict=True):
            self._judge(one, item["index"])

    def _judge(self, one: LedgerRow | LedgerNote, result: Mapping[str, Any]) -> None:
        status, error = result["status"], result.get("error") or {}
        if status < 300:
            return
        kind = str(error.get("type"))
        conflict = versions_in_conflict(str(error.get("reason"))) if status == 409 else None
        if conflict is not None and isinstance(one, LedgerRow):
            epoch = conflict[0] >> EPOCH_SHIFT
            if epoch > one.ledger_epoch:
                log.warning(
                    "passed over a ledger row of an earlier epoch: another worker has reset this partition",
                    extra={"partition": str(one.partition), "epoch": one.ledger_epoch, "current_epoch": epoch},
                )
            return
        if kind == "index_not_found_exception":
            raise FatalError(self._missing())
        if status in {408, 409, 429} or status >= 500 or kind in {"cluster_block_exception", "index_closed_exception"}:
            raise RetryableError(f"the ledger {self._index} does not take {_what(one)} now: {status} {kind}")
        raise FatalError(
            f"the ledger {self._index} refuses {_what(one)}: {status} {kind}; if an older version of Prism made it, "
            f"`prism setup PIPELINE.toml --yes` adds the fields that it lacks"
        )

    def _source(self, row: LedgerRow, generation: Generation) -> dict[str, Any]:
        return {
            "pipeline": self._pipeline,
            "topic": row.partition.stream,
            "partition": row.partition.index,
            "generation": generation.index,
            "index_uuid": generation.uuid,
            "topic_id": row.topic_id,
            "next_offset": row.next_offset,
            "timestamp_ms": row.timestamp_ms,
            "epoch": row.epoch,
            "ledger_epoch": row.ledger_epoch,
            "written_ms": row.written_ms,
            "schema_id": row.schema_id,
            "mapping": row.mapping,
        }

    def _note_source(self, note: LedgerNote) -> dict[str, Any]:
        return {
            "pipeline": self._pipeline,
            "note": note.id,
            "kind": note.kind,
            "at_ms": note.at_ms,
            "who": note.who,
            "what": note.what,
            "topic": note.stream,
            "partition": None if note.partition is None else note.partition.index,
            "first": note.first,
            "end": note.end,
        }

    def require(self) -> None:
        """Raises ConfigError when the ledger's index does not exist, RetryableError, FatalError."""
        if self._connection.json("GET", f"/{self._index}?filter_path=*.settings.index.uuid") is None:
            raise ConfigError(self._missing())

    def _missing(self) -> str:
        return (
            f"the ledger index {self._index!r} does not exist on {self._connection.name}; create it with "
            f"`prism setup PIPELINE.toml --yes`"
        )


class ElasticsearchLedgerStore:
    """See :class:`prismlib.plugin.hookspecs.LedgerStore`. Its rows are those of the generation behind the alias."""

    atomic = False

    def __init__(self, connection: Connection, alias: str, *, pipeline: str, index: str) -> None:
        """Nothing is asked of the server yet; the connection is closed with this."""
        self._connection = connection
        self._alias = alias
        self._ledger = Ledger(connection, index, pipeline)
        self._generation: Generation | None = None

    def open(self) -> None:
        """Check server, alias and ledger. Raises ConfigError, UnreachableError."""
        with for_commands():
            check_version(self._connection)
            self._generation = require_write_index(self._connection, self._alias)
            self._ledger.require()

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Rows of the generation that was behind the alias. Raises RetryableError, FatalError."""
        return self._ledger.load(partitions, self._opened())

    def load_notes(self) -> Sequence[LedgerNote]:
        """Notes of the pipeline, whatever the generation. Raises RetryableError, FatalError."""
        return self._ledger.load_notes()

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store both. Raises RetryableError, FatalError."""
        self._ledger.save(rows, self._opened(), notes)

    def close(self) -> None:
        """Close connections."""
        self._connection.close()

    def _opened(self) -> Generation:
        if self._generation is None:
            raise StageContractError("the ledger on Elasticsearch was used before it was opened")
        return self._generation


def _note(source: Mapping[str, Any]) -> LedgerNote:
    stream, index = source["topic"], source["partition"]
    return LedgerNote(
        kind=source["kind"],
        at_ms=source["at_ms"],
        who=source["who"],
        what=source["what"],
        partition=None if index is None else Partition(stream, index),
        stream=stream,
        first=source["first"],
        end=source["end"],
    )


def _what(one: LedgerRow | LedgerNote) -> str:
    return f"the row of {one.partition}" if isinstance(one, LedgerRow) else f"a note of the kind {one.kind}"
