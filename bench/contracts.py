"""How fast schemas are checked: one from a cold start, a folder of a thousand subjects, and pair by pair beside peers.

    python -m bench.contracts [--subjects 1000] [--versions 10] [--rounds 3] [--starts 40] [--only start folder pairs]

start    ``prism-check-schema`` for one Avro subject, in turn with a Python that imports click and fastavro: user and
         system seconds of whole processes, and wall time; medians.
folder   subjects of so many versions and a proposal, BACKWARD_TRANSITIVE: the whole command, and the format alone, from
         texts in memory. All formats that are installed; the lowest of the rounds.
pairs    one reader against one writer, both parsed already, beside the library ``avro`` where it is installed.

Every version adds an optional field, so that all is compatible: that is what most runs in CI look at. CPU seconds include
those of child processes, such as protoc.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prismlib.contracts.compatibility import MODES, compare
from prismlib.contracts.format import SchemaText
from prismlib.contracts.formats import installed_formats, load_format
from prismlib.contracts.subject import SUFFIXES

GATE = str(Path(sys.executable).with_name("prism-check-schema"))
MODE = "BACKWARD_TRANSITIVE"
SUBJECT = 'format = "{}"\ncompatibility = "{}"\nowner = "shop"\ncontact = "shop@example.org"\ntopic = "orders-{}"\n'
TARGETS = {"avro": 3.0, "protobuf": 10.0, "jsonschema": 10.0}
"""Wall seconds for 1,000 subjects of 10 versions on two cores."""


# --- schemas -----------------------------------------------------------------------------------------------------------


def avro(subject: int, version: int) -> str:
    """An order of twelve fields, and one more for each version after the first."""
    time_ = {"type": "long", "logicalType": "timestamp-millis"}
    line = [("sku", "string"), ("quantity", "int"), ("price", "double"), ("gift", ["null", "string"])]
    address = [("street", "string"), ("city", "string"), ("zip", ["null", "string"]), ("country", "string")]
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string", "doc": "the number on the bill"},
        {"name": "customer", "type": "long"},
        {"name": "created", "type": time_},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "currency", "type": "string"},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SENT", "LOST"]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "lines", "type": {"type": "array", "items": avro_record("Line", line)}},
        {"name": "address", "type": avro_record("Address", address)},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "shipped", "type": ["null", time_], "default": None},
        {"name": f"weight_{subject % 7}", "type": "double"},
    ]
    fields += [
        {"name": f"added_{number}", "type": ["null", "string"], "default": None} for number in range(2, version + 1)
    ]
    order = {"type": "record", "name": "Order", "namespace": f"shop.s{subject}", "fields": fields}
    return json.dumps(order, indent=2)


def avro_record(name: str, fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def protobuf(subject: int, version: int) -> str:
    """The same order as a message."""
    added = "".join(f"  optional string added_{number} = {number + 20};\n" for number in range(2, version + 1))
    return f"""syntax = "proto3";
