"""What is validated, against which schema, and what is said of a value that does not fit."""

from __future__ import annotations

import datetime as dt
import decimal
import http.server
import json
import subprocess
import sys
import threading
import uuid
import zlib

import orjson
import pytest

from prism_jsonschema.documents import DRAFTS as KNOWN_DRAFTS
from prism_jsonschema.effort import ONE_IN, Budget
from prismlib.contracts.framing import header
from prismlib.errors import ConfigError, DecodeError, InvalidValueError, SchemaDriftError, SchemaParseError

ORDER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
}
BAD = b'{"id":"secret","lines":[{"sku":"secret"},{},{"sku":4711}]}'
GOOD = b'{"id":"a","lines":[]}'


def test_a_value_that_does_not_fit_names_the_field_and_what_the_schema_wants(registry, new_decoder, batch_of):
    start = header(registry.release("orders-value", schema=ORDER).id)
    for reads in (("id",), ()):
        decoder = new_decoder(registry, reads, subject="orders-value")
        decoded = decoder.decode(batch_of([start + GOOD, start + BAD, None, start + GOOD]))
        assert [row is None for row in decoded.rows] == [False, True, True, False]
        assert list(decoded.errors) == [1]
        error = decoded.errors[1]
        assert isinstance(error, DecodeError)
        assert error.__traceback__ is None
        assert (error.code, error.field) == ("schema", "lines[2].sku")
        assert error.reason == (
            "the field lines[2].sku must be of type string; subject orders-value version 1 (schema id 1) "
            "says so at /properties/lines/items/properties/sku/type"
        )


def test_a_value_is_held_to_the_schema_of_its_own_header(registry, new_decoder, batch_of):
    one = header(registry.release("s", schema={"required": ["a"]}).id)
    two = header(registry.release("s", schema={"required": ["b"]}).id)
    other = header(registry.release("t", schema={"required": ["c"]}).id)
    values = [start + body for start in (one, two, other) for body in (b'{"a":1}', b'{"b":1}', b'{"c":1}')]
    decoded = new_decoder(registry, reads=(), subject="s").decode(batch_of(values))
    assert {row: error.field for row, error in decoded.errors.items()} == {
        1: "a", 2: "a", 3: "b", 5: "b", 6: "c", 7: "c",
    }  # fmt: skip
    assert "subject t version 1" in decoded.errors[6].reason


def test_without_headers_it_is_the_latest_version_of_the_subject(registry, new_decoder, new_encoder, batch_of):
    registry.release("s", schema={"required": ["a"]})
    registry.release("s", schema={"required": ["b"]})
    decoded = new_decoder(registry, subject="s", wire="bare").decode(batch_of([b'{"a":1}', b'{"b":1}']))
    assert {row: error.field for row, error in decoded.errors.items()} == {0: "b"}
    for wire, start in (("bare", b""), ("confluent", header(2))):
        encoded = new_encoder(registry, subject="s", wire=wire).encode([{"a": 1}, {"b": 1}])
        assert {row: error.field for row, error in encoded.errors.items()} == {0: "b"}
        assert encoded.values == [None, start + b'{"b":1}']


def test_bodies_are_validated_before_they_are_written(registry, new_encoder):
    start = header(registry.release("s", schema=ORDER).id)
    bodies = [orjson.loads(GOOD), orjson.loads(BAD), None, BAD, GOOD, b"no json", {"id": "a", "more": 1}, b"[]"]
    encoded = new_encoder(registry, subject="s").encode(bodies)
    assert encoded.values == [start + GOOD, None, None, None, start + GOOD, None, None, None]
    assert {row: (error.code, error.field) for row, error in encoded.errors.items()} == {
        1: ("schema", "lines[2].sku"),
        3: ("schema", "lines[2].sku"),
        5: ("invalid-value", None),
        6: ("schema", "more"),
        7: ("schema", None),
    }
    assert all(type(error) is InvalidValueError for error in encoded.errors.values())
    assert "no JSON" in encoded.errors[5].reason
    assert "the field more is not allowed" in encoded.errors[6].reason


