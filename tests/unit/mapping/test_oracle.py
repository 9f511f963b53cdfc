"""Compiled mappings against a slow and obvious interpreter of the same files, over drawn mappings and drawn rows."""

import copy
import datetime as dt
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from prismlib.mapping import MappingNormalizer, mapping_from
from tests.unit.mapping.conftest import batch_of

NAMES = ("a", "b", "class", "é", "x y", "it's", 'say "hi"', "{n}")
FUNCTION = "tests.unit.mapping.test_oracle:joined"


class RefusedError(Exception):
    """The row does not fit; holds the path in the event."""


def joined(*values: Any) -> str:
    if not values or values[0] is None:
        raise KeyError
    return "+".join(map(repr, values))


# --- the interpreter


def event_of(mapping: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return table(mapping, row, "")


def table(spec: dict[str, Any], root: Any, prefix: str) -> dict[str, Any]:
    return {name: node(one, root, prefix + name) for name, one in spec.items()}


def node(spec: Any, root: Any, key: str) -> Any:
    if isinstance(spec, str):
        spec = {"from": spec}
    made: Any
    if isinstance(spec.get("from"), str):
        found = walk(root, spec["from"], key)
        if "[]" in spec["from"]:
            made = None if found is None else [convert(one, spec, f"{key}[{i}]") for i, one in enumerate(found)]
        else:
            made = convert(found, spec, key)
    elif "const" in spec and not isinstance(spec["const"], dict):
        return copy.deepcopy(spec["const"])
    elif isinstance(spec.get("template"), str):
        made = fill(spec["template"], root, key)
        made = spec.get("default") if made is None else made
    elif isinstance(spec.get("python"), str):
        arguments = [walk(root, path, key, inside="") for path in spec["reads"]]
        try:
            made = joined(*arguments)
        except KeyError:
            raise RefusedError(key) from None
    elif isinstance(spec.get("each"), str):
        found = walk(root, spec["each"], key)
        if found is not None and not isinstance(found, list):
            raise RefusedError(key)
        made = None
        if found is not None:
            made = [None if one is None else table(spec["item"], one, f"{key}[{i}].") for i, one in enumerate(found)]
    else:
        return table(spec, root, key + ".")
    required = spec.get("required", key in {"id", "kind", "time"})
    if made is None and required:
        raise RefusedError(key)
    if key == "id":
        made = cast(made, "str", key)
        if made == "":
            raise RefusedError(key)
    return made


def walk(value: Any, path: str, key: str, inside: str = "[{}]") -> Any:
    before, brackets, after = path.partition("[]")
    found = steps(value, before, key)
    if not brackets or found is None:
        return copy.deepcopy(found)
    if not isinstance(found, list):
        raise RefusedError(key)
    return [copy.deepcopy(steps(one, after.removeprefix("."), key + inside.format(i))) for i, one in enumerate(found)]


def steps(value: Any, path: str, key: str) -> Any:
    for step in path.replace("[", ".[").split(".") if path else ():
        if value is None:
            return None
        if step.startswith("["):
            if not isinstance(value, list):
                raise RefusedError(key)
            index = int(step[1:-1])
            value = value[index] if index < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            raise RefusedError(key)
    return value


def convert(value: Any, spec: dict[str, Any], key: str) -> Any:
    nulls = spec.get("null_if", [])
    if value in (nulls if isinstance(nulls, list) else [nulls]):
        value = None
    if value is not None and "cast" in spec:
        value = cast(value, spec["cast"], key)
    if value is not None and "map" in spec:
        if isinstance(value, list | dict):
            raise RefusedError(key)
        if value in spec["map"]:
            value = spec["map"][value]
        elif "otherwise" in spec:
            value = spec["otherwise"]
        else:
            raise RefusedError(key)
    if value is not None and "parse" in spec:
        value = moment(value, spec["parse"], key)
    return spec.get("default") if value is None else value


def cast(value: Any, kind: str, key: str) -> Any:
    try:
        if isinstance(value, list | dict) or value is None:
            raise RefusedError(key)
        if kind == "int":
            number = int(value) if isinstance(value, str) else Decimal(value)
            if number != int(number):
                raise RefusedError(key)
            return int(number)
        if kind == "float":
            number = float(value)
            if number != number or abs(number) == float("inf"):  # NaN
                raise RefusedError(key)
            return number
        if kind == "bool":
            if isinstance(value, float | Decimal):
                raise RefusedError(key)
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                str(value).strip().lower()
            ]
        return str(value).lower() if isinstance(value, bool) else str(value)
    except (ValueError, KeyError, ArithmeticError):
        raise RefusedError(key) from None


def moment(value: Any, notation: str, key: str) -> str:
    try:
        if notation == "iso8601":
            when = dt.datetime.fromisoformat(value).astimezone(dt.UTC)
        else:
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise RefusedError(key)
            if not isinstance(value, int | float | str):
                raise RefusedError(key)
            micros = int(value) * {"epoch_s": 10**6, "epoch_ms": 10**3, "epoch_us": 1}[notation]
            when = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(key) from None
    text = when.strftime("%Y").rjust(4, "0") + when.strftime("-%m-%dT%H:%M:%S")
    if when.microsecond:
        text += f".{when.microsecond:06}"[: 4 if when.microsecond % 1000 == 0 else 7]
    return text + "Z"