package shop.s{subject};
import "google/protobuf/timestamp.proto";
enum Status {{ STATUS_UNSPECIFIED = 0; STATUS_NEW = 1; STATUS_PAID = 2; STATUS_SENT = 3; }}
message Line {{ string sku = 1; int32 quantity = 2; double price = 3; optional string gift = 4; }}
message Address {{ string street = 1; string city = 2; optional string zip = 3; string country = 4; }}
message Order {{
  string id = 1;  // the number on the bill
  int64 customer = 2;
  google.protobuf.Timestamp created = 3;
  int64 total_cents = 4;
  string currency = 5;
  Status status = 6;
  optional string note = 7;
  repeated Line lines = 8;
  Address address = 9;
  map<string, string> tags = 10;
  google.protobuf.Timestamp shipped = 11;
  double weight_{subject % 7} = 12;
{added}}}
"""


def jsonschema(subject: int, version: int) -> str:
    """The same order as an object without other properties, to which optional ones may be added."""
    text: dict[str, Any] = {"type": "string"}
    nullable = {"type": ["string", "null"]}
    line = {"sku": text, "quantity": {"type": "integer", "minimum": 1}, "price": {"type": "number"}, "gift": nullable}
    address = {"street": text, "city": text, "zip": nullable, "country": text}
    properties = {
        "id": {"type": "string", "description": "the number on the bill", "minLength": 1},
        "customer": {"type": "integer"},
        "created": {"type": "string", "format": "date-time"},
        "total": {"type": "number", "minimum": 0},
        "currency": text,
        "status": {"enum": ["NEW", "PAID", "SENT", "LOST"]},
        "note": nullable,
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "address": closed(address, ["street", "city", "country"]),
        "tags": {"type": "object", "additionalProperties": text},
        "shipped": {"type": ["string", "null"], "format": "date-time"},
        f"weight_{subject % 7}": {"type": "number"},
        **{f"added_{number}": nullable for number in range(2, version + 1)},
    }
    order = {"$schema": "https://json-schema.org/draft/2020-12/schema", **closed(properties, ["id", "customer"])}
    order["$defs"] = {"line": closed(line, ["sku", "quantity"])}
    return json.dumps(order, indent=2)


def closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


DRAWN: dict[str, Callable[[int, int], str]] = {"avro": avro, "protobuf": protobuf, "jsonschema": jsonschema}


def write_folder(root: Path, name: str, subjects: int, versions: int) -> None:
    """A folder as a registry has it: all versions and a proposal of each subject."""
    draw, suffix = DRAWN[name], SUFFIXES[name]  # type: ignore[index]  # a format of ours
    for subject in range(subjects):
        folder = root / f"orders-{subject:05}-value"
        folder.mkdir(parents=True)
        (folder / "subject.toml").write_text(SUBJECT.format(name, MODE, subject))
        for version in range(1, versions + 1):
            (folder / f"v{version}{suffix}").write_text(draw(subject, version))
        (folder / f"next{suffix}").write_text(draw(subject, versions + 1))


# --- a cold start ------------------------------------------------------------------------------------------------------


def run_process(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of one whole process."""
    # As in an installed environment, where bytecode is there.
    # Exit code 0, which is asked for below, is that of the gate where all is compatible.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    there = Path.cwd()
    os.chdir(folder)
    try:
        begun = time.perf_counter()
        process = os.posix_spawn(command[0], command, environment, file_actions=quiet)
        _, status, used = os.wait4(process, 0)
        wall = time.perf_counter() - begun
    finally:
        os.chdir(there)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime, wall