@pytest.mark.parametrize("schema", [{"type": "string"}, {"maxLength": 36}, {"pattern": "^[^x]+$", "minLength": 3}])
@pytest.mark.parametrize(
    "value", [dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.time(1), uuid.UUID(int=1)]
)
def test_what_becomes_text_is_validated_as_text(schema, value, registry, new_encoder):
    registry.release("s", schema={"properties": {"at": schema}})
    encoder = new_encoder(registry, subject="s", wire="bare")
    assert not encoder.encode([{"at": value}]).errors
    registry.release("s", schema={"properties": {"at": {**schema, "maxLength": 2}}})
    encoded = new_encoder(registry, subject="s", wire="bare").encode([{"at": value}])
    assert encoded.errors[0].field == "at"
    registry.release("s", schema={"properties": {"at": {"type": "object"}}})
    assert new_encoder(registry, subject="s", wire="bare").encode([{"at": value}]).errors[0].field == "at"


def test_a_decimal_is_validated_as_a_number(registry, new_encoder):
    registry.release("s", schema={"properties": {"price": {"type": "number", "maximum": 10}}})
    encoded = new_encoder(registry, subject="s", wire="bare").encode(
        [{"price": decimal.Decimal("9.99")}, {"price": decimal.Decimal("10.01")}]
    )
    assert encoded.values == [b'{"price":9.99}', None]
    assert encoded.errors[1].field == "price"


def test_a_sample_is_the_same_records_whenever_they_are_read(registry, new_decoder, new_encoder):
    from prismlib.records import Partition, RecordBatch  # noqa: PLC0415

    start = header(registry.release("s", schema={"required": ["a"]}).id)
    offsets = range(50, 50 + 3 * ONE_IN)
    n = len(offsets)
    batch = RecordBatch(Partition("t", 0), offsets, [0] * n, [None] * n, [start + b"{}"] * n, [None] * n)
    due = [row for row, offset in enumerate(offsets) if offset % ONE_IN == 0]
    assert len(due) == 3
    for reads in (("a",), ()):
        decoder = new_decoder(registry, reads, subject="s", validate="sample")
        assert list(decoder.decode(batch).errors) == due
        assert list(decoder.decode(batch.slice(10, n)).errors) == [row - 10 for row in due]
    encoder = new_encoder(registry, subject="s", wire="bare", validate="sample")
    bodies = [{"n": number} for number in range(2000)]
    chosen = [body for body in bodies if zlib.crc32(orjson.dumps(body)) % ONE_IN == 0]
    assert 5 < len(chosen) < 50
    answer = encoder.encode(bodies)
    assert [bodies[place] for place in answer.errors] == chosen
    assert [len(encoder.encode([body]).errors) for body in chosen] == [1] * len(chosen)
    assert [orjson.dumps(body) for body in chosen] != answer.values
    assert list(encoder.encode([orjson.dumps(body) for body in bodies]).errors) == list(answer.errors)


def test_never_means_never(registry, new_decoder, new_encoder, batch_of):
    start = header(registry.release("s", schema={"type": "no type"}).id)
    decoded = new_decoder(registry, subject="s", validate="never").decode(batch_of([start + b'{"a":1}'] * 300))
    assert not decoded.errors
    assert decoded.stop is None
    assert not new_encoder(registry, subject="s", validate="never").encode([{"a": 1}, b"{}", b"no json"]).errors


def test_imports_are_found_by_their_registered_names(registry, new_decoder, batch_of):
    registry.release("money", schema={"type": "object", "required": ["cents"]})
    registry.release("line", schema={"properties": {"price": {"$ref": "money.json"}}}, imports={"money.json": "money"})
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/schemas/order.json",
        "properties": {
            "lines": {"items": {"$ref": "line.json"}},
            "tip": {"$ref": "https://example.org/money.json"},
            "own": {"$ref": "#/$defs/own"},
        },
        "$defs": {"own": {"const": 1}},
    }
    imports = {"line.json": "line", "https://example.org/money.json": "money"}
    start = header(registry.release("order", schema=root, imports=imports).id)
    values = [
        b'{"lines":[{"price":{"cents":1}}],"tip":{"cents":1},"own":1}',
        b'{"lines":[{},{"price":{}}]}',
        b'{"tip":{}}',
    ]
    decoded = new_decoder(registry, subject="order").decode(
        batch_of([start + value for value in [*values, b'{"own":2}']])
    )
    assert decoded.stop is None
    assert {row: error.field for row, error in decoded.errors.items()} == {
        1: "lines[1].price.cents",
        2: "tip.cents",
        3: "own",
    }