def fill(template: str, root: Any, key: str) -> str | None:
    pieces: list[str] = []
    values: list[tuple[Any, str]] = []
    for i, part in enumerate(template.replace("{{", "\0").replace("}}", "\1").split("{")):
        inside, brace, text = part.partition("}")
        if i == 0:
            pieces.append(part)
            continue
        assert brace
        path, _, form = inside.partition(":")
        values.append((walk(root, path, key), form))
        pieces.append(text)
    if any(value is None for value, _ in values):
        return None
    done = pieces[0]
    for (value, form), text in zip(values, pieces[1:], strict=True):
        if type(value) not in {str, int, float, Decimal} or (form and type(value) is not int):
            raise RefusedError(key)
        done += format(value, form) + text
    return done.replace("\0", "{").replace("\1", "}")


# --- what is drawn

keys = st.sampled_from(NAMES)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(),
    st.sampled_from(
        ["", "NA", "12", "-1", "1.5", "true", "2013-01-01T10:00:00Z", "2013-06-01T10:00:00.25+02:00", "ü'\"{}\\"]
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**6), max_value=10**6),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)
# A scalar or something deeper under almost every name, so that most paths find something.
rows = st.fixed_dictionaries({"a": scalars, "b": scalars}, optional=dict.fromkeys(NAMES[2:], values))
plain_names = st.sampled_from(NAMES[:-1])
segments = st.builds(lambda name, index: name + index, plain_names, st.sampled_from(["", "", "", "[0]", "[1]"]))
one_path = st.lists(segments, min_size=1, max_size=2).map(".".join)
list_path = st.builds(lambda a, b: f"{a}[]" + (f".{b}" if b else ""), one_path, st.one_of(st.just(""), one_path))
paths = st.one_of(one_path, one_path, list_path)
consts = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=8))


@st.composite
def from_fields(draw: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"from": draw(paths)}
    if draw(st.booleans()):
        spec["null_if"] = draw(st.one_of(st.sampled_from(["NA", ""]), st.lists(consts, min_size=1, max_size=3)))
    way = draw(st.sampled_from(["plain", "cast", "map", "parse"]))
    if way == "cast":
        spec["cast"] = draw(st.sampled_from(["int", "float", "str", "bool"]))
    elif way == "map":
        spec["map"] = draw(st.dictionaries(st.sampled_from(["NA", "12", "true", ""]), consts, min_size=1, max_size=3))
        if draw(st.booleans()):
            spec["cast"] = "str"
        if draw(st.booleans()):
            spec["otherwise"] = draw(consts)
    elif way == "parse":
        spec["parse"] = draw(st.sampled_from(["iso8601", "epoch_s", "epoch_ms", "epoch_us"]))
    if draw(st.booleans()):
        spec["default"] = draw(consts)
    elif draw(st.booleans()):
        spec["required"] = True
    return spec


literals = st.text(max_size=6).map(
    lambda text: text.replace("{", "{{").replace("}", "}}").replace("\0", "").replace("\1", "")
)
placeholders = st.builds(lambda path, form: "{" + path + form + "}", one_path, st.sampled_from(["", "", ":02", ":3d"]))
templates = st.lists(st.tuples(literals, placeholders), min_size=1, max_size=3).map(
    lambda pairs: {"template": "".join(itertools.chain.from_iterable(pairs))}
)
pythons = st.lists(paths, max_size=3).map(lambda reads: {"python": FUNCTION, "reads": reads})
leaves = st.one_of(paths, from_fields(), templates, pythons, consts.map(lambda value: {"const": value}))
items = st.dictionaries(keys, leaves, min_size=1, max_size=3)
eaches = st.builds(lambda path, item: {"each": path, "item": item}, one_path, items)
nodes = st.recursive(
    st.one_of(leaves, eaches), lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=3), max_leaves=6
)
mappings = st.dictionaries(st.one_of(keys, st.sampled_from(["kind", "time"])), nodes, min_size=1, max_size=5)
ids = st.one_of(st.none(), paths, templates)


def same(one: Any, other: Any) -> bool:
    """Equal with types: 1, 1.0 and True are apart, and NaN is equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)  # NaN


@settings(max_examples=600, deadline=None)
@given(mappings, ids, st.lists(st.one_of(st.none(), rows, rows, rows), max_size=4))
def test_compiled_mappings_do_what_the_interpreter_does(
    event: dict[str, Any], event_id: Any, given_rows: list[dict[str, Any] | None]
) -> None:
    if event_id is not None:
        event = {"id": event_id, **event}
    before = copy.deepcopy(given_rows)
    normalizer = MappingNormalizer(mapping_from({"event": event}, "m.toml"), Path())
    answer = normalizer.normalize(batch_of(given_rows), given_rows)
    assert same(given_rows, before)
    for number, row in enumerate(given_rows):
        body, error = answer.bodies[number], answer.errors.get(number)
        try:
            expected, culprit = (None if row is None else event_of(event, row)), None
        except RefusedError as refused:
            expected, culprit = None, str(refused)
        assert (error.field if error else None) == culprit, f"got {error!r} and {body!r}"
        assert same(body, expected)
        if event_id is not None:
            assert answer.ids is not None
            assert answer.ids[number] == (None if expected is None else expected["id"])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}:a0d<>^.[]_\\'\"!x\n()", max_size=14), st.text(max_size=5))
def test_a_hostile_template_is_refused_or_only_filled(template: str, value: str) -> None:
    from prismlib.errors import ConfigError  # noqa: PLC0415  # used here alone

    try:
        mapping = mapping_from({"event": {"x": {"template": template}}}, "m.toml")
    except ConfigError:
        return
    row = dict.fromkeys(mapping.reads, value)
    normalizer = MappingNormalizer(mapping, Path())
    answer = normalizer.normalize(batch_of([row]), [row])
    assert len(answer.bodies) == 1
    if not answer.errors and isinstance(answer.bodies[0], dict) and answer.bodies[0]["x"] is not None:
        assert answer.bodies[0]["x"] == fill(template, row, "x") or ":" in template or "[" in template
