"""A mapping file as typed, frozen tables: what each field of the standard event is made from.

[event]
airport = "origin"                                        # short for { from = "origin" }
kind = { const = "departure" }
id = { template = "{carrier}{flight}-{month:02}" }
delay = { from = "dep_delay", cast = "int", null_if = "NA" }
cancelled = { python = "air_traffic.flights:cancelled", reads = ["dep_time"] }
lines = { each = "order.lines", item = { sku = "sku" } }
[event.attributes]                                        # a table that is none of these is a nested object
carrier = "carrier"
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingLike
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, field_validator, model_validator

from prismlib.config.model import Model, validate
from prismlib.errors import ConfigError
from prismlib.mapping.functions import check_name
from prismlib.mapping.paths import field_of, field_set, parse_path
from prismlib.mapping.reads import Use
from prismlib.mapping.templates import Placeholder, parse_template
from prismlib.mapping.times import check_notation
from prismlib.mapping.values import Cast
from prismlib.stages import FieldSet


def _scalar(value: object) -> str | int | float | bool:
    if isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    raise ValueError("must be text, a finite number, true or false")


def _scalars(value: object) -> str | int | float | bool | tuple[str | int | float | bool, ...]:
    return tuple(_scalar(one) for one in value) if isinstance(value, list | tuple) else _scalar(value)


Scalar: TypeAlias = Annotated[str | int | float | bool, PlainValidator(_scalar)]
Scalars: TypeAlias = Annotated[Scalar | tuple[Scalar, ...], PlainValidator(_scalars)]
REQUIRED = frozenset({"id", "kind", "time"})
"""Keys of an event that are errors when they have no value; anything else is null then, unless it says otherwise."""


def _path(text: str) -> str:
    parse_path(text)
    return text


def _one(text: str) -> str:
    parse_path(text, lists=False)
    return text


def _template(text: str) -> str:
    parse_template(text)
    return text


PathText: TypeAlias = Annotated[str, AfterValidator(_path)]
OneText: TypeAlias = Annotated[str, AfterValidator(_one)]


class _Spec(Model):
    """What all ways to make a field have in common.

    Attributes:
        required: no value is an error; by default for ``id``, ``kind`` and ``time`` of the event, and nothing else.
    """

    required: bool | None = None


class FromField(_Spec):
    """``{ from = "PATH" }``: a value of the row. Applied in this order: null_if, then cast and map, or parse; default.

    Behind ``[]`` all of them are applied to every element.

    Attributes:
        source: path of the value.
        null_if: one or more values that mean that there is none.
        cast: the type to turn it into.
        map: text to value; without ``otherwise``, text that is no key is an error.
        otherwise: for what ``map`` does not name.
        parse: notation of a time: iso8601, epoch_s, epoch_ms, epoch_us, or a format of ``strptime``.
        time_zone: of times that do not give their offset.
        default: instead of null.
    """

    source: PathText = Field(alias="from")
    null_if: Scalars | None = None
    cast: Cast | None = None
    map: Annotated[dict[str, Scalar], Field(min_length=1)] | None = None
    otherwise: Scalar | None = None
    parse: str | None = None
    time_zone: str | None = None
    default: Scalar | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> FromField:
        if self.parse is not None:
            if self.cast is not None or self.map is not None:
                raise ValueError("parse makes text of a time, so cast and map cannot be beside it")
            check_notation(self.parse, self.time_zone)
        elif self.time_zone is not None:
            raise ValueError("time_zone needs parse beside it")
        if self.otherwise is not None and self.map is None:
            raise ValueError("otherwise needs map beside it; for a missing value write default")
        if self.map is not None and self.cast not in {None, "str"}:
            raise ValueError('map compares text; write cast = "str" or leave it out')
        return self


class ConstField(_Spec):
    """``{ const = VALUE }``: the same in every event.

    Attributes:
        const: the value, or a list of values.
    """

    const: Scalars


class TemplateField(_Spec):
    """``{ template = "{carrier}{flight}-{month:02}" }``: text; null when one of its fields is null.

    Attributes:
        template: text with ``{path}`` for fields; ``{path:02}`` gives whole numbers a width, ``{path:<10}`` text; ``{{`` and
            ``}}`` stand for braces.
        default: instead of null.
    """

    template: Annotated[str, AfterValidator(_template)]
    default: Scalar | None = None


class PythonField(_Spec):
    """``{ python = "module:function", reads = ["a", "b"] }``: what the function returns for the values of a and b.

    Attributes:
        python: the function; it is called with one positional argument for each path.
        reads: paths of the arguments.
        default: instead of null.
    """

    python: Annotated[str, AfterValidator(check_name)]
    reads: Annotated[tuple[PathText, ...], Field(strict=False)]
    default: Scalar | None = None


class EachField(_Spec):
    """``{ each = "PATH", item = { ... } }``: a list with one object for every element of a list.

    Attributes:
        each: path of the list.
        item: the fields of one object; their paths begin at the element.
    """

    each: OneText
    item: dict[str, Any]

    @field_validator("item")
    @classmethod
    def _is_an_object(cls, item: dict[str, Any]) -> dict[str, Any]:
        if not item or _spec_of(item):
            raise ValueError(
                "must be a table of fields, as in item = { sku = 'sku' }; for single values write lines[].sku"
            )
        return item


FieldSpec: TypeAlias = FromField | ConstField | TemplateField | PythonField | EachField
FIELD_MODELS: tuple[tuple[str, type[FieldSpec]], ...] = (
    ("from", FromField),
    ("const", ConstField),
    ("template", TemplateField),
    ("python", PythonField),
    ("each", EachField),
)
"""The ways to make a field, each by the key that decides for it."""
_SIDE_KEYS = frozenset(
    {"null_if", "cast", "map", "otherwise", "parse", "time_zone", "default", "reads", "item", "required"}
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field of the event that is made from something.

    Attributes:
        key: its path in the event, such as ``"measures.delay"`` or ``"lines[].sku"``.
        spec: what it is made from.
        required: whether no value is an error.
        item: for ``each``, the object made of one element.
    """

    key: str
    spec: FieldSpec
    required: bool
    item: Table | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One object of the event: its fields and nested objects, in the order of the file."""

    fields: tuple[tuple[str, Leaf | Table], ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A whole mapping file.

    Attributes:
        file: how errors name it.
        event: what an event consists of.
        uses: the fields that are read, by key.
        fingerprint: of what the file says; comments, layout and order do not count.
    """

    file: str
    event: Table
    uses: tuple[Use, ...]
    fingerprint: str = ""

    @property
    def reads(self) -> FieldSet:
        """The fields that are read. The empty set, where all is constant, lets rows stay bytes."""
        return field_set(use.field for use in self.uses)

    @property
    def has_id(self) -> bool:
        """Whether the events have a business id."""
        return any(name == "id" for name, _ in self.event.fields)

    @property
    def functions(self) -> frozenset[str]:
        """The Python functions that are called, as ``package.module:function``."""
        return frozenset(_called(self.event))