def test_an_import_that_is_missing_now_may_come_and_then_the_route_goes_on(
    registry, new_decoder, new_encoder, batch_of
):
    schema = {"properties": {"price": {"$ref": "money.json"}}}
    start = header(registry.release("s", schema=schema, imports={"money.json": "money"}).id)
    decoder = new_decoder(registry, subject="s")
    stop = decoder.decode(batch_of([None, start + b'{"price":"x"}'])).stop
    assert stop[0] == 1
    assert "what it needs of the registry cannot be had" in str(stop[1])
    with pytest.raises(ConfigError, match=r"subject s version 1 .* cannot be used to validate: no such schema"):
        new_encoder(registry, subject="s")
    registry.release("money", schema={"type": "integer"})
    assert decoder.decode(batch_of([start + b'{"price":"x"}'])).errors[0].field == "price"


def test_a_schema_that_cannot_be_used_pauses_the_route_and_refuses_a_sink(registry, new_decoder, new_encoder, batch_of):
    good = header(registry.release("s").id)
    bad = header(registry.release("s", schema={"type": "no type"}).id)
    decoder = new_decoder(registry, subject="s")
    for _ in range(2):
        decoded = decoder.decode(batch_of([good + b"{}", bad + b"{}", good + b"{}"]))
        assert decoded.rows == [{}]
        assert decoded.stop[0] == 1
        assert isinstance(decoded.stop[1], SchemaDriftError)
        assert "subject s version 2 (schema id 2): it is no valid JSON Schema at /type" in str(decoded.stop[1])
        assert 'set validate = "never"' in str(decoded.stop[1])
    for make in (new_encoder, new_decoder):
        with pytest.raises(ConfigError, match=r"subject s version 2 .* cannot be used to validate: .* /type"):
            make(registry, subject="s", wire="bare")


DRAFTS = {
    "http://json-schema.org/draft-04/schema#": 4,
    "http://json-schema.org/draft-06/schema": 6,
    "https://json-schema.org/draft-07/schema#": 7,
    "https://json-schema.org/draft/2019-09/schema": 2019,
    "https://json-schema.org/draft/2020-12/schema": 2020,
    None: 7,
}


@pytest.mark.parametrize(("draft", "year"), DRAFTS.items(), ids=str)
def test_the_draft_is_the_one_that_the_schema_names_and_else_draft_07(draft, year, check_of):
    def fits(keywords: dict[str, object], value: object) -> bool:
        check = check_of(keywords if draft is None else {"$schema": draft, **keywords})
        valid = check.fits(value)
        found = None if valid else check.fault(value, 1, Budget(), DecodeError)
        assert valid or found.reason != f"the value does not fit {check.name}"
        return valid

    assert fits({"const": 1}, 2) is (year == 4)
    assert fits({"if": {"minimum": 5}, "then": {"maximum": 6}}, 7) is (year < 7)
    assert fits({"dependentRequired": {"a": ["b"]}}, {"a": 1}) is (year < 2019)
    assert fits({"prefixItems": [{"type": "string"}]}, [1]) is (year < 2020)
    assert fits(
        {"definitions": {"x": {}}, "properties": {"a": {"$ref": "#/definitions/x", "type": "string"}}}, {"a": 1}
    ) is (year < 2019)
    assert fits({"type": "integer"}, 1.0) is (year > 4)


@pytest.mark.parametrize("draft", DRAFTS, ids=str)
def test_formats_and_contents_are_annotations(draft, check_of):
    schema = {"format": "date-time", "contentEncoding": "base64", "contentMediaType": "application/json"}
    check = check_of(schema if draft is None else {"$schema": draft, **schema})
    assert check.fits("neither a time nor base64")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{", "it is not usable as JSON"),
        ("[]", "it is neither an object nor true or false"),
        ('{"minimum": NaN}', "NaN is not JSON"),
        ('{"minimum": 1e999}', "it is no valid JSON Schema at /minimum"),
        ('{"const": "\\ud800"}', "it cannot be compiled"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "names a $schema other than drafts 4, 6, 7"),
        ({"$schema": 7}, "names a $schema other than drafts 4, 6, 7"),
        ({"$ref": "#/definitions/no"}, "the reference '#/definitions/no' leads nowhere: there is no such place"),
        (
            {"properties": {"a": {"$ref": "no.json"}}},
            "'no.json' leads nowhere: no.json is not among its registered ref",
        ),
        ({"pattern": "("}, "it is no valid JSON Schema at /pattern"),
        ({"pattern": "((a{1,1000}){1,1000}){1,1000}"}, "it is no valid JSON Schema at /pattern"),
        ({"properties": {"a": 1}}, "it is no valid JSON Schema at /properties/a"),
        ('{"title": "' + "x" * (1 << 20) + '"}', "more than 1048576"),
    ],
)
def test_what_is_no_usable_schema_is_said_in_one_sentence(schema, said, check_of):
    with pytest.raises(SchemaParseError) as caught:
        check_of(schema)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("text", "fits"), [("true", True), ("false", False), ("{}", True)])
