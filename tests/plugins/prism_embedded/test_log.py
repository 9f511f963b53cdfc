"""EmbeddedLog, and the tables below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prism_embedded import EmbeddedLog, topics
from prism_embedded.reader import EmbeddedReader
from prismlib.errors import ConfigError
from prismlib.records import Partition, RecordBatch


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path) as made:
        yield made


def records(batches: Iterator[RecordBatch]) -> list[tuple[int, int, bytes | None, bytes | None]]:
    return [
        (batch.partition.index, *record)
        for batch in batches
        for record in zip(batch.offsets, batch.keys, batch.values, strict=True)
    ]


def test_offsets_count_from_zero_in_each_partition_and_the_key_decides_which(log: EmbeddedLog) -> None:
    log.create_topic("t", 3)
    written = [(b"key%d" % (n % 7), b"%d" % n) for n in range(100)]
    assert log.append("t", iter(written)) == 100
    found = records(log.read("t"))
    for index in range(3):
        mine = [(key, value) for key, value in written if crc32(key) % 3 == index]
        assert [(key, value) for i, _, key, value in found if i == index] == mine, "in the order of the call"
        assert [offset for i, offset, _, _ in found if i == index] == list(range(len(mine)))
    assert log.count("t") == 100
    assert sum(log.ends("t").values()) == 100


def test_a_key_keeps_its_partition_for_all_time(log: EmbeddedLog) -> None:
    keys = [b"", b"a", b"JFK", "Zürich".encode(), bytes(range(256))]
    assert topics.partitions_for(keys, 10, iter(())) == [0, 7, 9, 8, 1]


def test_records_without_a_key_are_spread(log: EmbeddedLog) -> None:
    log.create_topic("t", 4)
    log.append("t", [(None, b"x")] * 400)
    assert set(log.ends("t").values()) == {100}


def test_a_partition_can_be_named(log: EmbeddedLog) -> None:
    log.create_topic("t", 3)
    log.append("t", [(b"k", b"v")] * 5, partition=2)
    assert log.ends("t") == {Partition("t", 0): 0, Partition("t", 1): 0, Partition("t", 2): 5}
    with pytest.raises(ValueError, match="no partition 3, only 0 to 2"):
        log.append("t", [(b"k", b"v")], partition=3)


def test_records_of_every_shape_may_be_mixed(log: EmbeddedLog) -> None:
    log.create_topic("t", 1)
    headers = [("a", b"\x00\xff"), ("a", None), ("ü", b"")]
    log.append("t", [(b"k", b"v"), (None, None, headers), (b"", b"", None, 7), (b"k", b"v", [], None)])
    (batch,) = log.read("t")
    assert list(batch.keys) == [b"k", None, b"", b"k"]
    assert list(batch.values) == [b"v", None, b"", b"v"]
    assert list(batch.headers) == [None, headers, None, None]
    assert batch.timestamps_ms[2] == 7
    assert batch.timestamps_ms[0] == batch.timestamps_ms[3] > 1_600_000_000_000


@settings(deadline=None, max_examples=50)  # every example creates a file and syncs it
@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=20),
            st.none() | st.binary(max_size=50),
            st.none() | st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), min_size=1),
            st.integers(0, 1 << 45),
        ),
        max_size=30,
    )
)
def test_what_is_appended_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, written: list) -> None:
    with EmbeddedLog(tmp_path_factory.mktemp("log")) as log:
        log.create_topic("t", 1)
        log.append("t", written)
        found = [
            (key, value, headers, stamp)
            for batch in log.read("t")
            for key, value, headers, stamp in zip(
                batch.keys, batch.values, batch.headers, batch.timestamps_ms, strict=True
            )
        ]
    assert found == written


def test_a_long_stream_is_chunked_and_a_chunk_is_all_or_nothing(log: EmbeddedLog, monkeypatch) -> None:
    monkeypatch.setattr("prism_embedded.log.CHUNK", 10)
    log.create_topic("t", 2)

    def breaking() -> Iterator[tuple[bytes, bytes]]:
        for n in range(25):
            yield b"%d" % n, b"v"
        raise OSError("the producer's own trouble")

    with pytest.raises(OSError, match="own trouble"):
        log.append("t", breaking())
    assert log.count("t") == 20


def test_a_record_that_is_too_large_is_refused(log: EmbeddedLog) -> None:
    log.create_topic("t", 1)
    log.append("t", [(b"k", b"x" * (topics.MAX_RECORD_BYTES - 1))])
    with pytest.raises(ValueError, match="a record has 16777217 bytes, and 16777216 are allowed"):
        log.append("t", [(b"k", b"x" * topics.MAX_RECORD_BYTES)])


def test_one_read_stays_within_its_room_however_large_records_are(log: EmbeddedLog) -> None:
    log.create_topic("t", 1)
    log.append("t", [(None, b"x" * size) for size in (10, 10, 5_000, 10, 5_000, 5_000, 10)])
    found, position = [], 0
    with log._database.snapshot() as connection:
        number = topics.find(connection, ["t"])["t"].partitions[0]
        while (batch := topics.read(connection, Partition("t", 0), number, position, 7, 100, room=6_000)) is not None:
            found.append([len(value or b"") for value in batch.values])
            position = batch.next_offset
    assert [size for sizes in found for size in sizes] == [10, 10, 5_000, 10, 5_000, 5_000, 10]
    assert max(map(sum, found)) <= 2 * 6_000
    assert len(found) > 1


def test_trim_deletes_from_the_beginning_and_offsets_stay(log: EmbeddedLog) -> None:
    log.create_topic("t", 2)
    log.append("t", [(b"k", b"%d" % n) for n in range(10)], partition=1)
    log.trim("t", 1, 4)
    assert [offset for _, offset, _, _ in records(log.read("t"))] == [4, 5, 6, 7, 8, 9]
    assert log.count("t") == 6
    log.trim("t", 1, 2)
    assert log.count("t") == 6, "it never goes back"
    log.trim("t", 1, 99)
    assert log.count("t") == 0
    assert log.ends("t")[Partition("t", 1)] == 10
    log.append("t", [(b"k", b"new")], partition=1)
    assert records(log.read("t")) == [(1, 10, b"k", b"new")]


def test_a_topic_that_is_created_again_is_another_one(log: EmbeddedLog) -> None:
    log.create_topic("t", 2)
    log.create_topic("other", 1)
    log.append("t", [(b"k", b"old")] * 10)
    log.append("other", [(b"k", b"kept")] * 3)
    with log._database.snapshot() as connection:
        before = topics.find(connection, ["t"])["t"]
    log.delete_topic("t")
    assert log.topics() == ["other"]
    log.create_topic("t", 2)
    with log._database.snapshot() as connection:
        after = topics.find(connection, ["t"])["t"]
    assert before.id != after.id
    assert not set(before.partitions) & set(after.partitions), "or offsets of the old one would count for the new one"
    assert log.count("t") == 0
    assert log.count("other") == 3


def test_create_topic_says_whether_it_did(log: EmbeddedLog) -> None:
    assert log.create_topic("t") is True
    assert log.create_topic("t") is False
    assert len(log.ends("t")) == 3
    with pytest.raises(ConfigError, match="topic t exists with 3 partitions, not 4"):
        log.create_topic("t", 4)
    for name in ("", "a b", "a/b", "x" * 250, ".", "..", "'; DROP TABLE topics"):
        with pytest.raises(ConfigError, match="is no topic name"):
            log.create_topic(name)
    with pytest.raises(ConfigError, match="at least one partition"):
        log.create_topic("none", 0)


def test_a_topic_that_does_not_exist_is_named(log: EmbeddedLog) -> None:
    for call in (
        lambda: log.append("none", [(b"k", b"v")]),
        lambda: log.read("none"),
        lambda: log.ends("none"),
        lambda: log.count("none"),
        lambda: log.trim("none", 0, 1),
        lambda: log.delete_topic("none"),
    ):
        with pytest.raises(ConfigError, match="no topic none"):
            call()


def test_reading_begins_where_it_is_told_and_ends_where_the_end_was(log: EmbeddedLog) -> None:
    log.create_topic("t", 1)
    log.append("t", [(b"k", b"%d" % n) for n in range(5)])
    reading = log.read("t", {Partition("t", 0): 3})
    log.append("t", [(b"k", b"later")])
    assert [value for _, _, _, value in records(reading)] == [b"3", b"4"]


def test_the_reader_of_streams_reads_to_the_end(log: EmbeddedLog) -> None:
    log.create_topic("t", 2)
    log.append("t", [(b"%d" % n, b"v%d" % n) for n in range(50)])
    log.trim("t", 0, 3)
    reader = EmbeddedReader(log.path)
    reader.open()
    partitions = reader.partitions("t")
    assert partitions == [Partition("t", 0), Partition("t", 1)]
    assert reader.partitions("none") == []
    found = Counter(
        value
        for batches in reader.read({**dict.fromkeys(partitions, 0), Partition("gone", 0): 5})
        for batch in batches
        for value in batch.values
    )
    assert found == Counter(value for _, _, _, value in records(log.read("t")))
    assert sum(found.values()) == 47
    reader.close()
    reader.close()
