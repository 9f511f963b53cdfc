"""Every way to make a field: what it gives, and how it fails."""

import copy
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from prismlib.errors import InvalidValueError
from prismlib.records import Normalized

Value = Callable[[str, dict[str, Any]], Any]
Normalize = Callable[..., Normalized]


@pytest.mark.parametrize(
    ("spec", "row", "expected"),
    [
        ("'a'", {"a": 1}, 1),
        ("'a.b.c'", {"a": {"b": {"c": "deep"}}}, "deep"),
        ("'a.b.c'", {"a": {"b": None}}, None),
        ("'a.b.c'", {"a": {}}, None),
        ("'a.b.c'", {}, None),
        ("'a[0].b'", {"a": [{"b": 1}, {"b": 2}]}, 1),
        ("'a[1]'", {"a": [1, 2]}, 2),
        ("'a[2].b'", {"a": [{"b": 1}]}, None),
        ("'a[0][1]'", {"a": [[1, 2]]}, 2),
        ("'a[].b'", {"a": [{"b": 1}, {"b": None}, {}, None]}, [1, None, None, None]),
        ("'a[]'", {"a": [1, 2]}, [1, 2]),
        ("'a[].b'", {"a": []}, []),
        ("'a[].b'", {"a": None}, None),
        ("'a.b[].c.d'", {"a": {"b": [{"c": {"d": 7}}]}}, [7]),
        ("""'prices["EUR"].net'""", {"prices": {"EUR": {"net": 3}}}, 3),
        ("\"prices['a.b']\"", {"prices": {"a.b": 4}}, 4),
        ("'a-b_c.ö'", {"a-b_c": {"ö": 1}}, 1),
        ("{ from = 'a', default = 'none' }", {"a": None}, "none"),
        ("{ from = 'a', default = 0 }", {}, 0),
        ("{ from = 'a', default = false }", {"a": True}, True),
        ("{ from = 'a', required = true }", {"a": 0}, 0),
        ("{ from = 'a', null_if = 'NA' }", {"a": "NA"}, None),
        ("{ from = 'a', null_if = 'NA' }", {"a": "N"}, "N"),
        ("{ from = 'a', null_if = ['', '-', -999] }", {"a": -999}, None),
        ("{ from = 'a', null_if = ['', '-', -999] }", {"a": [1]}, [1]),
        ("{ from = 'a', null_if = 'NA', cast = 'int', default = -1 }", {"a": "NA"}, -1),
        ("{ from = 'a[]', null_if = 'NA', cast = 'int', default = 0 }", {"a": ["1", "NA", None, 4]}, [1, 0, 0, 4]),
        ("{ const = 'fixed' }", {}, "fixed"),
        ("{ const = 1.5 }", {}, 1.5),
        ("{ const = true }", {}, True),
        ("{ const = ['a', 1] }", {}, ["a", 1]),
        ('{ const = "quote \' quote \\" {a} \\\\ \\n" }', {}, "quote ' quote \" {a} \\ \n"),
    ],
)
def test_a_value_is_taken_from_its_place(value: Value, spec: str, row: dict[str, Any], expected: object) -> None:
    assert value(spec, row) == expected


@pytest.mark.parametrize(
    ("cast", "given", "expected"),
    [
        ("int", "12", 12),
        ("int", "-3", -3),
        ("int", 7, 7),
        ("int", 7.0, 7),
        ("int", True, 1),
        ("int", Decimal("8.00"), 8),
        ("float", "1.5", 1.5),
        ("float", 2, 2.0),
        ("float", 2.5, 2.5),
        ("float", Decimal("0.25"), 0.25),
        ("str", "a", "a"),
        ("str", 1, "1"),
        ("str", 1.5, "1.5"),
        ("str", Decimal("1.50"), "1.50"),
        ("str", True, "true"),
        ("str", False, "false"),
        ("bool", True, True),
        ("bool", 0, False),
        ("bool", 1, True),
        ("bool", "TRUE", True),
        ("bool", "no", False),
        ("int", None, None),
        ("float", None, None),
        ("str", None, None),
        ("bool", None, None),
    ],
)
def test_a_cast_gives_its_type(value: Value, cast: str, given: object, expected: object) -> None:
    made = value(f"{{ from = 'a', cast = '{cast}' }}", {"a": given})
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("cast", "given"),
    [
        ("int", "NA"),
        ("int", ""),
        ("int", 3.7),
        ("int", float("nan")),
        ("int", float("inf")),
        ("int", Decimal("sNaN")),
        ("int", [1]),
        ("int", b"1"),
        ("int", "9" * 5000),
        ("float", "nan"),
        ("float", "inf"),
        ("float", float("inf")),
        ("float", float("nan")),
        ("float", 10**400),
        ("float", {}),
        ("str", [1]),
        ("str", {"a": 1}),
        ("str", b"bytes"),
        ("bool", 2),
        ("bool", "maybe"),
        ("bool", 1.0),
        ("bool", []),
    ],
)
def test_a_cast_that_would_lose_something_is_an_error(value: Value, cast: str, given: object) -> None:
    with pytest.raises(InvalidValueError, match=f"^x: 'a' cannot be cast to {cast}$") as caught:
        value(f"{{ from = 'a', cast = '{cast}' }}", {"a": given})
    assert (caught.value.code, caught.value.field) == ("cast", "x")


