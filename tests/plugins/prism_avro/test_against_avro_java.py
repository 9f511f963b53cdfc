"""Avro Java itself as the oracle: of verdicts, of what it can decode, and of what it takes for a schema.

It is the one in the registry of the development servers. ``PRISM_FUZZ_SCHEMAS`` is the number of drawn pairs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prism_avro.compatibility.format import AvroFormat
from prism_avro.compatibility.rules import RULES
from prism_devservers import SchemaRegistry
from prism_devservers.download import fetch
from prism_devservers.java import java, java_environment
from prismlib.contracts.format import SchemaText
from prismlib.errors import SchemaParseError
from tests.plugins.prism_avro.drawing import write
from tests.plugins.prism_avro.evolving import pairs, values_of
from tests.plugins.prism_avro.test_parsing import BOTH_REFUSE, WE_REFUSE, record
from tests.plugins.prism_avro.test_rules import CASES

pytestmark = pytest.mark.real

FORMAT = AvroFormat()
BUDGET = min(int(os.environ.get("PRISM_FUZZ_SCHEMAS", "1000")), 100_000)
Row = tuple[Any, Any, bytes]  # reader, writer, and a value or nothing
Ask = Callable[[Sequence[Row]], list[list[str]]]

PADDING = bytes(10_000)
"""Behind each value, since Avro Java 1.12.2 measures the items of an array by the reader's schema, and finds too few bytes left for
those that have a field more."""

STRICTER = {"AVR003", "AVR008", "AVR019", "AVR020"}
"""Rules that go further than SchemaCompatibility, each where Avro Java's own decoder fails."""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    folder = tmp_path_factory.mktemp("avro_java")
    application = SchemaRegistry(folder=folder / "registry").prepare().class_path[0].parent
    names = ("org.apache.avro.avro-", "com.fasterxml.jackson.", "org.slf4j.", "commons-", "org.apache.commons.")
    jars = [jar for jar in sorted(application.rglob("*.jar")) if jar.name.startswith(names)]
    class_path = os.pathsep.join(map(str, [folder, *jars]))
    (compiler,) = fetch("build").values()
    source = Path(__file__).with_name("AvroJava.java")
    command = [java(), "-jar", str(compiler), "-21", "-nowarn", "-proc:none", "-cp", class_path, "-d", str(folder)]
    subprocess.run([*command, str(source)], check=True, env=java_environment())

    def answers(rows: Sequence[Row]) -> list[list[str]]:
        lines = [f"{json.dumps(reader)}\t{json.dumps(writer)}\t{value.hex()}\n" for reader, writer, value in rows]
        done = subprocess.run(
            [java(), "-cp", class_path, "AvroJava"],
            input="".join(lines), capture_output=True, text=True, check=True, env=java_environment(),
        )  # fmt: skip
        given = [line.split(" ") for line in done.stdout.splitlines()]
        assert len(given) == len(rows)
        return given

    return answers


def failing(reader: Any, writer: Any) -> set[str]:
    """Rules that fail in the profile confluent."""
    new, old = (FORMAT.parse(SchemaText(json.dumps(one), {}, "s")) for one in (reader, writer))
    return {one.rule for one in FORMAT.can_read(new, old) if "confluent" in RULES[one.rule].fails}


def drawn(count: int) -> list[Row]:
    rows: list[Row] = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data(), pair=pairs())
    def draw(data: Any, pair: Any) -> None:
        old, new = pair
        rows.append((new, old, write(old, data.draw(values_of(old))) + PADDING))
        rows.append((old, new, b""))

    draw()
    return rows


def test_verdicts_are_those_of_avro_java(ask: Ask) -> None:
    rows = drawn(BUDGET)
    seen = set()
    for (reader, writer, value), (compatible, reads) in zip(rows, ask(rows), strict=True):
        ours = failing(reader, writer)
        seen.add((bool(ours), compatible))
        if not ours:
            wanted = ("compatible", "reads" if value else reads)
            assert (compatible, reads) == wanted, json.dumps([reader, writer, value.hex()])
        elif compatible == "compatible":
            assert ours <= STRICTER, json.dumps([reader, writer, sorted(ours)])
    assert {(False, "compatible"), (True, "incompatible")} <= seen


def test_cases_are_what_avro_java_says(ask: Ask) -> None:
    """A case that deviates is one that Avro Java calls compatible."""
    cases = [param.values[1] for param in CASES if "references" not in param.values[1]]
    answers = ask([(case["reader"], case["writer"], b"\0") for case in cases])
    for case, (compatible, _) in zip(cases, answers, strict=True):
        wanted = case["compatible"]["confluent"] or "deviates" in case
        assert compatible == ("compatible" if wanted else "incompatible"), case["description"]


def test_what_avro_java_refuses_is_refused(ask: Ask) -> None:
    schemas = [*(record(one) for one in BOTH_REFUSE), *WE_REFUSE.values()]
    for schema, (answer, _) in zip(schemas, ask([(one, one, b"") for one in schemas]), strict=True):
        assert answer == "refused", schema
        with pytest.raises(SchemaParseError):
            FORMAT.parse(SchemaText(json.dumps(schema), {}, "s"))