class _File(Model):
    event: Annotated[dict[str, Any], Field(min_length=1)]


def load_mapping(path: Path, file: str | None = None) -> Mapping:
    """Read a mapping file; ``file`` is how errors name it, by default by its path.

    Raises:
        ConfigError: one line for everything that is wrong with it.
    """
    file = file or str(path)
    try:
        # Not read_toml: `[event.attributes] env = "stage"` is a field here, and no secret.
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file in {path.parent}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    return mapping_from(data, file)


def mapping_from(data: MappingLike[str, Any], file: str) -> Mapping:
    """A mapping from tables made in code; raises like :func:`load_mapping`."""
    tables = validate(_File, data, file)
    problems: list[str] = []
    event = _table(tables.event, "", file, problems)
    if problems:
        raise ConfigError("\n".join(problems))
    said = json.dumps(data, sort_keys=True, default=str)  # dates and times of TOML are no JSON
    fingerprint = hashlib.sha256(said.encode()).hexdigest()
    return Mapping(file, event, tuple(dict.fromkeys(_uses(event, file, ""))), fingerprint)


def _table(data: MappingLike[str, Any], prefix: str, file: str, problems: list[str]) -> Table:
    fields: list[tuple[str, Leaf | Table]] = []
    for name, value in data.items():
        key = f"{prefix}{name}"
        where = f"{file}: event.{key}"
        try:
            fields.append((name, _node(key, value, where, file, problems)))
        except ConfigError as error:
            problems.append(str(error))
    return Table(tuple(fields))


def _node(key: str, value: Any, where: str, file: str, problems: list[str]) -> Leaf | Table:
    if isinstance(value, str):
        value = {"from": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: must be a path or a table; for a fixed value write {{ const = ... }}")
    model = _spec_of(value)
    if model is None:
        astray = sorted(name for name in value if name in _SIDE_KEYS and not isinstance(value[name], dict))
        if astray or not value:
            has = f"has {astray[0]!r}" if astray else "is empty"
            ways = ", ".join(name for name, _ in FIELD_MODELS)
            raise ConfigError(
                f"{where}: {has} and none of {ways}; a field of the event that is itself called so is written as a table:"
                f" {astray[0] if astray else 'name'} = {{ from = ... }}"
            )
        return _table(value, f"{key}.", file, problems)
    spec = validate(model, value, where)
    if key == "id" and (spec.required is False or isinstance(spec, EachField)):
        raise ConfigError(f"{where}: an id must be one value, and always there; leave out `required` or the whole id")
    item = _table(spec.item, f"{key}[].", file, problems) if isinstance(spec, EachField) else None
    return Leaf(key, spec, key in REQUIRED if spec.required is None else spec.required, item)


def _spec_of(table: MappingLike[str, Any]) -> type[FieldSpec] | None:
    """Which way to make a field the table is, or None for a nested object.

    A key such as ``from`` decides, unless it holds a table: then it is a field of that name.
    """
    return next((model for name, model in FIELD_MODELS if name in table and not isinstance(table[name], dict)), None)


def _uses(table: Table, file: str, inside: str) -> Iterator[Use]:
    for _, node in table.fields:
        if isinstance(node, Table):
            yield from _uses(node, file, inside)
            continue
        where = f"{file}: event.{node.key}"
        yield from (Use(where, field_of(parse_path(text), inside)) for text in _paths(node.spec))
        if isinstance(node.spec, EachField) and node.item is not None:
            field = field_of(parse_path(node.spec.each), inside)
            # Items of constants still need the list for its length.
            yield from list(_uses(node.item, file, field)) or [Use(where, field)]


def _called(table: Table) -> Iterator[str]:
    for _, node in table.fields:
        if isinstance(node, Table):
            yield from _called(node)
        elif isinstance(node.spec, PythonField):
            yield node.spec.python
        elif node.item is not None:
            yield from _called(node.item)


def _paths(spec: FieldSpec) -> Sequence[str]:
    match spec:
        case FromField():
            return [spec.source]
        case TemplateField():
            return [part.text for part in parse_template(spec.template) if isinstance(part, Placeholder)]
        case PythonField():
            return spec.reads
    return []
