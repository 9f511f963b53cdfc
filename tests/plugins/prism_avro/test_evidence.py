"""Verdicts are backed by data: what is called compatible is written with the old schema, and read with the new one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prism_avro.compatibility.format import AvroFormat
from prism_avro.compatibility.rules import RULES
from prismlib.contracts.format import SchemaText
from prismlib.contracts.rules import Difference, Policy
from tests.plugins.prism_avro.drawing import read, write
from tests.plugins.prism_avro.evolving import pairs, rich_schemas, values_of

FORMAT = AvroFormat()
RICH = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

AGREED = {
    "AVR009": "bytes that are no UTF-8 cannot be read as a string",
    "AVR010": "a library that converts logical types can fail on text that is no uuid, and on days beyond its calendar",
}
"""Where the profile confluent agrees with Confluent although a value may not decode; the pages of the rules say so."""


def differences(reader: Any, writer: Any) -> list[Difference]:
    new, old = (FORMAT.parse(SchemaText(json.dumps(one), {}, "drawn")) for one in (reader, writer))
    return list(FORMAT.can_read(reader=new, writer=old))


def passes(found: list[Difference], policy: Policy) -> bool:
    return not any(policy in RULES[one.rule].fails for one in found)


def decoded(data: Any, old: Any, new: Any, new_registry: Any, new_decoder: Any, batch_of: Any) -> Any:
    """A drawn value of ``old``: as itself, and as our decoder reads it with ``new``."""
    registry = new_registry()
    value = b"\0\0\0\0" + bytes([registry.release("s", old).id]) + write(old, data.draw(values_of(old)))
    (plain,) = new_decoder(registry, "s").decode(batch_of([value])).rows
    registry.release("s", new)
    result = new_decoder(registry, "s").decode(batch_of([value]))
    assert result.stop is None
    assert not result.errors
    return value[5:], plain, result.rows[0]


@RICH
@given(data=st.data(), pair=pairs())
def test_what_is_compatible_decodes(data, pair, new_registry, new_decoder, batch_of):
    old, new = pair
    found = differences(new, old)
    if passes(found, "confluent") and not {one.rule for one in found} & AGREED.keys():
        value, _, _ = decoded(data, old, new, new_registry, new_decoder, batch_of)
        read(value, old, new)


@RICH
@given(data=st.data(), pair=pairs())
def test_what_is_compatible_on_the_wire_means_the_same(data, pair, new_registry, new_decoder, batch_of):
    old, new = pair
    if passes(differences(new, old), "wire"):
        _, before, after = decoded(data, old, new, new_registry, new_decoder, batch_of)
        assert_same(before, after)


def assert_same(before: Any, after: Any) -> None:
    """Equal in all that both have: fields that are new, gone or renamed aside."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() & after.keys():
            assert_same(before[key], after[key])
    elif isinstance(before, list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    else:
        assert before == after


@RICH
@given(data=st.data(), pair=pairs())
def test_what_breaks_every_record_does_not_decode(data, pair, new_registry, new_decoder, batch_of):
    """The other way round, for fields of the root: no record is read there, so the finding is no false alarm."""
    old, new = pair
    found = [one for one in differences(new, old) if one.rule in {"AVR001", "AVR003"} and one.path.count("/") == 2]
    if found:
        registry = new_registry()
        value = b"\0\0\0\0" + bytes([registry.release("s", old).id]) + write(old, data.draw(values_of(old)))
        registry.release("s", new)
        assert new_decoder(registry, "s").decode(batch_of([value])).stop is not None


@RICH
@given(schema=rich_schemas())
def test_a_schema_reads_what_it_writes(schema):
    assert differences(schema, schema) == []


def test_the_agreements_are_said_on_the_pages():
    for rule, why in AGREED.items():
        assert why
        assert "confluent" not in RULES[rule].fails