def test_a_schema_may_be_true_or_false(text, fits, check_of):
    assert check_of(text).fits({"a": 1}) is fits


@pytest.mark.parametrize("draft", KNOWN_DRAFTS.values())
def test_the_meta_schema_of_its_own_draft_may_be_referred_to(draft, check_of):
    check = check_of({"$schema": draft, "properties": {"schema": {"$ref": draft}}})
    assert check.fits({"schema": {"type": "object"}})
    assert not check.fits({"schema": {"type": 5}})
    assert check.fault({"schema": {"type": 5}}, 1, Budget(), DecodeError).field == "schema.type"


def test_nothing_is_fetched(tmp_path, check_of, registry, new_decoder, batch_of):
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    file = tmp_path / "other.json"
    file.write_text("{}")
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        http_address = f"http://127.0.0.1:{server.server_port}/other.json"
        for address in (http_address, file.as_uri(), str(file), "other.json"):
            for schema in (
                {"properties": {"a": {"$ref": address}}},
                {"$id": address, "properties": {"a": {"$ref": "x.json"}}},
                {"$id": file.parent.as_uri() + "/", "properties": {"a": {"$ref": "other.json"}}},
                {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "$defs": {"a": {"$dynamicRef": address}},
                    "not": {"$ref": "#/$defs/a"},
                },
                {"$schema": address},
            ):
                with pytest.raises(SchemaParseError):
                    check_of(schema)
            start = header(registry.release("s", schema={"properties": {"a": {"$ref": address}}}).id)
            stop = new_decoder(registry, subject="s").decode(batch_of([start + b'{"a":1}'])).stop
            assert "is not among its registered references" in str(stop[1])
        server.shutdown()
    assert asked == []


def test_validation_needs_a_subject(new_decoder, new_encoder):
    for make in (new_decoder, new_encoder):
        for how in ("always", "sample"):
            with pytest.raises(ConfigError, match=f'validate = "{how}" needs a schema; name the subject'):
                make(None, wire="bare", validate=how)
        make(None, wire="bare", validate="never")
        with pytest.raises(ConfigError, match=r"'validate'.*'always', 'sample' or 'never'"):
            make(None, wire="bare", validate="sometimes")