def test_a_value_of_the_record_never_stands_in_the_reason(value: Value) -> None:
    with pytest.raises(InvalidValueError) as caught:
        value("{ from = 'a', cast = 'int' }", {"a": "secret-4711"})
    assert "4711" not in caught.value.reason


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        ("{ from = 'a', map = { A = 'active', I = 0 } }", "A", "active"),
        ("{ from = 'a', map = { A = 'active', I = 0 } }", "I", 0),
        ("{ from = 'a', map = { A = 'active' } }", None, None),
        ("{ from = 'a', map = { A = 'active' }, otherwise = 'other' }", "Z", "other"),
        ("{ from = 'a', map = { A = 'active' }, otherwise = 'other' }", None, None),
        ("{ from = 'a', map = { A = 'active' }, otherwise = 'other', default = '?' }", None, "?"),
        ("{ from = 'a', cast = 'str', map = { 1 = 'one' } }", 1, "one"),
        ("{ from = 'a', cast = 'str', map = { true = 'yes' }, otherwise = 'no' }", True, "yes"),
        ("{ from = 'a', null_if = 'NA', map = { A = 1 } }", "NA", None),
        ("{ from = 'a[]', map = { A = 1 }, otherwise = 0 }", ["A", "B", None], [1, 0, None]),
    ],
)
def test_map_gives_a_value_for_each_text(value: Value, spec: str, given: object, expected: object) -> None:
    assert value(spec, {"a": given}) == expected


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        ("{ from = 'a', map = { A = 'active' } }", "Z"),
        ("{ from = 'a', map = { A = 'active' } }", ["A"]),
        ("{ from = 'a', map = { A = 'active' }, otherwise = 'x' }", ["A"]),
    ],
)
def test_text_that_map_does_not_name_is_an_error(value: Value, spec: str, given: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^x: 'a' ") as caught:
        value(spec, {"a": given})
    assert caught.value.code == "map"


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        ("parse = 'iso8601'", "2013-01-01T10:00:00Z", "2013-01-01T10:00:00Z"),
        ("parse = 'iso8601'", "2013-01-01T05:00:00-05:00", "2013-01-01T10:00:00Z"),
        ("parse = 'iso8601'", "2013-01-01T10:00:00.5Z", "2013-01-01T10:00:00.500Z"),
        ("parse = 'iso8601'", "2013-01-01T10:00:00.000Z", "2013-01-01T10:00:00Z"),
        ("parse = 'iso8601'", "2013-01-01 10:00:00.000001+00:00", "2013-01-01T10:00:00.000001Z"),
        ("parse = 'iso8601'", dt.datetime(2013, 1, 1, 10, tzinfo=dt.UTC), "2013-01-01T10:00:00Z"),
        ("parse = 'iso8601'", None, None),
        ("parse = 'iso8601', null_if = 'NA'", "NA", None),
        ("parse = 'iso8601', time_zone = 'America/New_York'", "2013-07-01T10:00:00", "2013-07-01T14:00:00Z"),
        ("parse = 'iso8601', time_zone = 'America/New_York'", "2013-07-01T10:00:00Z", "2013-07-01T10:00:00Z"),
        ("parse = 'iso8601', time_zone = 'America/New_York'", "2013-11-03T01:30:00", "2013-11-03T05:30:00Z"),
        ("parse = 'epoch_s'", 1357034400, "2013-01-01T10:00:00Z"),
        ("parse = 'epoch_s'", "1357034400", "2013-01-01T10:00:00Z"),
        ("parse = 'epoch_s'", 1357034400.0, "2013-01-01T10:00:00Z"),
        ("parse = 'epoch_ms'", 1357034400000, "2013-01-01T10:00:00Z"),
        ("parse = 'epoch_ms'", 1357034400007, "2013-01-01T10:00:00.007Z"),
        ("parse = 'epoch_ms'", -1, "1969-12-31T23:59:59.999Z"),
        ("parse = 'epoch_ms'", dt.datetime(2013, 1, 1, 10, 0, 0, 9000, tzinfo=dt.UTC), "2013-01-01T10:00:00.009Z"),
        ("parse = 'epoch_us'", 1357034400000000, "2013-01-01T10:00:00Z"),
        ("parse = 'epoch_us'", 1357034400500000, "2013-01-01T10:00:00.500Z"),
        ("parse = 'epoch_us'", 1357034400000042, "2013-01-01T10:00:00.000042Z"),
        ("parse = 'epoch_us'", None, None),
        ("parse = '%d/%m/%Y %H:%M %z'", "01/07/2013 12:00 +0200", "2013-07-01T10:00:00Z"),
        ("parse = '%d/%m/%Y %H:%M', time_zone = 'Europe/Berlin'", "01/07/2013 12:00", "2013-07-01T10:00:00Z"),
    ],
)
def test_a_time_of_any_notation_becomes_one_in_utc(value: Value, spec: str, given: object, expected: object) -> None:
    assert value(f"{{ from = 'a', {spec} }}", {"a": given}) == expected


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        ("iso8601", "yesterday"),
        ("iso8601", "2013-02-30T10:00:00Z"),
        ("iso8601", "0001-01-01T00:00:00+14:00"),
        ("iso8601", 1357034400),
        ("iso8601", ["2013-01-01T10:00:00Z"]),
        ("iso8601", ""),
        ("epoch_ms", "soon"),
        ("epoch_ms", True),
        ("epoch_ms", 1.5),
        ("epoch_ms", 10**18),
        ("epoch_ms", []),
        ("%Y-%m-%d %z", "2013-01-01"),
    ],
)
def test_what_is_no_time_is_an_error(value: Value, spec: str, given: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^x: 'a' is no time in the notation ") as caught:
        value(f"{{ from = 'a', parse = '{spec}' }}", {"a": given})
    assert (caught.value.code, caught.value.field) == ("parse", "x")


@pytest.mark.parametrize("given", ["2013-01-01T10:00:00", "2013-01-01", dt.datetime(2013, 1, 1)])  # noqa: DTZ001
def test_a_time_without_an_offset_asks_for_time_zone(value: Value, given: object) -> None:
    with pytest.raises(InvalidValueError, match="no offset from UTC; add time_zone") as caught:
        value("{ from = 'a', parse = 'iso8601' }", {"a": given})
    assert caught.value.code == "parse"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{a}", "AA"),
        ("{a}-{n}", "AA-7"),
        ("{n:02}", "07"),
        ("{n:03d}/{n:d}", "007/7"),
        ("{a:>4}|{a:<4}|{a:^4}|{a:4s}", "  AA|AA  | AA |AA  "),
        ("{{{a}}}", "{AA}"),
        ("{o.name}/{l[1]}/{a}", "Bob/y/AA"),
        ("'{a}\" \\\\ \\n{f}", "'AA\" \\ \n1.5"),
        ("\\\\N{{BULLET}}{a}", "\\N{BULLET}AA"),
        ("{d}", "1.50"),
    ],
)
def test_a_template_is_filled(value: Value, template: str, expected: str) -> None:
    row = {"a": "AA", "n": 7, "o": {"name": "Bob"}, "l": ["x", "y"], "f": 1.5, "d": Decimal("1.50")}
    assert value('{ template = "' + template.replace('"', '\\"') + '" }', row) == expected


