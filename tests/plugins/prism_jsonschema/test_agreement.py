"""What validates (jsonschema-rs) and what explains (jsonschema) agree on schemas and values drawn at random.

``PRISM_FUZZ`` is a hundred times the number of schemas.
"""

from __future__ import annotations

import json
import math
import os
import random
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prism_jsonschema.documents import DRAFTS, read_documents
from prism_jsonschema.effort import Budget
from prism_jsonschema.explaining import Explainer
from prism_jsonschema.validation import SchemaCheck
from prismlib.errors import DecodeError, SchemaParseError

EXAMPLES = int(os.environ.get("PRISM_FUZZ", "20000")) // 100

NAMES = st.sampled_from(["a", "b", "ab", "n", "x_1", ""])
INTEGERS = st.integers(-20, 20) | st.sampled_from([-(1 << 63), (1 << 53) + 1, (1 << 64) - 1])
# Halves, so that the remainders which both compute are exact.
NUMBERS = INTEGERS | st.integers(-40, 40).map(lambda halves: halves / 2)
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "a", "ab", "abc", "x1", "1", "\U0001f600", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
PATTERNS = st.sampled_from(["^a", "b$", "^[a-z]+$", "\\d", "^x_", "a|1", "", "^(?!a)", "(a)\\1", "^.{2}$"])
SMALL = st.integers(0, 4)


