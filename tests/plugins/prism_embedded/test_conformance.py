"""The suites that every source and sink passes, on a file of its own for each test."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from prism_embedded import EmbeddedDocuments, EmbeddedLog
from prism_embedded.database import Database
from prism_embedded.dead_letters import EmbeddedDeadLetters
from prism_embedded.index_sink import EmbeddedIndexSink
from prism_embedded.indices import create
from prism_embedded.reader import EmbeddedReader
from prism_embedded.source import EmbeddedSource
from prism_embedded.topic_sink import EmbeddedTopicSink
from prismlib.stages import Sink, Source
from prismlib.testing.claim_conformance import ClaimConformance
from prismlib.testing.reader_conformance import ReaderConformance
from prismlib.testing.sink_conformance import (
    SOURCE,
    LedgerConformance,
    SinkConformance,
    TransactionalConformance,
)
from prismlib.testing.source_conformance import Recorder, SourceConformance, Written

BUSY = 0.05  # seconds: tests hold the write lock on purpose


class Files:
    """What the harnesses share: one file, and everything opened on it, to be closed at the end."""

    patience = 20.0

    def __init__(self, folder: Path) -> None:
        self.log = EmbeddedLog(folder)
        self.path = self.log.path
        self.opened: list[Source | Sink | EmbeddedReader] = []

    def close(self) -> None:
        for stage in self.opened:
            stage.close()
        self.log.close()

    def source(self, topic: str, group: str, worker: str = "1") -> EmbeddedSource:
        source = EmbeddedSource(self.path, group=group, worker=worker, topics=[topic], session_timeout=30.0)
        self.opened.append(source)
        return source


class SourceHarness(Files):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._names = itertools.count()

    def create_topic(self, partitions: int) -> str:
        name = f"topic{next(self._names)}"
        self.log.create_topic(name, partitions)
        return name

    def append(self, topic: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        start = self.log.ends(topic)[(topic, partition)]
        self.log.append(topic, [(r.key, r.value, r.headers, r.timestamp_ms) for r in records], partition=partition)
        return range(start, start + len(records))

    def make_source(self, topic: str, group: str) -> Source:
        return self.source(topic, group)


class StreamHarness(Files):
    """An empty topic."""

    topic = "out"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in (self.topic, "letters", SOURCE.stream):
            self.log.create_topic(name, 1)

    def good(self, number: int) -> bytes:
        return b'{"number": %d}\n' % number

    def bad(self) -> bytes | None:
        return None

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        return [
            ((key or b"").decode(), value or b"")
            for batch in self.log.read(self.topic)
            for key, value in zip(batch.keys, batch.values, strict=True)
        ]

    def busy(self, ids: Sequence[str]) -> AbstractContextManager[None] | None:
        return None

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Another process holds the write lock."""
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.close()


class TopicSinkHarness(StreamHarness):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._member = self._join("p")

    def make_sink(self, worker: str) -> Sink:
        sink = EmbeddedTopicSink(
            self.path, topic=self.topic, pipeline="p", worker=worker, dead_letter_topic="letters", busy_seconds=BUSY
        )
        self.opened.append(sink)
        return sink

    def member(self, *, stale: bool = False) -> object:
        if stale:
            former = self._join("former")
            token = former.member()
            former.close()
            return token
        return self._member.member()

    def _join(self, group: str) -> EmbeddedSource:
        source = self.source(SOURCE.stream, group)
        source.open(Recorder(source))
        source.poll(1, 0.0)
        return source

    def committed(self) -> int | None:
        return self.log.committed("p").get(SOURCE)


class IndexSinkHarness(StreamHarness):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        database = Database(self.path)
        database.open()
        with database.transaction() as connection:
            create(connection, "things")
        database.close()

    def make_sink(self, worker: str) -> Sink:
        sink = EmbeddedIndexSink(self.path, alias="things", pipeline="p", worker=worker, busy_seconds=BUSY)
        self.opened.append(sink)
        return sink

    def bad(self) -> bytes | None:
        return b'{"number":'

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        with EmbeddedDocuments(self.path) as documents:
            ids = [id_ for id_, _ in documents.all("things")]
            assert documents.count("things") == len(ids)
        found = []
        for id_ in ids:
            (text,) = self.log._database.query("SELECT body FROM documents WHERE id = ?", (id_,))[0]
            origin, _, rest = text.encode().partition(b"},")
            assert origin.startswith(b'{"_origin":{"p":0,"o":')
            found.append((id_, b"{" + rest))
        return found


class DeadLettersHarness(StreamHarness):
    def make_sink(self, worker: str) -> Sink:
        sink = EmbeddedDeadLetters(self.path, topic=self.topic, busy_seconds=BUSY)
        self.opened.append(sink)
        return sink


class TestEmbeddedSource(SourceConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[SourceHarness]:
        harness = SourceHarness(tmp_path)
        yield harness
        harness.close()


class TestEmbeddedTopicSink(SinkConformance, TransactionalConformance, LedgerConformance, ClaimConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[TopicSinkHarness]:
        harness = TopicSinkHarness(tmp_path)
        yield harness
        harness.close()


class TestEmbeddedIndexSink(SinkConformance, LedgerConformance, ClaimConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[IndexSinkHarness]:
        harness = IndexSinkHarness(tmp_path)
        yield harness
        harness.close()


class TestEmbeddedDeadLetters(SinkConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[DeadLettersHarness]:
        harness = DeadLettersHarness(tmp_path)
        yield harness
        harness.close()


class ReaderHarness(SourceHarness):
    def create_stream(self, partitions: int) -> str:
        return self.create_topic(partitions)

    def transaction(self, stream: str, partition: int, records: Sequence[Written]) -> None:
        """One is in memory until it is committed, so that none can be met while it is open."""

    def make_reader(self) -> EmbeddedReader:
        reader = EmbeddedReader(self.path)
        self.opened.append(reader)
        return reader

    def unreachable(self) -> None:
        """Who holds the write lock keeps no reader out."""


class TestEmbeddedReader(ReaderConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[ReaderHarness]:
        harness = ReaderHarness(tmp_path)
        yield harness
        harness.close()