def test_a_template_is_null_when_one_of_its_fields_is(value: Value) -> None:
    assert value("{ template = '{a}-{b}' }", {"a": "A", "b": None}) is None
    assert value("{ template = '{a}-{b}', default = 'none' }", {"a": "A"}) == "none"


@pytest.mark.parametrize(
    ("template", "row", "says"),
    [
        ("{a}-{b}", {"a": "A", "b": ["list"]}, "cannot write 'b', which is of the type list"),
        ("{a}", {"a": True}, "cannot write 'a', which is of the type bool"),
        ("{a:02}", {"a": "1"}, "needs a whole number in 'a', and it is of the type str"),
        ("{a:02}", {"a": 1.0}, "needs a whole number in 'a', and it is of the type float"),
        ("{a:4s}", {"a": 1}, "cannot write 'a', which is of the type int"),
    ],
)
def test_a_template_refuses_values_of_another_type(value: Value, template: str, row: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValueError, match=says) as caught:
        value(f"{{ template = '{template}' }}", row)
    assert (caught.value.code, caught.value.field) == ("template", "x")


def test_a_required_template_names_the_field_that_is_missing(value: Value) -> None:
    with pytest.raises(InvalidValueError, match="the template needs 'b', which is missing or null") as caught:
        value("{ template = '{a}-{b}', required = true }", {"a": "A"})
    assert caught.value.code == "missing"