def keywords(inner: st.SearchStrategy[Any], draft: str) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of some keywords, whose subschemas are drawn from ``inner``."""
    newest = draft == DRAFTS["draft/2020-12/schema"]
    oldest = draft == DRAFTS["draft-04/schema"]
    some = st.lists(inner, min_size=1, max_size=3)
    known: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3, unique_by=json.dumps),
        "minimum": INTEGERS,
        "maximum": INTEGERS,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 1.5]),
        "minLength": SMALL,
        "maxLength": SMALL,
        "pattern": PATTERNS,
        "minItems": SMALL,
        "maxItems": SMALL,
        "uniqueItems": st.booleans(),
        "items": inner if newest else inner | some,
        "minProperties": SMALL,
        "maxProperties": SMALL,
        "required": st.lists(NAMES, min_size=1, max_size=3, unique=True),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "additionalProperties": inner,
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "format": st.sampled_from(["date-time", "email", "ipv4", "no such"]),
        "$ref": st.sampled_from(["#/definitions/one", "two.json", "two.json#/definitions/three"]),
    }
    lists = st.lists(NAMES, min_size=1, unique=True)
    known["dependencies"] = st.dictionaries(NAMES, inner, max_size=2) | st.dictionaries(NAMES, lists, max_size=2)
    if not newest:
        known["additionalItems"] = inner
    if not oldest:
        known |= {
            "const": VALUES,
            "exclusiveMinimum": INTEGERS,
            "exclusiveMaximum": INTEGERS,
            "contains": inner,
            "propertyNames": inner,
            "contentEncoding": st.just("base64"),
            "contentMediaType": st.just("application/json"),
        }
    if draft not in (DRAFTS["draft-04/schema"], DRAFTS["draft-06/schema"]):
        known |= {"if": inner, "then": inner, "else": inner}
    if "20" in draft:
        known |= {
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, unique=True), max_size=2),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
            "unevaluatedProperties": inner,
        }
    if newest:
        known |= {"prefixItems": some}
    chosen = st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: known[name] for name in names}))


@st.composite
def schemas(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """A schema of any draft, and one that it imports."""
    draft = draw(st.sampled_from(sorted(DRAFTS.values())))
    leaf = (
        keywords(st.just({}), draft)
        if draft == DRAFTS["draft-04/schema"]
        else keywords(st.booleans() | st.just({}), draft)
    )
    drawn = st.recursive(leaf, lambda inner: keywords(inner, draft), max_leaves=4)
    root = {**draw(drawn), "$schema": draft, "definitions": {"one": draw(drawn)}}
    two = {**draw(drawn), "$schema": draft, "definitions": {"three": draw(drawn)}}
    return root, {"two.json": json.dumps(two)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn=schemas(), values=st.lists(VALUES, min_size=1, max_size=4))
def test_both_say_the_same(drawn, values):
    schema, imports = drawn
    documents = read_documents(json.dumps(schema), imports)
    try:
        check = SchemaCheck("s", documents)
    except SchemaParseError as error:
        # A loop, or a reference into something that has no definitions.
        assume("circle" not in str(error) and "no such place" not in str(error))
        raise
    explainer = Explainer(documents, patterns_of_names=False)
    for value in map(orjson.loads, map(orjson.dumps, values)):
        fits = check.fits(value)
        budget = Budget()
        fault = explainer.explain(value, budget)
        assert budget.left > 0
        assert fits == (fault is None), (schema, imports, value, fault)
        if not fits:
            error = check.fault(value, 1, Budget(), DecodeError)
            assert error.field is None or error.field != ""


@pytest.mark.parametrize("draft", sorted(DRAFTS.values()))
def test_schemas_of_the_drafts_themselves_are_agreed_on(draft):
    meta = jsonschema.validators.validator_for({"$schema": draft}).META_SCHEMA
    check = SchemaCheck("s", read_documents(json.dumps({"$schema": draft, "$ref": draft}), {}))
    for schema in (
        meta,
        {"type": "integer", "minimum": 5},
        {"type": 5},
        {"properties": {"a": {"minLength": -1}}},
        {"allOf": []},
    ):
        expected = jsonschema.validators.validator_for({"$schema": draft})(meta).is_valid(schema)
        assert check.fits(schema) is expected


def test_whatever_is_no_schema_is_refused_with_one_error(check_of):
    draw = random.Random(11)
    sound = {
        "$schema": DRAFTS["draft-07/schema"], "$id": "http://example.org/a.json", "type": "object", "required": ["a"],
        "definitions": {"x": {"$ref": "other.json#/definitions/z"}, "y": {"enum": [1, {"a": []}], "pattern": "^a{1,3}$"}},
        "properties": {"a": {"$ref": "#/definitions/y"}, "b": {"items": [{"$ref": "#"}, {"const": None}]}},
        "dependencies": {"a": ["b"], "c": ["a"]}, "anyOf": [{"not": {"$ref": "#/definitions/x"}}, {"if": {}, "then": True}],
        "patternProperties": {"^x": {"multipleOf": 0.5, "maxLength": 3}},
    }  # fmt: skip
    odd = [
        None,
        True,
        -1,
        1.5,
        1 << 70,
        "",
        "#",
        "#/definitions",
        "#/properties/a",
        "(",
        "\\ud800",
        "other.json",
        "http://[",
        "%zz",
        [],
        {},
        [[]],
        [1],
    ]
    refused = 0
    for _ in range(EXAMPLES * 10):
        schema = json.loads(json.dumps(sound))
        for _ in range(draw.randrange(1, 4)):
            holder = draw.choice([one for one in parts(schema) if one])
            place = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            chosen = draw.choice([*odd, *parts(sound)])
            if isinstance(holder, dict) and draw.random() < 0.3:
                place = draw.choice(["$ref", "$id", "$schema", "items", "dependencies", "definitions", "enum", "not"])
            holder[place] = json.loads(json.dumps(chosen))
        other = json.dumps({"definitions": {"z": draw.choice([{}, schema.get("properties"), 1, {"$ref": "#"}])}})
        try:
            check = check_of(schema, {"other.json": other})
        except SchemaParseError:
            refused += 1
            continue
        for value in ({}, {"a": "aa", "b": [{}, 1], "x1": 0.25}, [1], None, {"c": 1}):
            if not check.fits(value):
                check.fault(value, 1, Budget(), DecodeError)
    assert EXAMPLES < refused < EXAMPLES * 10


def parts(value: Any) -> list[Any]:
    """Objects and arrays in a JSON value, itself first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for one in inner for part in parts(one))] if isinstance(value, dict | list) else []


@given(st.floats(allow_nan=False, allow_infinity=False, width=64), st.floats(-1e6, 1e6, width=64))
def test_bounds_are_compared_exactly(value, bound):
    assume(math.isfinite(value))
    text = json.dumps({"minimum": bound})
    assert SchemaCheck("s", read_documents(text, {})).fits(value) is (value >= bound)
