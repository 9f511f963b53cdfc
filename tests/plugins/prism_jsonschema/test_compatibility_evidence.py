"""Verdicts are backed by data: what is valid for the writer is valid for a reader that is called compatible.

The judge is ``jsonschema``, a validator that has nothing to do with the code under test.
"""

from __future__ import annotations

import json
import os
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prism_jsonschema.compatibility.format import JsonSchemaFormat
from prism_jsonschema.compatibility.rules import RULES
from prismlib.contracts.format import SchemaText
from prismlib.contracts.rules import Difference
from prismlib.errors import SchemaParseError
from tests.plugins.prism_jsonschema.schemas import evolved, guided, schemas

FORMAT = JsonSchemaFormat()
FUZZ = int(os.environ.get("PRISM_FUZZ_SCHEMAS", "0"))
RICH = settings(
    max_examples=FUZZ or 400,
    derandomize=not FUZZ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

AGREED = {"JSN008": "a required property with a default passes in Confluent's registry; validators do not fill it in"}
"""Where the profile confluent agrees with Confluent although a record may not be valid; the pages of the rules say so."""


def parsed(schema: Any) -> Any:
    return FORMAT.parse(SchemaText(json.dumps(schema), {}, "drawn"))


def differences(reader: Any, writer: Any) -> list[Difference]:
    return list(FORMAT.can_read(reader=parsed(reader), writer=parsed(writer)))


def is_valid(value: Any, schema: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def parses(schema: Any) -> bool:
    try:
        parsed(schema)
    except SchemaParseError:  # such as a definition that refers to itself alone
        return False
    return True


@RICH
@given(data=st.data(), writer=schemas())
def test_what_is_compatible_is_valid(data, writer):
    reader = data.draw(evolved(writer))
    if reader == writer or not (parses(writer) and parses(reader)):
        return
    found = differences(reader, writer)
    fails = {policy for one in found for policy in RULES[one.rule].fails}
    agreed = AGREED.keys() & {one.rule for one in found}
    if "wire" not in fails or ("confluent" not in fails and not agreed):
        for value in data.draw(st.lists(guided(writer, writer) | guided(reader, reader), min_size=8, max_size=8)):
            if is_valid(value, writer):
                assert is_valid(value, reader), value


@RICH
@given(schema=schemas())
def test_a_schema_reads_what_it_writes(schema):
    if parses(schema):
        assert differences(schema, schema) == []