def test_each_makes_an_object_of_every_element(value: Value) -> None:
    spec = (
        "{ each = 'order.lines', item = { sku = 'sku', n = { from = 'qty', cast = 'int' }, kind = { const = 'l' } } }"
    )
    row = {"order": {"lines": [{"sku": "a", "qty": "1"}, None, {"sku": "b", "more": 1}]}}
    assert value(spec, row) == [{"sku": "a", "n": 1, "kind": "l"}, None, {"sku": "b", "n": None, "kind": "l"}]
    assert value(spec, {"order": {"lines": []}}) == []
    assert value(spec, {"order": {}}) is None


def test_each_inside_each_names_the_element_that_fails(value: Value) -> None:
    inner = "{ each = 'parts', item = { n = { from = 'n', cast = 'int' } } }"
    spec = f"{{ each = 'lines', item = {{ deep = {{ parts = {inner} }} }} }}"
    good = {"parts": [{"n": "1"}]}
    assert value(spec, {"lines": [good]}) == [{"deep": {"parts": [{"n": 1}]}}]
    with pytest.raises(InvalidValueError) as caught:
        value(spec, {"lines": [good, {"parts": [{"n": "1"}, {"n": "2"}, {"n": "x"}]}]})
    assert caught.value.field == "x[1].deep.parts[2].n"


def test_an_element_that_fails_is_named_by_its_index(value: Value) -> None:
    with pytest.raises(InvalidValueError) as caught:
        value("{ from = 'a[].n', cast = 'int' }", {"a": [{"n": 1}, {"n": "x"}]})
    assert (caught.value.field, caught.value.code) == ("x[1]", "cast")
    with pytest.raises(InvalidValueError) as caught:
        value("'a[].n.m'", {"a": [{"n": None}, {"n": 3}]})
    assert (caught.value.field, caught.value.code) == ("x[1]", "type")


@pytest.mark.parametrize(
    ("spec", "row"),
    [
        ("'a.b'", {"a": "text"}),
        ("'a.b'", {"a": [1]}),
        ("'a[0]'", {"a": "text"}),
        ("'a[0]'", {"a": {"0": 1}}),
        ("'a[].b'", {"a": "text"}),
        ("'a[]'", {"a": {"b": 1}}),
        ("'a[].b'", {"a": [1]}),
        ("{ each = 'a', item = { b = 'b' } }", {"a": "text"}),
        ("{ each = 'a', item = { b = 'b' } }", {"a": [7]}),
        ("{ template = '{a.b}' }", {"a": 1}),
    ],
)
def test_a_path_through_another_type_is_an_error(value: Value, spec: str, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="goes through a value of another type") as caught:
        value(spec, row)
    assert caught.value.code == "type"


