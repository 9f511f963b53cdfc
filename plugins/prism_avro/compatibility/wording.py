"""What the rules' sentences have in common."""

from __future__ import annotations

import json
from typing import Any, Final

from prism_avro.compatibility.pairs import Met, Place
from prism_avro.names import shown
from prism_avro.schema import Enum, Fixed, Primitive, Type, Union

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder each time
_FAMILIES: Final = ("local-timestamp", "timestamp", "time")


def subject(place: Place) -> str:
    """What a sentence is about: ``field 'lines.sku'``, or the root."""
    field = place.field
    return f"field {field!r}" if field else "the root"


def listed(names: list[str]) -> str:
    """Names in a sentence, the first few of many."""
    rest = len(names) - 8
    return ", ".join(map(repr, names[:8])) + (f" and {rest} more" if rest > 0 else "")


def json_text(value: Any) -> str:
    """A default in a sentence."""
    return shown(_encode(value))


def unknown_symbols(reader: Enum, writer: Enum) -> list[str]:
    """The writer's symbols that the reader has not got."""
    known = set(reader.symbols)
    return [symbol for symbol in writer.symbols if symbol not in known]


def logical(schema: Type) -> str:
    """A logical type as people write it, such as ``decimal(9, 2)``; "" for none."""
    if isinstance(schema, Union):
        return ""
    if isinstance(schema, Primitive | Fixed) and schema.logical:
        return f"decimal({schema.precision}, {schema.scale})" if schema.logical == "decimal" else schema.logical
    return schema.annotation


def is_decimal(schema: Type) -> bool:
    """Whether it is a decimal within our limits."""
    return isinstance(schema, Primitive | Fixed) and schema.logical == "decimal"


def decimals(pair: Met) -> tuple[Primitive | Fixed, Primitive | Fixed] | None:
    """Reader and writer where both are decimals."""
    match pair.reader, pair.writer:
        case (Primitive() | Fixed()) as reader, (Primitive() | Fixed()) as writer:
            if reader.logical == writer.logical == "decimal":
                return reader, writer
    return None


def time_unit(schema: Type) -> tuple[str, str] | None:
    """Family and unit of a time, such as ``("timestamp", "millis")``."""
    if isinstance(schema, Primitive) and schema.logical:
        family, _, unit = schema.logical.rpartition("-")
        if family in _FAMILIES:
            return family, unit
    return None
