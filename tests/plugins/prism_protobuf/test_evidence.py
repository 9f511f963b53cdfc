"""Verdicts are backed by data: what was written with one schema is read with the other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from prism_protobuf.compatibility.format import ProtobufFormat
from prism_protobuf.compatibility.rules import RULES
from prismlib.contracts.rules import Difference, Policy
from tests.plugins.prism_protobuf.evolving import (
    FieldSpec,
    FileSpec,
    changed,
    differing,
    files,
    is_schema,
    values,
    write,
)

FORMAT = ProtobufFormat()
MODULES = Path(__file__).parents[3] / "plugins" / "prism_protobuf" / "compatibility" / "rules"

AGREEMENTS = {"PRO013"}
"""Where the policy ``confluent`` passes what may not parse, because Confluent does; the page of each rule says so."""

SETTINGS = settings(
    max_examples=int(os.environ.get("PRISM_FUZZ_SCHEMAS", "500")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def failing(found: list[Difference], policy: Policy) -> list[Difference]:
    return [one for one in found if policy in RULES[one.rule].fails and one.newer in (None, "reader")]


@st.composite
def cases(draw: st.DrawFn) -> tuple[FileSpec, FileSpec, list[dict[str, Any]]]:
    one = draw(files())
    other = draw(changed(one))
    assume(is_schema(one) and is_schema(other))
    writer, reader = draw(st.permutations([one, other]))
    return writer, reader, draw(st.lists(values(writer), min_size=1, max_size=4))


@SETTINGS
@given(cases())
def test_what_is_compatible_parses_and_under_wire_means_the_same(
    case: tuple[FileSpec, FileSpec, list[dict[str, Any]]],
) -> None:
    writer, reader, bodies = case
    found = list(FORMAT.can_read(reader=reader.schema(), writer=writer.schema()))
    confluent, wire = failing(found, "confluent"), failing(found, "wire")
    for body in bodies:
        message = write(writer, body)
        if message is None:
            continue
        read = reader.message()()
        try:
            read.ParseFromString(message.SerializeToString())
            whole = read.IsInitialized()
        except DecodeError:
            whole = False
        if not whole:
            assert confluent or {one.rule for one in found} & AGREEMENTS
            assert wire
        elif not wire:
            assert differing(message, read) is None


def test_agreements_that_are_not_backed_are_said_on_their_pages() -> None:
    for rule in AGREEMENTS:
        page = (MODULES / f"{RULES[rule].name.replace('-', '_')}.py").read_text(encoding="utf-8")
        assert "although bytes may not decode" in page.split("Confluent:")[1]


@pytest.mark.parametrize("policy", ["confluent", "wire", "consumer"])
def test_the_evidence_would_find_a_verdict_that_is_too_mild(policy: Policy) -> None:
    """The comparison sees what it is there to see."""
    spec = FileSpec("proto3")
    spec.messages["M"] = [FieldSpec("a", 1, "int64")]
    other = spec.copy()
    other.messages["M"] = [FieldSpec("a", 1, "int32" if policy != "confluent" else "string")]
    read = other.message()()
    message = write(spec, {"a": 1 << 40})
    read.ParseFromString(message.SerializeToString())
    assert differing(message, read) == ".a"
    assert failing(list(FORMAT.can_read(reader=other.schema(), writer=spec.schema())), policy)