@pytest.mark.parametrize(
    "spec",
    [
        "{ from = 'a', required = true }",
        "{ from = 'a[]', required = true }",
        "{ each = 'a', item = { b = 'b' }, required = true }",
        "{ from = 'a', null_if = 'NA', required = true }",
    ],
)
def test_a_required_field_without_a_value_is_an_error(value: Value, spec: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^x: 'a(\[\])?' is missing or null$") as caught:
        value(spec, {"a": "NA"} if "NA" in spec else {"a": None})
    assert (caught.value.code, caught.value.field) == ("missing", "x")


@pytest.mark.parametrize("key", ["id", "kind", "time"])
def test_id_kind_and_time_are_required(normalize: Normalize, key: str) -> None:
    answer = normalize(f"[event]\n{key} = 'a'", {"a": None}, {"a": "v"})
    assert answer.errors[0].field == key
    assert answer.errors[0].code == "missing"
    assert answer.bodies == [None, {key: "v"}]


def test_kind_and_time_need_not_be_required(normalize: Normalize) -> None:
    answer = normalize("[event]\ntime = { from = 'a', parse = 'iso8601', required = false }", {"a": None})
    assert answer.bodies == [{"time": None}]


def test_ids_are_text_and_beside_the_bodies(normalize: Normalize) -> None:
    answer = normalize("[event]\nid = 'a'\n", {"a": 7}, None, {"a": "x"}, {"a": ""}, {"a": []}, {"a": "\ud800"})
    assert answer.ids == ["7", None, "x", None, None, None]
    assert answer.bodies == [{"id": "7"}, None, {"id": "x"}, None, None, None]
    assert {row: error.code for row, error in answer.errors.items()} == {3: "missing", 4: "cast", 5: "cast"}
    assert {error.field for error in answer.errors.values()} == {"id"}


def test_without_an_id_in_the_mapping_there_are_no_ids(normalize: Normalize) -> None:
    assert normalize("[event]\nx = 'a'", {"a": 1}).ids is None


def test_a_nested_table_is_a_nested_object(normalize: Normalize) -> None:
    text = (
        "[event]\nkind = { const = 'k' }\n[event.a.b]\nfrom = { from = 'f' }\ncast = { const = 1 }\n'odd \"key\"' = 'g'"
    )
    assert normalize(text, {"f": 1, "g": 2}).bodies == [
        {"kind": "k", "a": {"b": {"from": 1, "cast": 1, 'odd "key"': 2}}}
    ]


def test_a_mapping_of_constants_reads_nothing_and_takes_bytes(normalize: Normalize) -> None:
    answer = normalize("[event]\nkind = { const = 'k' }", b"payload", None)
    assert answer.bodies == [{"kind": "k"}, None]
    assert not answer.errors


@pytest.mark.parametrize(
    "other",
    [
        "o = 'a'",
        "o = 'a[1]'",
        "o = 'b'",
        "o = 'b.k'",
        "o = 'b[\"k\"].l'",
        "o = 'd'",
        "o = 'd[1].e'",
        "o = { from = 'b', default = 'x' }",
    ],
)
def test_no_list_or_dict_is_in_two_places_of_bodies(normalize: Normalize, other: str) -> None:
    text = f"[event]\na = 'a'\nb = 'b'\nc = {{ const = ['x'] }}\nd = 'd[]'\n{other}\n"
    row = {"a": [1, [2]], "b": {"k": {"l": [1]}, "m": 1}, "d": [[1], {"e": {}}]}
    before = copy.deepcopy(row)
    one, two = normalize(text, row, copy.deepcopy(row)).bodies
    assert one == two == {**row, "c": ["x"], "o": (one or {})["o"]}

    def containers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [value, *(c for v in value.values() for c in containers(v))]
        return [value, *(c for v in value for c in containers(v))] if isinstance(value, list) else []

    objects = [id(c) for v in (one, two) for c in containers(v)]
    assert len(objects) == len(set(objects))
    assert row == before


def test_a_default_changes_no_other_field_of_the_same_source(normalize: Normalize) -> None:
    text = "[event]\na = { from = 'x', default = 'd' }\nb = 'x'\nc = { from = 'x', null_if = 'n' }"
    assert list(normalize(text, {"x": None}, {"x": "n"}).bodies) == [
        {"a": "d", "b": None, "c": None},
        {"a": "n", "b": "n", "c": None},
    ]


def test_only_the_culprits_fail_and_order_is_kept(normalize: Normalize) -> None:
    rows = [None if n % 7 == 0 else {"a": "x" if n % 3 == 0 else str(n)} for n in range(50)]
    answer = normalize("[event]\nid = { template = 'i{a}' }\nx = { from = 'a', cast = 'int' }", *rows)
    assert len(answer.bodies) == len(rows) == len(answer.ids or ())
    for n, (row, body) in enumerate(zip(rows, answer.bodies, strict=True)):
        bad = row is not None and n % 3 == 0
        assert (n in answer.errors) == bad
        assert body == (None if row is None or bad else {"id": f"i{n}", "x": n})


def test_an_empty_batch_gives_no_events(normalize: Normalize) -> None:
    assert normalize("[event]\nid = 'a'").bodies == []