def compare_starts(times: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        write_folder(Path(temporary) / "schemas", "avro", 1, 1)
        commands = {
            "prism-check-schema": [GATE],
            "import click, fastavro": [sys.executable, "-c", "import click, fastavro"],
            "python alone": [sys.executable, "-c", ""],
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(times + 1):
            for name, command in commands.items():
                figure = run_process(command, Path(temporary))
                if number:  # the first run compiles what is not compiled yet
                    figures[name].append(figure)
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in figures.items()
    }
    base = medians["import click, fastavro"][0]
    print(f"start, medians of {times}")
    for name, (cpu, wall) in medians.items():
        print(f"  {name:<24} {cpu * 1e3:7.1f} ms CPU  {wall * 1e3:7.1f} ms wall   ratio {cpu / base:.2f}")
    print("  targets: ratio 1.5, 150 ms")


# --- a folder ----------------------------------------------------------------------------------------------------------


class Clock:
    """The lowest CPU and wall seconds of several measurements of a name."""

    def __init__(self) -> None:
        self.lowest: dict[str, tuple[float, float]] = {}

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        cpu, wall = cpu_seconds(), time.perf_counter()
        yield
        self.add(name, cpu_seconds() - cpu, time.perf_counter() - wall)

    def add(self, name: str, cpu: float, wall: float) -> None:
        known = self.lowest.get(name, (cpu, wall))
        self.lowest[name] = min(known[0], cpu), min(known[1], wall)

    def show(self) -> None:
        for name, (cpu, wall) in self.lowest.items():
            print(f"  {name:<36} {wall:7.2f} s wall  {cpu:7.2f} s CPU")


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def check_folder(name: str, subjects: int, versions: int, rounds: int) -> None:
    fmt = load_format(name)
    clock = Clock()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "schemas"
        write_folder(root, name, subjects, versions)
        for number in range(rounds):
            # What protoc makes of a text is kept in the user's cache folder: an empty one for the first round.
            os.environ["PRISM_CACHE"] = str(Path(temporary) / "cache")
            first = ", nothing cached" if name == "protobuf" and number == 0 else ""
            clock.add(f"the command{first}", *run_process([GATE, "--registry", str(root)], root))
            texts = [
                [SchemaText(DRAWN[name](subject, version), {}, "a version") for version in range(1, versions + 2)]
                for subject in range(subjects)
            ]
            with clock.measured("the format alone: parse"):
                parsed = [fmt.parse_all(one) for one in texts]
            with clock.measured("the format alone: compare"):
                found = [compare(fmt, MODES[MODE], one[-1], list(enumerate(one[:-1], 1))) for one in parsed]
            assert len(found) == subjects
    print(f"folder, {name}: {subjects:,} subjects of {versions} versions and a proposal, {MODE}")
    clock.show()
    print(f"  target for 1,000 of 10: {TARGETS[name]:.0f} s wall")


# --- pairs -------------------------------------------------------------------------------------------------------------


def per_pair(name: str, check: Callable[[Any, Any], Any], parsed: Sequence[Any], rounds: int) -> None:
    """Microseconds of CPU to hold the newest of some versions against each older one."""
    *older, new = parsed
    lowest = float("inf")
    for _ in range(rounds * 10):
        begun = time.process_time()
        for _ in range(20):
            for old in older:
                check(new, old)
        lowest = min(lowest, (time.process_time() - begun) / 20 / len(older))
    print(f"  {name:<36} {lowest * 1e6:7.1f} us a pair")


def compare_pairs(names: Sequence[str], versions: int, rounds: int) -> None:
    print("pairs, parsed already")
    for name in names:
        fmt = load_format(name)
        texts = [SchemaText(DRAWN[name](0, version), {}, "a version") for version in range(1, versions + 2)]
        per_pair(
            f"{name}: prism", lambda new, old, f=fmt: f.can_read(reader=new, writer=old), fmt.parse_all(texts), rounds
        )
        if name == "avro":
            against_avro([one.text for one in texts], rounds)


def against_avro(texts: Sequence[str], rounds: int) -> None:
    try:
        from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
        from avro.schema import parse
    except ImportError:
        print("  avro: the library avro               not installed")
        return

    def check(new: Any, old: Any) -> None:
        # A checker remembers pairs: a new one each time, as avro's own examples make it.
        result = ReaderWriterCompatibilityChecker().get_compatibility(new, old)
        assert result.compatibility is SchemaCompatibilityType.compatible, result

    per_pair("avro: the library avro", check, [parse(text) for text in texts], rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=("start", "folder", "pairs"), default=("start", "folder", "pairs"))
    parser.add_argument("--formats", nargs="+", choices=sorted(DRAWN), help="of those installed; all by default")
    options = parser.parse_args()
    names = [name for name in options.formats or sorted(DRAWN) if name in installed_formats()]
    if "start" in options.only:
        compare_starts(options.starts)
    if "folder" in options.only:
        for name in names:
            check_folder(name, options.subjects, options.versions, options.rounds)
    if "pairs" in options.only:
        compare_pairs(names, options.versions, options.rounds)


if __name__ == "__main__":
    main()
