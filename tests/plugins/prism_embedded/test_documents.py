"""The document store: versions, bodies that cannot be stored, and what readers find."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest

from prism_embedded import Day, EmbeddedDocuments, EmbeddedLog
from prism_embedded.bodies import prepare
from prism_embedded.index_sink import EmbeddedIndexSink
from prism_embedded.indices import behind, create
from prismlib.errors import ConfigError, FatalError
from prismlib.records import Documents, LedgerRow, Partition, WriteResult

P = Partition("in", 2)


class Store:
    """One alias, its sink and its readers."""

    def __init__(self, log: EmbeddedLog, *, origin_topic: bool = False) -> None:
        self.log = log
        with log._database.transaction() as connection:
            create(connection, "things")
        self.sink = EmbeddedIndexSink(log.path, alias="things", pipeline="p", worker="1", origin_topic=origin_topic)
        self.sink.open()
        self.documents = EmbeddedDocuments(log.path)

    def write(self, *documents: tuple[str, int, bytes | None]) -> WriteResult:
        return self.sink.write(as_documents(documents))

    def all(self) -> dict[str, dict]:
        return dict(self.documents.all("things"))

    def close(self) -> None:
        self.sink.close()
        self.documents.close()


def as_documents(given: Sequence[tuple[str, int, bytes | None]]) -> Documents:
    n = len(given)
    ids, versions, bodies = zip(*given, strict=True)
    return Documents("things", [P] * n, list(range(n)), [None] * n, bodies, ids, versions)


@pytest.fixture
def store(log: EmbeddedLog) -> Iterator[Store]:
    made = Store(log)
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(20))
def test_versions_against_an_oracle(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    oracle: dict[str, tuple[int, bytes | None]] = {}
    for _ in range(30):
        batch = []
        for _ in range(rng.randint(1, 8)):
            id_, version = rng.choice("abcd"), rng.randint(1, 12)
            body = None if rng.random() < 0.3 else b'{"v":%d}' % rng.randint(0, 99)
            batch.append((id_, version, body))
            if version >= oracle.get(id_, (0, None))[0]:
                oracle[id_] = (version, body)
        assert store.write(*batch) == WriteResult()
        expected = {id_: orjson.loads(body)["v"] for id_, (_, body) in oracle.items() if body is not None}
        assert {id_: document["v"] for id_, document in store.all().items()} == expected
        assert store.documents.count("things") == len(expected)


def test_a_document_is_stored_as_it_is_behind_its_origin(store: Store) -> None:
    bodies = [b'{"a":1}', b"{}", b' { "a" : [ 1 ] }\n', b'{\n  "\xc3\xbc": "\\u00fc"\n}', b"{ }"]
    assert store.write(*[(str(n), 1, body) for n, body in enumerate(bodies)]) == WriteResult()
    rows = store.log._database.query("SELECT body FROM documents ORDER BY id")
    assert [text for (text,) in rows] == [
        '{"_origin":{"p":2,"o":0},"a":1}',
        '{"_origin":{"p":2,"o":1}}',
        '{"_origin":{"p":2,"o":2}, "a" : [ 1 ] }\n',
        '{"_origin":{"p":2,"o":3},\n  "ü": "\\u00fc"\n}',
        '{"_origin":{"p":2,"o":4} }',
    ]
    for n, body in enumerate(bodies):
        assert store.documents.get("things", str(n)) == {"_origin": {"p": 2, "o": n}, **orjson.loads(body)}


def test_the_origin_names_the_topic_where_a_pipeline_reads_several(log: EmbeddedLog) -> None:
    store = Store(log, origin_topic=True)
    store.write(("a", 1, b'{"a":1}'))
    assert store.all() == {"a": {"_origin": {"t": "in", "p": 2, "o": 0}, "a": 1}}
    store.close()


def test_the_fast_way_and_the_careful_way_store_the_same() -> None:
    plain = [(f"id{n}", n, b'{"n":%d, "s":"x"} ' % n) for n in range(5)]
    careful = [*plain, ("gone", 9, None)]
    for with_topic in (False, True):
        fast = prepare(as_documents(plain), with_topic=with_topic)
        slow = prepare(as_documents(careful), with_topic=with_topic)
        assert list(fast.rows) == list(slow.rows)[:-1]
        assert slow.rows[-1] == ("gone", 9, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"null", "not-an-object"),
        (b"[1]", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b'{"a":1', "not-json"),
        (b'{"a":1}}', "not-json"),
        (b'{"a":1},{"b":2}', "not-json"),
        (b'{"a":1}\n{"b":2}', "not-json"),
        (b'{"a":NaN}', "not-json"),
        (b'{"a":1 /* why */}', "not-json"),
        (b'{"a":"\xff"}', "not-json"),
        (b'{"a":"\\ud800"}', "not-json"),
        (b'\xef\xbb\xbf{"a":1}', "not-json"),
        (b'{"a":1,"_origin":{"p":9}}', "duplicate-field"),
        (b'{"\\u005forigin":1}', "duplicate-field"),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "not-json"),
        (b'{"a":' * 100_000, "not-json"),
    ],
)
def test_a_body_that_nobody_could_read_is_rejected_alone(store: Store, body: bytes, code: str) -> None:
    result = store.write(("before", 1, b'{"a":1}'), ("bad", 1, body), ("after", 1, b'{"a":2}'))
    assert [(position, error.code) for position, error in result.rejected.items()] == [(1, code)]
    assert not result.retry
    assert store.all().keys() == {"before", "after"}


def test_deep_and_wide_documents_that_are_stored_can_be_asked_about(store: Store) -> None:
    deep = b'{"time":"2013-01-01T00:00:00Z","a":' + b"[" * 890 + b"]" * 890 + b"}"
    wide = b'{"time":"2013-01-01T00:00:00Z","a":[' + b",".join([b"{}"] * 5_000) + b"]}"
    assert store.write(("deep", 1, deep), ("wide", 1, wide)) == WriteResult()
    assert [day.documents for day in store.documents.per_day("things", time="time")] == [2]


@pytest.mark.parametrize("id_", ["", "x" * 513, "ü" * 257, "\ud800"])
def test_an_id_that_elasticsearch_would_refuse_is_rejected_alone(store: Store, id_: str) -> None:
    result = store.write(("before", 1, b'{"a":1}'), (id_, 1, b'{"a":1}'), (id_, 2, None), ("after", 1, b'{"a":2}'))
    assert [(position, error.code) for position, error in result.rejected.items()] == [
        (1, "invalid-id"),
        (2, "invalid-id"),
    ]
    assert store.all().keys() == {"before", "after"}


def test_odd_ids_are_ids(store: Store) -> None:
    odd = ["x" * 512, "ü" * 256, "a\0b", "a\nb", "'; DROP TABLE documents; --", '"', "%", "_"]
    assert store.write(*[(id_, 1, b'{"a":1}') for id_ in odd]) == WriteResult()
    assert store.all().keys() == set(odd)
    for id_ in odd:
        assert store.documents.get("things", id_) is not None
    assert store.documents.get("things", "a") is None


def test_reading_all_goes_through_pages(store: Store, monkeypatch) -> None:
    monkeypatch.setattr("prism_embedded.documents._PAGE", 7)
    store.write(*[(f"id{n}", 1, b'{"n":%d}' % n) for n in range(50)])
    store.write(("id3", 2, None))
    assert store.all().keys() == {f"id{n}" for n in range(50)} - {"id3"}
    assert store.documents.get("things", "id3") is None


# --- days -------------------------------------------------------------------------------------------------------------


def test_days_of_new_york_against_python(store: Store) -> None:
    """Both nights in which clocks change are in it, and times of every notation."""
    rng = random.Random(7)
    zone = ZoneInfo("America/New_York")
    expected: dict[dt.date, list[tuple[float | None, bool]]] = defaultdict(list)
    written = []
    start = dt.datetime(2013, 3, 8, tzinfo=dt.UTC)
    for n in range(1_500):
        time = start + dt.timedelta(seconds=rng.randrange(250 * 86_400))
        kind = rng.choice(["departure", "departure", "weather"])
        delay = rng.choice([None, rng.randint(-20, 90), rng.random() * 10])
        cancelled = rng.random() < 0.1
        text = rng.choice(
            [
                time.isoformat(),
                time.isoformat().replace("+00:00", "Z"),
                time.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30))).isoformat(timespec="milliseconds"),
            ]
        )
        body = {"kind": kind, "time": text, "measures": {"delay": delay}, "attributes": {"cancelled": cancelled}}
        written.append((str(n), 1, orjson.dumps(body)))
        if kind == "departure":
            expected[time.astimezone(zone).date()].append((delay, cancelled))
    assert store.write(*written) == WriteResult()
    found = store.documents.per_day(
        "things",
        time="time",
        time_zone="America/New_York",
        where={"kind": "departure"},
        means=["measures.delay"],
        counts={"attributes.cancelled": True},
    )
    assert [day.day for day in found] == sorted(expected)
    for day in found:
        delays = [delay for delay, _ in expected[day.day] if delay is not None]
        assert day.documents == len(expected[day.day])
        assert day.counts == {"attributes.cancelled": sum(cancelled for _, cancelled in expected[day.day])}
        mean = day.means["measures.delay"]
        assert mean == pytest.approx(sum(delays) / len(delays)) if delays else mean is None


def test_what_has_no_time_has_no_day_and_what_is_no_number_has_no_mean(store: Store) -> None:
    store.write(
        ("1", 1, b'{"time":"2013-01-01T10:00:00Z","m":"12"}'),
        ("2", 1, b'{"time":"2013-01-01T11:00:00Z","m":true}'),
        ("3", 1, b'{"time":"2013-01-01T12:00:00Z","m":4}'),
        ("4", 1, b'{"time":"no time","m":5}'),
        ("5", 1, b'{"m":5}'),
        ("6", 1, b'{"time":"1969-12-31T23:59:59Z"}'),
        ("7", 1, b'{"time":"2013-01-01T12:00:00Z","m":9}'),
        ("7", 2, None),
    )
    assert store.documents.per_day("things", time="time", means=["m"]) == [
        Day(dt.date(1969, 12, 31), 1, {"m": None}, {}),
        Day(dt.date(2013, 1, 1), 3, {"m": 4.0}, {}),
    ]


def test_a_question_that_makes_no_sense_is_refused(store: Store) -> None:
    for field in ('a"b', "", "a..b", "."):
        with pytest.raises(ValueError, match="is no path of a field"):
            store.documents.per_day("things", time=field)
    with pytest.raises(ValueError, match="'Nowhere/Land' is no time zone"):
        store.documents.per_day("things", time="time", time_zone="Nowhere/Land")
    with pytest.raises(ConfigError, match="no alias 'none'"):
        store.documents.count("none")


def test_there_must_be_a_file_to_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no embedded storage"):
        EmbeddedDocuments(tmp_path / "none")
    assert not (tmp_path / "none").exists()


# --- the alias --------------------------------------------------------------------------------------------------------


def move_alias(log: EmbeddedLog) -> None:
    with log._database.transaction() as connection:
        number = connection.execute("INSERT INTO indices (name) VALUES ('things-000002')").lastrowid
        connection.execute("UPDATE aliases SET generation = ?", (number,))


def test_a_sink_stops_when_its_alias_moves_and_progress_belongs_to_the_index(store: Store) -> None:
    store.write(("a", 1, b'{"a":1}'))
    store.sink.save_ledger([LedgerRow(P, 5)])
    move_alias(store.log)
    for call in (
        lambda: store.write(("b", 1, b'{"a":1}')),
        lambda: store.sink.save_ledger([LedgerRow(P, 9)]),
        lambda: store.sink.load_ledger([P]),
    ):
        with pytest.raises(FatalError, match="moved from things-000001 to things-000002 while this worker was writing"):
            call()
    assert store.all() == {}
    again = EmbeddedIndexSink(store.log.path, alias="things", pipeline="p", worker="1")
    again.open()
    assert again.load_ledger([P]) == {}, "what the old index holds, the new one does not"
    again.close()


def test_setup_creates_the_first_index_once(log: EmbeddedLog) -> None:
    with log._database.transaction() as connection:
        create(connection, "things")
        create(connection, "things")
        index = behind(connection, "things")
    assert index is not None
    assert index.name == "things-000001"
    sink = EmbeddedIndexSink(log.path, alias="none", pipeline="p", worker="1")
    with pytest.raises(ConfigError, match=r"no alias 'none' in .*; create it with `prism setup"):
        sink.open()
    sink.close()
