"""Drift: what a producer changes pauses its topic alone, nothing is skipped, and the report says what and where."""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prismlib.contracts import framing
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.subject import Waiver
from prismlib.errors import FencedError, RetryableError, SchemaDriftError
from prismlib.records import Partition
from prismlib.runtime import pausing
from prismlib.runtime.drift import MOST_UNKNOWN, WITHIN, UnknownIds
from prismlib.runtime.pausing import Pauses
from prismlib.runtime.retries import Backoff
from prismlib.testing.memory import MemoryTransactionalSink

from .drifting import World, running, until

BOTH = pytest.mark.parametrize("kind", ["transactional", "writing"])


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes and unknown ids in a moment, not in half a minute."""
    monkeypatch.setattr(pausing, "Backoff", lambda **_: Backoff(first=0.02, longest=0.1))
    monkeypatch.setattr(framing, "UNKNOWN_ID_SECONDS", 0.05)


def avro(*fields: tuple[str, Any] | tuple[str, Any, Any]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "Order",
        "fields": [{"name": f[0], "type": f[1], **({"default": f[2]} if len(f) > 2 else {})} for f in fields],
    }


def proto(fields: str) -> str:
    return f'syntax = "proto3";\nmessage Note {{ int32 delay = 1; string id = 2; }}\nmessage Order {{ {fields} }}\n'


def obj(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


ID = ("id", "string")
TIMES = [{"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros")]
PROTO = "string id = 1; int32 delay = 2;"
INT, TEXT = {"type": "integer"}, {"type": "string"}

# (format, what is read, what comes, a row of each, the rule that says so)
BREAKS: dict[str, tuple[str, Any, Any, Any, Any, str]] = {
    "avro int to string": ("avro", avro(ID, ("delay", "int")), avro(ID, ("delay", "string")), 1, "1", "AVR001 type-changed"),
    "avro other unit": (
        "avro", avro(ID, ("delay", TIMES[0])), avro(ID, ("delay", TIMES[1])), 1, 1, "AVR011 time-unit-changed",
    ),
    "avro other meaning": (
        "avro", avro(ID, ("delay", TIMES[0])), avro(ID, ("delay", "long")), 1, 1, "AVR010 logical-type-changed",
    ),
    "avro removed, the reader has a default": (
        "avro", avro(ID, ("delay", "int", 0)), avro(ID), 1, None, "AVR015 unwritten-field-read-as-default",
    ),
    "avro removed": ("avro", avro(ID, ("delay", "int")), avro(ID), 1, None, "AVR003 reader-field-without-default"),
    "protobuf removed, reads as 0": (
        "protobuf", proto(PROTO), proto("string id = 1; reserved 2;"), 1, None, "PRO023 field-not-written",
    ),
    "protobuf renumbered": (
        "protobuf", proto(PROTO), proto("string id = 1; int32 delay = 3;"), 1, 1, "PRO022 field-renumbered",
    ),
    "protobuf number used again": (
        "protobuf", proto(PROTO), proto("string id = 1; int32 gate = 2;"), 1, None, "PRO021 field-renamed",
    ),
    "protobuf number used again with another type": (
        "protobuf", proto(PROTO), proto("string id = 1; string gate = 2;"), 1, None, "PRO006 encoding-changed",
    ),
    "json required no more": (
        "json", obj(["id", "delay"], id=TEXT, delay=INT), obj(["id"], id=TEXT, delay=INT), 1, 1,
        "JSN007 required-property-missing",
    ),
    "json type changed": (
        "json", obj(["id", "delay"], id=TEXT, delay=INT), obj(["id", "delay"], id=TEXT, delay=TEXT), 1, "1",
        "JSN001 type-changed",
    ),
    "json other format": (
        "json",
        obj(["id", "delay"], id=TEXT, delay={**TEXT, "format": "date-time"}),
        obj(["id", "delay"], id=TEXT, delay={**TEXT, "format": "duration"}),
        "2013-01-01T00:00:00Z", "PT1S", "JSN026 format-changed",
    ),
}  # fmt: skip


def start(
    folder: Path, case: str, *topics: str, partitions: int = 1
) -> tuple[World, dict[str, Any], dict[str, Any], str]:
    fmt, one, _two, old, new, rule = BREAKS[case]
    world = World(folder, fmt, *topics, partitions=partitions)
    if fmt == "protobuf":
        world.decode["message"] = "Order"
    for topic in world.topics:
        world.schemas.release("jsonschema" if fmt == "json" else fmt, one, f"{topic}-value")
    return world, {"delay": old}, {} if new is None else {"delay": new}, rule


def breaking(world: World, case: str, topic: str = "orders") -> None:
    fmt = BREAKS[case][0]
    world.schemas.release("jsonschema" if fmt == "json" else fmt, BREAKS[case][2], f"{topic}-value")


@pytest.mark.parametrize("case", BREAKS)
def test_what_breaks_a_route_pauses_it_and_a_new_mapping_resumes_it(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, old, new, rule = start(tmp_path, case)
    world.write(1, *({"id": f"a{i}", **old} for i in range(3)))
    runner = world.runner()
    with running(runner), caplog.at_level(logging.WARNING):
        until(lambda: world.ids().total() == 3)
        breaking(world, case)
        world.write(2, *({"id": f"b{i}", **new} for i in range(3)))
        world.write(1, {"id": "c", **old})
        until(lambda: world.told)
        assert world.ids().total() == 3
        (notice,) = world.told
        assert (notice.kind, notice.subject) == ("paused", "orders")
        assert rule in notice.what
        assert "orders-value version 2 (schema id 101)" in notice.what
        assert "last read     orders-value version 1 (schema id 100)" in notice.what
        assert "orders.toml: event.delay" in notice.what
        assert notice.command == "prism schema diff orders-value 1 2"
        (logged,) = [r for r in caplog.records if r.getMessage() == "route paused, nothing is skipped"]
        assert logged.__dict__["report"] in notice.what
        world.map('[event]\nid = "id"\n')
        world.swap()
        until(lambda: world.ids().total() == 7)
    assert max(world.ids().values()) == 1
    assert world.kinds() == [("paused", "orders"), ("resumed", "orders")]
    assert not world.dead()
    assert runner.counters.pauses == 1


@BOTH
@pytest.mark.parametrize(
    "case", ["avro removed, the reader has a default", "protobuf removed, reads as 0", "json type changed"]
)
def test_a_breaking_version_that_is_the_latest_keeps_no_worker_from_starting_and_pauses_its_route_alone(
    kind: str, case: str, tmp_path: Path
) -> None:
    world, old, new, _ = start(tmp_path, case, "orders", "more")
    world.map('[event]\nid = "id"\ndelay = "delay"\n', "more")
    world.write(1, {"id": "a", **old})
    world.write(1, {"id": "more-a", **old}, topic="more")
    world.runner(kind, until_idle=0.3).run()
    breaking(world, case)
    world.write(2, {"id": "b", **new})
    world.write(1, {"id": "more-b", **old}, topic="more")
    runner = world.runner(kind)
    with running(runner):
        until(lambda: world.told)
        world.write(1, {"id": "more-c", **old}, topic="more")
        until(lambda: world.ids(kind).keys() == {"a", "more-a", "more-b", "more-c"})
        assert world.kinds() == [("paused", "orders")]
    # a restart with a mapping that does not read the field any more
    world.map('[event]\nid = "id"\n')
    world.runner(kind, until_idle=0.3).run()
    assert world.ids(kind) == Counter(["a", "b", "more-a", "more-b", "more-c"])


def test_a_fresh_route_reads_the_newest_version_that_has_what_it_reads(tmp_path: Path) -> None:
    case = "avro removed"
    world, old, _, _ = start(tmp_path, case)
    breaking(world, case)
    world.write(1, {"id": "a", **old})
    world.write(2, {"id": "b"})
    with running(world.runner()):
        until(lambda: world.told)
    assert world.ids() == Counter(["a"])
    world.map('[event]\nid = "id"\nmissing = "missing"\n')
    with pytest.raises(
        Exception, match=r"orders.toml: event.missing: reads 'missing', and subject orders-value version 2"
    ):
        world.runner()


def test_a_version_that_means_something_else_is_not_read_after_a_restart_as_if_it_always_had(tmp_path: Path) -> None:
    """Its fields are all there, so that only what the ledger knows tells that it was never read."""
    case = "avro other unit"
    world, old, new, _ = start(tmp_path, case)
    world.write(1, {"id": "a", **old})
    world.runner(until_idle=0.3).run()
    breaking(world, case)
    world.write(2, {"id": "b", **new})
    with running(world.runner()):
        until(lambda: world.told)
    assert world.ids() == Counter(["a"])
    world.decode["version"] = 2  # somebody has looked: it is right so
    world.runner(until_idle=0.3).run()
    assert world.ids() == Counter(["a", "b"])


def test_older_writers_go_on_below_the_version_that_is_read(tmp_path: Path) -> None:
    world = World(tmp_path, "avro")
    world.schemas.release("avro", avro(ID))
    world.schemas.release("avro", avro(ID, ("delay", "int", 0)))
    world.write(2, {"id": "a", "delay": 7})
    world.write(1, {"id": "b"})
    world.write(2, {"id": "c", "delay": 8})
    world.runner(until_idle=0.3).run()
    assert {e["id"]: e["delay"] for e in world.events()} == {"a": 7, "b": 0, "c": 8}
    assert not world.told


@pytest.mark.parametrize("case", ["avro other unit", "protobuf renumbered"])
def test_older_records_that_mean_something_else_pause_the_route_too(case: str, tmp_path: Path) -> None:
    """A new pipeline, or one that reads everything again, starts with the newest version and meets the oldest records."""
    world, old, new, rule = start(tmp_path, case)
    breaking(world, case)
    world.write(2, {"id": "a", **new})
    world.write(1, {"id": "b", **old})
    runner = world.runner()
    with running(runner):
        until(lambda: world.told and world.ids().total() == 1)
        report = world.told[0].what
        assert rule in report
        assert "What is read and means something else there:" in report
        assert "set version = 1 in the route's `decode`" in report
        world.decode["version"] = 1
        world.swap()
        until(lambda: world.ids().total() == 2)
    assert world.ids() == Counter(["a", "b"])
    assert {event["id"]: event["delay"] for event in world.events()} == {"a": new["delay"], "b": old["delay"]}


def test_a_compatible_change_flows_on_and_is_what_later_ones_are_held_against(tmp_path: Path) -> None:
    world = World(tmp_path, "avro")
    world.schemas.release("avro", avro(ID, ("delay", "int")))
    world.write(1, {"id": "a", "delay": 1})
    runner = world.runner()
    with running(runner):
        until(lambda: world.ids().total() == 1)
        world.schemas.release("avro", avro(ID, ("delay", "int"), ("gate", "string")))
        world.write(2, {"id": "b", "delay": 1, "gate": "x"})
        until(lambda: world.ids().total() == 2)
        world.schemas.release("avro", avro(ID, ("gate", "string")))
        world.write(3, {"id": "c", "gate": "x"})
        until(lambda: world.told)
    assert "last read     orders-value version 2" in world.told[0].what
    assert "read as       orders-value version 1" in world.told[0].what
    assert "gate" not in world.told[0].what
    assert world.told[0].command == "prism schema diff orders-value 2 3"


@BOTH
def test_the_ledger_knows_what_was_read_last_and_with_which_mapping(kind: str, tmp_path: Path) -> None:
    world, old, _, _ = start(tmp_path, "avro removed")
    world.write(1, {"id": "a", **old})
    world.runner(kind, until_idle=0.3).run()
    ledger = (
        MemoryTransactionalSink(world.broker, "out", "look").ledger if kind == "transactional" else world.store.ledger
    )
    row = ledger.load([Partition("orders", 0)])[Partition("orders", 0)]
    assert row.schema_id == 100
    assert len(row.mapping) == 16
    with running(world.runner(kind)):
        pass  # reads nothing, and forgets nothing
    again = ledger.load([Partition("orders", 0)])[Partition("orders", 0)]
    assert (again.schema_id, again.mapping) == (row.schema_id, row.mapping)


@BOTH
@pytest.mark.parametrize("on_drift", ["pause", "dead_letter", "stop"])
def test_on_drift_has_three_values(kind: str, on_drift: str, tmp_path: Path) -> None:
    case = "json type changed"
    world, old, new, rule = start(tmp_path, case)
    world.write(1, {"id": "a", **old})
    world.runner(kind, until_idle=0.3).run()
    breaking(world, case)
    world.write(2, {"id": "b", **new})
    world.write(1, {"id": "c", **old})
    runner = world.runner(kind, on_drift=on_drift)
    if on_drift == "stop":
        with pytest.raises(SchemaDriftError, match=rule):
            runner.run()
        assert world.ids(kind) == Counter(["a"])
    elif on_drift == "pause":
        with running(runner):
            until(lambda: world.told)
        assert world.ids(kind) == Counter(["a"])
    else:
        with running(runner):
            until(lambda: world.ids(kind).total() == 2 and world.dead())
        assert world.ids(kind) == Counter(["a", "c"])
        (letter,) = world.dead()
        assert letter["prism.code"] == b"schema-drift"
        assert rule.encode() in letter["prism.reason"]


@BOTH
@pytest.mark.parametrize("on_drift", ["pause", "dead_letter", "stop"])
def test_a_registry_that_is_away_pauses_and_the_route_goes_on_when_it_is_back(
    kind: str, on_drift: str, tmp_path: Path
) -> None:
    world = World(tmp_path, "json", partitions=2)
    schema = obj(["id"], id=TEXT, delay=INT)
    world.schemas.release("jsonschema", schema)
    world.write(1, {"id": "a"}, partition=0)
    runner = world.runner(kind, on_drift=on_drift)
    with running(runner):
        until(lambda: world.ids(kind).total() == 1)
        world.schemas.release("jsonschema", {**schema, "title": "again"})
        world.schemas.down = True
        world.write(2, {"id": "b"}, partition=0)
        until(lambda: world.told)
        assert "the registry is down" in world.told[0].what
        world.write(1, {"id": "c"}, partition=1)
        until(lambda: world.ids(kind).total() == 2)  # what is known flows on
        world.schemas.down = False
        until(lambda: world.ids(kind).total() == 3)
        until(lambda: len(world.told) == 2)
    assert world.kinds() == [("paused", "orders"), ("resumed", "orders")]
    assert not world.dead()


def test_a_worker_that_cannot_learn_what_was_read_before_waits_for_the_registry(tmp_path: Path) -> None:
    case = "avro other unit"
    world, old, new, _ = start(tmp_path, case)
    world.write(1, {"id": "a", **old})
    world.runner(until_idle=0.3).run()
    breaking(world, case)
    world.write(1, {"id": "b", **old})
    world.write(2, {"id": "c", **new})
    runner = world.runner()  # built for version 2, with the registry there
    world.schemas.down = True
    with running(runner):
        until(lambda: world.told)
        assert world.ids().total() == 1
        world.schemas.down = False
        until(lambda: world.ids().total() == 2)
        until(lambda: len(world.told) == 2)
        assert "AVR011" in world.told[1].what
    assert world.ids() == Counter(["a", "b"])


def test_a_contract_that_waives_it_in_ci_waives_it_here(tmp_path: Path) -> None:
    case = "avro removed, the reader has a default"
    world, old, new, _ = start(tmp_path, case)
    breaking(world, case)
    waiver = Waiver("AVR015", "/fields/delay", "the statistics bear it", dt.date(2999, 1, 1))
    consumer = Consumer("p", "orders-value", "o", "c", ("delay",), "", "", waivers=(waiver,))
    world.write(1, {"id": "a", **old})
    world.write(2, {"id": "b", **new})
    with running(world.runner()):
        until(lambda: world.told)
        world.schemas.consumers = lambda subject: [consumer]  # type: ignore[attr-defined]  # the capability KeepsContracts
        world.schemas.publish_contract = lambda *_: None  # type: ignore[attr-defined]  # as above
        until(lambda: world.ids().total() == 2)
    assert {e["id"]: e["delay"] for e in world.events()} == {"a": 1, "b": 0}


# --- unknown ids ------------------------------------------------------------------------------------------------------------


def test_ten_records_a_minute_are_let_go_and_no_more() -> None:
    now = [0.0]
    unknown = UnknownIds(lambda: now[0])
    one, other = Partition("in", 0), Partition("in", 1)
    assert unknown.let_go("in", [(one, offset) for offset in range(6)]) == 0
    assert unknown.let_go("in", [(other, offset) for offset in range(5)]) == 11
    assert unknown.let_go("in", [(other, offset) for offset in range(4)]) == 0, "what was refused does not count"
    assert unknown.let_go("in", [(one, 3)]) == 0, "it is read again after an aborted transaction"
    assert unknown.let_go("in", [(one, 6)]) == 11
    assert unknown.let_go("more", [(Partition("more", 0), 0)]) == 0, "each topic has ten"
    now[0] = WITHIN - 0.1
    assert unknown.let_go("in", [(one, 6)]) == 11
    now[0] = WITHIN
    assert unknown.let_go("in", [(one, 6)]) == 0
    assert MOST_UNKNOWN == 10


@BOTH
def test_a_few_unknown_ids_are_dead_letters_and_many_pause_until_they_are_registered(kind: str, tmp_path: Path) -> None:
    world = World(tmp_path, "json")
    schema = obj(["id"], id=TEXT, delay=INT)
    world.schemas.release("jsonschema", schema)
    world.schemas.release("jsonschema", {**schema, "title": "again"})
    world.schemas.hidden = {101}
    few = [{"id": f"few{i}"} for i in range(MOST_UNKNOWN)]
    many = [{"id": f"many{i}"} for i in range(30)]
    runner = world.runner(kind)
    with running(runner):
        world.write(1, *({"id": f"a{i}"} for i in range(40)))
        world.write(2, *few)
        until(lambda: len(world.dead()) == MOST_UNKNOWN)
        assert not world.told
        world.write(1, {"id": "b"})
        world.write(2, *many)
        world.write(1, {"id": "c"})
        until(lambda: world.told)
        until(lambda: world.ids(kind).total() == 41)  # what comes before the first of them
        assert "101" in world.told[0].what
        assert '"dead_letter"' in world.told[0].what
        assert len(world.dead()) == MOST_UNKNOWN
        world.schemas.hidden = set()
        until(lambda: world.ids(kind).total() == 72)
        until(lambda: len(world.told) == 2)
    assert len(world.dead()) == MOST_UNKNOWN
    assert max(world.ids(kind).values()) == 1


def test_while_it_is_paused_for_unknown_ids_not_even_one_goes_to_the_dead_letters(tmp_path: Path) -> None:
    world = World(tmp_path, "json", partitions=2)
    world.schemas.release("jsonschema", obj(["id"], id=TEXT))
    world.schemas.release("jsonschema", obj(["id"], id=TEXT, gate=TEXT))
    world.schemas.hidden = {101}
    world.map('[event]\nid = "id"\n')
    runner = world.runner(on_drift="pause")
    with running(runner):
        world.write(2, *({"id": f"a{i}"} for i in range(11)), partition=0)
        until(lambda: world.told)
        world.write(2, {"id": "b"}, partition=1)
        world.write(1, {"id": "c"}, partition=1)
        until(lambda: runner._pauses._topics["orders"].waiting == {Partition("orders", 0), Partition("orders", 1)})
        assert not world.dead()
        assert not world.ids()
        world.swap(on_drift="dead_letter")  # somebody has looked: they are broken
        until(lambda: len(world.dead()) == 12 and world.ids() == Counter(["c"]))
    assert world.kinds()[-1] == ("resumed", "orders")


@pytest.mark.parametrize("on_drift", ["stop", "dead_letter"])
def test_unknown_ids_follow_on_drift(on_drift: str, tmp_path: Path) -> None:
    world = World(tmp_path, "json")
    world.schemas.release("jsonschema", obj(["id"], id=TEXT))
    world.schemas.release("jsonschema", obj(["id"], id=TEXT, gate=TEXT))
    world.schemas.hidden = {101}
    world.map('[event]\nid = "id"\n')
    world.write(2, *({"id": f"a{i}"} for i in range(12)))
    runner = world.runner(on_drift=on_drift, until_idle=0.3)
    if on_drift == "stop":
        with pytest.raises(SchemaDriftError, match="12 records of topic orders within a minute"):
            runner.run()
        assert not world.dead()
    else:
        runner.run()
        assert len(world.dead()) == 12


# --- the ledger, partitions -------------------------------------------------------------------------------------------------


def test_pauses_and_resumes_are_notes_in_the_ledger(tmp_path: Path) -> None:
    case = "avro removed"
    world, old, new, _ = start(tmp_path, case)
    breaking(world, case)
    world.write(1, {"id": "a", **old})
    world.write(2, {"id": "b", **new})
    with running(world.runner("writing")):
        until(lambda: world.told)
        world.map('[event]\nid = "id"\n')
        world.swap()
        until(lambda: len(world.told) == 2)
    paused, resumed = world.store.ledger.notes()
    assert (paused.kind, paused.stream, paused.first, paused.who) == ("paused", "orders", 1, "worker 1")
    assert "AVR003" in paused.what
    assert (resumed.kind, resumed.stream) == ("resumed", "orders")


class Forgetful(MemoryTransactionalSink):
    """Takes rows, and no notes."""

    error: Exception = RetryableError("the ledger is away")

    def save_ledger(self, rows: Any, notes: Any = ()) -> None:
        if notes:
            raise self.error
        super().save_ledger(rows)


def test_a_ledger_that_takes_no_note_keeps_no_route_from_pausing(tmp_path: Path) -> None:
    case = "avro removed"
    world, _old, new, _ = start(tmp_path, case)
    breaking(world, case)
    world.write(2, {"id": "b", **new})
    with running(world.runner(sink=Forgetful(world.broker, "out", "1"))):
        until(lambda: world.told)
    sink = Forgetful(world.broker, "out", "2")
    sink.error = FencedError("a successor took over")
    with pytest.raises(FencedError):
        world.runner(sink=sink, name="2").run()


def test_a_swap_for_something_else_does_not_make_a_route_forget_what_it_read(tmp_path: Path) -> None:
    """The new routes are built for the latest version, which means something else by the field."""
    case = "avro other unit"
    world, old, new, _ = start(tmp_path, case, "orders", "more")
    world.map('[event]\nid = "id"\n', "more")
    world.write(1, {"id": "a", **old})
    with running(world.runner()) as runner:
        until(lambda: world.ids().total() == 1)
        breaking(world, case)
        world.map('[event]\nid = "id"\nkind = { const = "x" }\n', "more")
        world.swap()
        until(lambda: runner.counters.reloads == 1)
        world.write(1, {"id": "more", **old}, topic="more")
        world.write(2, {"id": "b", **new})
        until(lambda: world.told)
        until(lambda: world.ids().total() == 2)
    assert world.ids() == Counter(["a", "more"])
    assert {event["id"]: event.get("kind") for event in world.events()}["more"] == "x"


def test_other_partitions_go_on_until_they_meet_it_too(tmp_path: Path) -> None:
    case = "avro int to string"
    world, old, new, _ = start(tmp_path, case, partitions=2)
    world.write(1, {"id": "a", **old}, partition=0)
    with running(world.runner()) as runner:
        until(lambda: world.ids().total() == 1)
        breaking(world, case)
        world.write(2, {"id": "b", **new}, partition=0)
        until(lambda: world.told)
        world.write(1, *({"id": f"c{i}", **old} for i in range(20)), partition=1)
        until(lambda: world.ids().total() == 21)
        world.write(2, {"id": "d", **new}, partition=1)
        until(lambda: len(runner._pauses._topics["orders"].waiting) == 2)
        # nothing of the old version is left, so that a mapping of the new one reads all there is
        world.decode["version"] = 2
        world.swap()
        until(lambda: world.ids().total() == 23)
    assert world.kinds() == [("paused", "orders"), ("resumed", "orders")]


def test_a_second_worker_pauses_what_it_takes_over_and_nothing_is_lost_by_that(tmp_path: Path) -> None:
    case = "avro removed"
    world, old, new, _ = start(tmp_path, case, partitions=2)
    breaking(world, case)
    for partition in (0, 1):
        world.write(1, {"id": f"a{partition}", **old}, partition=partition)
        world.write(2, {"id": f"b{partition}", **new}, partition=partition)
    with running(world.runner()) as first:
        until(lambda: first._pauses._topics and len(first._pauses._topics["orders"].waiting) == 2)
        with running(world.runner(name="2")) as second:
            until(lambda: second.counters.pauses == 1)
            until(lambda: [len(one._pauses._topics["orders"].waiting) for one in (first, second)] == [1, 1])
            assert world.kinds() == [("paused", "orders")] * 2
    world.map('[event]\nid = "id"\n')
    world.runner(until_idle=0.3).run()
    assert world.ids() == Counter(["a0", "a1", "b0", "b1"])


class Pausing:
    """A source that is paused and resumed."""

    def __init__(self) -> None:
        self.paused: set[Partition] = set()

    def pause(self, partitions: Sequence[Partition]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self.paused.difference_update(partitions)


ONE, TWO, OTHER = Partition("in", 0), Partition("in", 1), Partition("more", 0)


def test_a_topic_rests_partition_by_partition_and_is_probed_at_one_time() -> None:
    now, source = [0.0], Pausing()
    pauses = Pauses(source, lambda: now[0])  # type: ignore[arg-type]  # pausing is all that is asked
    seconds, first = pauses.pause(ONE)
    assert first
    assert 0 < seconds <= 0.02
    assert pauses.pause(TWO) == (seconds, False)
    assert source.paused == {ONE, TWO}
    assert pauses.resting() == ["in"]
    assert not pauses.works(OTHER)
    pauses.resume_due()
    assert source.paused == {ONE, TWO}
    now[0] = 1.0
    pauses.resume_due()
    assert source.paused == set()
    assert not pauses.works(ONE)
    assert pauses.resting() == ["in"], "the other one was not read yet"
    pauses.pause(TWO)
    assert not pauses.works(TWO), "what rests did not work"
    pauses.wake(["in", "more"])
    assert source.paused == set()
    assert pauses.works(TWO)
    assert pauses.resting() == []


def test_what_rests_for_two_reasons_wakes_when_both_are_over() -> None:
    now, source = [0.0], Pausing()
    pauses = Pauses(source, lambda: now[0])  # type: ignore[arg-type]  # as above
    pauses.pause(ONE)
    pauses.pause_all([ONE, TWO])
    now[0] = 1.0
    pauses.resume_due()
    assert source.paused == {ONE, TWO}
    pauses.resume_all()
    assert source.paused == set()
    pauses.pause(ONE)
    pauses.pause_all([ONE, TWO])
    pauses.resume_all()
    assert source.paused == {ONE}


def test_a_topic_whose_partitions_went_to_others_rests_no_more_here() -> None:
    source = Pausing()
    pauses = Pauses(source)  # type: ignore[arg-type]  # as above
    pauses.pause(ONE)
    pauses.pause(OTHER)
    assert pauses.keep({TWO, OTHER}) == ["in"]
    assert pauses.resting() == ["more"]


# --- random interleavings ----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("seed", range(6))
def test_no_record_is_skipped_or_doubled_whatever_happens_when(
    kind: str, seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The oracle is what was published; drift, registry, restarts and mappings come at random."""
    rng = random.Random(seed)
    topics = ("orders", "more")
    world = World(tmp_path, "json", *topics, partitions=3)
    schema = obj(["id", "delay"], id=TEXT, delay=INT)
    for topic in topics:
        world.map('[event]\nid = "id"\ndelay = "delay"\n', topic)
        world.schemas.release("jsonschema", schema, f"{topic}-value")
        world.schemas.release("jsonschema", obj(["id", "delay"], id=TEXT, delay=TEXT), f"{topic}-value")  # breaks
        world.schemas.release("jsonschema", {**schema, "title": "three"}, f"{topic}-value")
    ids = {(one.subject, one.version): one.id for one in world.schemas.released}
    published: list[str] = []

    def publish() -> None:
        topic, partition = rng.choice(topics), rng.choice((None, 0, 1, 2))
        for version in rng.choices((1, 2, 3), (8, 1, 3), k=rng.randint(1, 4)):
            count, delay = rng.randint(1, 12), "1" if version == 2 else 1
            rows = [{"id": f"{topic}-{len(published) + i}", "delay": delay} for i in range(count)]
            published.extend(row["id"] for row in rows)
            world.write(version, *rows, topic=topic, partition=partition)

    def remap() -> None:
        world.map(f'[event]\nid = "id"\ndelay = "delay"\nn = {{ const = {rng.randint(0, 3)} }}\n', rng.choice(topics))
        if not world.schemas.down:
            world.swap()

    steps: list[Callable[[], Any]] = [
        publish, publish, publish, remap,
        lambda: setattr(world.schemas, "down", not world.schemas.down),
        lambda: world.schemas.hidden.symmetric_difference_update({rng.choice(list(ids.values()))}),
    ]  # fmt: skip
    for last in (False, False, False, True):
        for _ in range(rng.randint(0, 6)):
            publish()
        down, world.schemas.down = world.schemas.down, False
        runner = world.runner(kind)
        world.schemas.down = down
        with running(runner):
            for _ in range(15):
                rng.choice(steps)()
                time.sleep(rng.choice((0, 0.005, 0.03)))
            if last:
                world.schemas.down = False
                world.schemas.hidden = set()
                world.decode["version"] = 3  # somebody has looked: all versions are right as they are
                world.swap()
                until(lambda: world.ids(kind).total() + len(world.dead()) >= len(published), 30)
    found = world.ids(kind)
    letters = Counter(r.key.decode() for r in world.broker.records("p.dead-letters"))
    assert found + letters == Counter(published)
    assert {r["prism.code"] for r in world.dead()} <= {b"unknown-schema-id"}
    # ten a minute for each topic, and each of the workers counts anew
    assert len(world.dead()) <= 2 * MOST_UNKNOWN * 4