def test_without_the_libraries_only_validation_is_refused():
    code = """
import sys
sys.modules.update(dict.fromkeys(["jsonschema", "jsonschema_rs", "jsonschema_specifications", "referencing"]))
from prism_jsonschema.plugin import prism_stages
from prismlib.contracts.registry import RegisteredSchema
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext
class Registry:
    def latest(self, subject):
        return RegisteredSchema(1, subject, 1, "jsonschema", "{}")
for spec in prism_stages():
    make = lambda **table: spec.factory(spec.config_model.model_validate(table), BuildContext("p", registry=Registry()))
    make(wire="bare"), make(subject="s", validate="never")
    try:
        make(subject="s")
    except ConfigError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = 'type = "json" needs jsonschema to validate: install prism-pipeline[jsonschema], or set validate = "never"'
    assert (
        done.stderr,
        [line.replace("_rs", "").replace("_specifications", "") for line in done.stdout.splitlines()],
    ) == (
        "",
        [said, said],
    )


@pytest.mark.parametrize(
    ("schema", "value", "field", "wanted"),
    [
        ({"type": ["string", "null"]}, 1, None, "the value must be of type string or null"),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": "s"}, "a", 'the field a must be one of "x", "y"'),
        ({"properties": {"a": {"const": [1]}}}, {"a": "s"}, "a", "must be 1"),
        (
            {"properties": {"a": {"required": ["b", "c"]}}},
            {"a": {"b": 1}},
            "a.c",
            "the field a.c is required and missing",
        ),
        (
            {"properties": {"a": {"additionalProperties": False}}},
            {"a": {"b": 1}},
            "a.b",
            "the field a.b is not allowed",
        ),
        ({"additionalProperties": {"type": "null"}}, {"b": 1}, "b", "must be of type null"),
        ({"patternProperties": {"^s_": {"type": "null"}}}, {"x": 1, "s_a": 1}, "s_a", "must be of type null"),
        ({"properties": {"a": False}}, {"a": 1}, "a", "is not allowed"),
        ({"properties": {"a": {"minimum": 5}}}, {"a": 4}, "a", "must be at least 5"),
        ({"properties": {"a": {"exclusiveMaximum": 5}}}, {"a": 5}, "a", "must be less than 5"),
        ({"properties": {"a": {"maxLength": 2}}}, {"a": "secret"}, "a", "must have at most 2 characters"),
        ({"properties": {"a": {"pattern": "^x\\d$"}}}, {"a": "secret"}, "a", 'must match the pattern "^x\\\\d$"'),
        ({"properties": {"a": {"items": {"minItems": 1}}}}, {"a": [[1], []]}, "a[1]", "must have at least 1 elements"),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 2, 1]}, "a", "must not hold an element twice"),
        (
            {"properties": {"a": {"contains": {"const": 1}}}},
            {"a": [2]},
            "a",
            "must contain an element of a certain form",
        ),
        ({"properties": {"a": {"multipleOf": 5}}}, {"a": 7}, "a", "must be a multiple of 5"),
        ({"not": {"required": ["a"]}}, {"a": 1}, None, "has a form that is excluded"),
        ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, None, "must have at most 2 characters"),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, None, "lacks a field that another one asks for"),
        ({"oneOf": [{"type": "null"}, {"properties": {"a": {"type": "null"}}}]}, {"a": 1}, "a", "must be of type null"),
        ({"oneOf": [{}, {}]}, 1, None, "must fit exactly one of several alternatives"),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, "b", "is required and missing"),
    ],
)
def test_what_is_said_of_a_fault(schema, value, field, wanted, check_of):
    check = check_of(schema)
    assert not check.fits(value)
    error = check.fault(value, 1, Budget(), DecodeError)
    assert error.field == field
    assert wanted in error.reason
    assert "secret" not in error.reason


@pytest.mark.parametrize(
    ("keywords", "value", "field"),
    [
        ({"unevaluatedProperties": False, "allOf": [{"properties": {"a": {}}}]}, {"a": 1, "b": 1}, None),
        ({"unevaluatedProperties": False, "patternProperties": {"^a": {}}}, {"a": 1, "b": 1}, None),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, None),
        ({"prefixItems": [{}, {"type": "null"}]}, [1, 1], "[1]"),
        ({"$defs": {"n": {"$anchor": "n", "type": "null"}}, "properties": {"a": {"$ref": "#n"}}}, {"a": 1}, "a"),
        (
            {"$dynamicAnchor": "n", "required": ["v"], "properties": {"n": {"$dynamicRef": "#n"}}},
            {"v": 1, "n": {}},
            "n.v",
        ),
    ],
)
def test_faults_of_the_newest_draft(keywords, value, field, check_of):
    check = check_of({"$schema": "https://json-schema.org/draft/2020-12/schema", **keywords})
    assert not check.fits(value)
    assert check.fault(value, 1, Budget(), DecodeError).field == field


def test_reasons_hold_no_values(check_of):
    schema = {
        "properties": {
            "a": {"type": "integer"}, "b": {"enum": [1]}, "c": {"pattern": "x"}, "d": {"items": {"type": "null"}},
            "e": {"anyOf": [{"type": "null"}, {"type": "integer"}]}, "f": {"uniqueItems": True}, "g": {"not": {}},
            "h": {"maxProperties": 0}, "i": {"contains": {"type": "null"}}, "j": {"const": 1}, "k": {"minLength": 99},
        }
    }  # fmt: skip
    check = check_of(schema)
    for name in schema["properties"]:
        for value in ("s3cret", ["s3cret"], ["s3cret", "s3cret"], {"k": "s3cret"}):
            if not check.fits({name: value}):
                error = check.fault({name: value}, 1, Budget(), DecodeError)
                assert error.field.startswith(name)
                assert "s3cret" not in json.dumps([error.reason, error.field, str(error)])


def test_long_wants_and_names_are_cut(check_of):
    check = check_of({"properties": {"a": {"enum": ["x" * 5000]}}, "additionalProperties": False})
    assert len(check.fault({"a": 1}, 1, Budget(), DecodeError).reason) < 500
    assert len(check.fault({"b" * 100_000: 1}, 1, Budget(), DecodeError).reason) < 800
