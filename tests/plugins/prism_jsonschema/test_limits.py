"""Schemas and values that are made to hang or crash a worker. Without the limits, most of these never return."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from prism_jsonschema.documents import read_documents
from prism_jsonschema.effort import STEPS_OF_ALL, Budget
from prism_jsonschema.limits import MOST_WORK, Limits, measure
from prism_jsonschema.validation import CAREFUL, is_deeper
from prismlib.contracts.framing import header
from prismlib.errors import DecodeError, InvalidValueError, SchemaParseError

NEWEST = "https://json-schema.org/draft/2020-12/schema"


def limits(schema: object) -> Limits:
    return measure(read_documents(json.dumps(schema), {}))


def nested(depth: int, inside: str = "5") -> Any:
    return orjson.loads('{"n":' * depth + inside + "}" * depth)


def doubling(steps: int, end: object) -> dict[str, Any]:
    """References that double at each step."""
    chain = {f"a{i}": {"allOf": [{"$ref": f"#/definitions/a{i + 1}"}] * 2} for i in range(steps)}
    return {"definitions": {**chain, f"a{steps}": end}, "allOf": [{"$ref": "#/definitions/a0"}]}


LOOPS: list[dict[str, Any]] = [
    {"$ref": "#"},
    {"allOf": [{"$ref": "#"}]},
    {"anyOf": [{"type": "null"}, {"not": {"$ref": "#"}}]},
    {"if": {"$ref": "#"}},
    {"dependencies": {"a": {"$ref": "#"}}},
    {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}, "properties": {"x": {"$ref": "#/definitions/a"}}},
    {"$schema": NEWEST, "$ref": "#/$defs/a", "$defs": {"a": {"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}]}}},
    {"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": True, "oneOf": [{"$recursiveRef": "#"}]},
]  # fmt: skip


@pytest.mark.parametrize("schema", LOOPS, ids=json.dumps)
def test_a_loop_of_references_at_one_place_is_refused(schema, check_of):
    with pytest.raises(SchemaParseError, match="lead in a circle that never goes into the value"):
        check_of(schema)


def test_a_loop_through_an_import_is_refused(check_of):
    with pytest.raises(SchemaParseError, match="circle"):
        check_of({"$ref": "a.json"}, {"a.json": '{"$ref": "b.json"}', "b.json": '{"allOf": [{"$ref": "a.json"}]}'})


@pytest.mark.parametrize("end", [{"type": "object"}, {"properties": {"n": {"$ref": "#/definitions/a0"}}}])
def test_references_that_double_are_refused(end, check_of):
    with pytest.raises(SchemaParseError, match="more than 10000 of its parts can look at one place"):
        check_of(doubling(40, end))
    check = check_of(doubling(9, end))
    assert check.fits(nested(200, "{}"))


def test_references_that_double_inside_the_value_are_refused(check_of):
    chain = {f"a{i}": {"properties": {"n": {"allOf": [{"$ref": f"#/definitions/a{i + 1}"}] * 2}}} for i in range(40)}
    with pytest.raises(SchemaParseError, match="more than 10000"):
        check_of({"definitions": {**chain, "a40": {}}, "$ref": "#/definitions/a0"})


def test_what_is_common_is_not_refused():
    tree = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "left": {"oneOf": [{"type": "null"}, {"$ref": "#"}]}, "kids": {"items": {"$ref": "#"}}},
    }  # fmt: skip
    assert limits(tree).deepest == 1024
    assert limits(tree).work < 20
    event = {"properties": {f"f{i}": {"$ref": "#/definitions/text"} for i in range(40)}}
    assert limits({"oneOf": [event] * 150, "definitions": {"text": {"type": "string"}}}).work < MOST_WORK // 10
    assert limits({"enum": [f"v{i}" for i in range(50_000)]}).work == 1
    assert limits({"items": [{"type": "string"}] * 1000}).work == 2


@pytest.mark.parametrize("wrap", ["not", "anyOf", "allOf"])
def test_a_deep_value_cannot_exhaust_the_stack(wrap, check_of):
    def inner(i: int) -> dict[str, Any]:
        reference = {"$ref": f"#/definitions/a{i + 1}"}
        return (
            {"not": {"not": reference}}
            if wrap == "not"
            else {wrap: [reference, {"type": "null"}][: 1 + (wrap == "anyOf")]}
        )

    def schema(steps: int) -> dict[str, Any]:
        last = {"properties": {"n": {"$ref": "#/definitions/a0"}}, "type": ["object", "string"]}
        chain = {f"a{i}": inner(i) for i in range(steps)}
        return {"definitions": {**chain, f"a{steps}": last}, "allOf": [{"$ref": "#/definitions/a0"}]}

    with pytest.raises(SchemaParseError, match="of its parts stand inside each other at one place"):
        check_of(schema(500))
    check = check_of(schema(100))
    assert check.fits(nested(5, '"x"'))
    deep = nested(1000, '"x"')
    assert not check.fits(deep)
    error = check.fault(deep, 1, Budget(), DecodeError)
    assert error.code == "too-costly"
    assert "levels, and subject s version 1 (schema id 1) could take too long" in error.reason


def test_levels_are_counted():
    assert [is_deeper(orjson.loads(text), 2) for text in ("1", "{}", "[[1]]", '[{"a":1}]', "[[[]]]", '{"a":[1,{}]}')] == [
        False, False, False, False, True, True,
    ]  # fmt: skip
    assert is_deeper(nested(1000), 999)
    assert not is_deeper(nested(1000), 1000)


BRANCHES = [
    {"type": "string"},
    {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]},
    {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"], "title": "another"},
]


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_alternatives_in_alternatives_are_validated_and_explained_in_bounded_time(keyword, check_of):
    check = check_of({keyword: BRANCHES})
    for depth in (3, 20, 200, 900):
        value = nested(depth)
        assert not check.fits(value)
        budget = Budget()
        assert check.fault(value, 1, budget, DecodeError).code == "schema"
        assert STEPS_OF_ALL - 25_000 < budget.left < STEPS_OF_ALL


def test_a_batch_of_such_values_shares_one_budget(registry, new_decoder, batch_of):
    start = header(registry.release("s", schema={"anyOf": BRANCHES}).id)
    value = start + orjson.dumps(nested(30))
    decoder = new_decoder(registry, subject="s")
    # Each with a budget of its own, they would take longer than a test may.
    decoded = decoder.decode(batch_of([value] * 6000))
    assert len(decoded.errors) == 6000
    assert {error.code for error in decoded.errors.values()} == {"schema"}


def test_the_budget_goes_on_behind_a_reference(check_of):
    # The library would otherwise change to keywords of its own there, uncounted and with Python's patterns.
    check = check_of(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"n": {"$ref": "#"}, "p": {"pattern": "^(a+)+$"}},
        }
    )
    value = {"n": {"n": {"p": "a" * 50 + "!"}}}
    assert not check.fits(value)
    assert check.fault(value, 1, Budget(), DecodeError).field == "n.n.p"


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_patterns_that_hang_others_do_not_hang_here(pattern, check_of):
    check = check_of({"properties": {"a": {"pattern": pattern}}, "patternProperties": {pattern: False}})
    value = {"a": "a" * 100_000 + "!"}
    assert check.longest > 1 << 20
    assert not check.fits(value)
    assert check.fault(value, 1, Budget(), DecodeError).field == "a"


@pytest.mark.parametrize("pattern", ["(?=(a+)+b)c", "^(a+)+\\1$", "^[ab]*a[ab]{3000}$"])
def test_patterns_that_can_be_slow_meet_short_values_only(
    pattern, check_of, registry, new_decoder, new_encoder, batch_of
):
    schema = {"properties": {"a": {"pattern": pattern}}}
    assert check_of(schema).longest == CAREFUL
    start = header(registry.release("s", schema=schema).id)
    short, long = ({"a": "a" * length} for length in (CAREFUL // 2, CAREFUL))
    decoded = new_decoder(registry, subject="s").decode(batch_of([start + orjson.dumps(one) for one in (short, long)]))
    assert decoded.errors[1].code == "too-costly"
    assert f"longer than {CAREFUL} bytes" in decoded.errors[1].reason
    encoded = new_encoder(registry, subject="s").encode([long, orjson.dumps(long)])
    assert [(type(error), error.code) for error in encoded.errors.values()] == [(InvalidValueError, "too-costly")] * 2


def test_look_around_works_on_what_people_write(check_of):
    fits = check_of({"pattern": "^(?!.*\\.\\.)[a-z.]+(?<!\\.)$"}).fits
    assert [fits(text) for text in ("a.b", "a..b", "a.b.")] == [True, False, False]


def test_classes_of_unicode_work(check_of):
    check = check_of({"pattern": "^[\\p{L}\\p{N} .-]{1,64}$"})
    assert check.fits("Łukasz Ångström 2")
    assert not check.fits("Łukasz!")
    assert check.fault("Łukasz!", 1, Budget(), DecodeError).reason.startswith("the value must match the pattern")


def test_a_long_value_is_refused_where_many_parts_look_at_it(check_of):
    check = check_of({"items": {"anyOf": [{"enum": [[i]]} for i in range(4000)]}})
    assert 100_000 < check.longest < 1 << 20
    assert check.fault([], check.longest + 1, Budget(), DecodeError).code == "too-costly"


def test_deep_schemas_are_refused(check_of):
    for depth in (300, 100_000):
        with pytest.raises(SchemaParseError):
            check_of('{"items":' * depth + "{}" + "}" * depth)


def test_equal_elements_are_searched_in_bounded_time(check_of):
    check = check_of({"uniqueItems": True})
    many = [{"a": [number]} for number in range(50_000)]
    assert check.fits(many)
    many.append({"a": [7]})
    assert not check.fits(many)
    assert check.fault(many, 1, Budget(), DecodeError).reason.startswith("the value must not hold an element twice")


@pytest.mark.parametrize(
    ("pattern", "most"), [("^[A-Z]{2}%d$", 1000), ("^(?!x)[a-z]%d$", 20), ("^[\\p{L}\\p{N} .-]{1,64}%d$", 20)]
)
def test_so_many_patterns_are_taken_and_no_more(pattern, most, check_of):
    def schema(count: int) -> dict[str, Any]:
        return {"properties": {f"f{i}": {"type": "string", "pattern": pattern % i} for i in range(count)}}

    assert check_of(schema(most)).fits({"f0": 1}) is False
    with pytest.raises(SchemaParseError, match=f"{most + 1} .*patterns.* more than {most}"):
        check_of(schema(most + 1))
    same = {"properties": {f"f{i}": {"pattern": pattern % 0} for i in range(3000)}}
    assert check_of(same).fits({"f0": 1})
