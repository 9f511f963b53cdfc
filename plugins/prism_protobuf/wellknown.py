"""Messages of Protobuf's own library that become plain values, and plain values that become such messages.

| message | value |
| --- | --- |
| ``Timestamp``, ``Duration`` | ``int``, microseconds (since the epoch); finer digits are cut off |
| ``StringValue``, ``Int64Value`` and the other wrappers | the wrapped value |
| ``Struct``, ``Value``, ``ListValue`` | ``dict``, any JSON value, ``list``; numbers are ``float`` |

All others (``Any``, ``FieldMask``, ``Empty``) are messages like any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Convert: TypeAlias = Callable[[Any], Any]

_PACKAGE: Final = "google.protobuf."
_WRAPPERS: Final = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")


def _micros(message: Any) -> int:
    seconds: int = message.seconds
    nanos: int = message.nanos
    return seconds * 1_000_000 + nanos // 1000


def _duration(message: Any) -> int:
    seconds: int = message.seconds
    nanos: int = message.nanos
    return seconds * 1_000_000 + (nanos // 1000 if nanos >= 0 else -(-nanos // 1000))


def _wrapped(message: Any) -> Any:
    return message.value


def _struct(message: Any) -> dict[str, Any]:
    return {key: _value(value) for key, value in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_value(value) for value in message.values]


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    return getattr(message, kind)


TO_VALUE: Final[Mapping[str, Convert]] = {
    f"{_PACKAGE}Timestamp": _micros,
    f"{_PACKAGE}Duration": _duration,
    f"{_PACKAGE}Struct": _struct,
    f"{_PACKAGE}Value": _value,
    f"{_PACKAGE}ListValue": _list,
    **{f"{_PACKAGE}{name}Value": _wrapped for name in _WRAPPERS},
}
"""By full name: the value of a message."""


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("microseconds are a whole number")
    return value


def _timestamp_fields(value: Any) -> dict[str, int]:
    seconds, micros = divmod(_integer(value), 1_000_000)
    return {"seconds": seconds, "nanos": micros * 1000}


def _duration_fields(value: Any) -> dict[str, int]:
    sign = -1 if _integer(value) < 0 else 1  # both parts of a duration have the same sign
    seconds, micros = divmod(abs(value), 1_000_000)
    return {"seconds": sign * seconds, "nanos": sign * micros * 1000}


def _wrapper_fields(value: Any) -> dict[str, Any]:
    return {"value": value}


def _struct_fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("a Struct is a dict")
    return {"fields": {key: _value_fields(one) for key, one in value.items()}}


def _list_fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, list | tuple):
        raise TypeError("a ListValue is a list")
    return {"values": [_value_fields(one) for one in value]}


def _value_fields(value: Any) -> dict[str, Any]:
    if value is None:
        return {"null_value": 0}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int | float):
        if float(value) != value and value == value:  # noqa: PLR0124  # not a number is not equal to itself
            raise ValueError("a number of a Value is a float")
        return {"number_value": float(value)}
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, dict):
        return {"struct_value": _struct_fields(value)}
    return {"list_value": _list_fields(value)}


FROM_VALUE: Final[Mapping[str, Convert]] = {
    f"{_PACKAGE}Timestamp": _timestamp_fields,
    f"{_PACKAGE}Duration": _duration_fields,
    f"{_PACKAGE}Struct": _struct_fields,
    f"{_PACKAGE}Value": _value_fields,
    f"{_PACKAGE}ListValue": _list_fields,
    **{f"{_PACKAGE}{name}Value": _wrapper_fields for name in _WRAPPERS},
}
"""By full name: the fields of the message that a value stands for; they raise TypeError, ValueError, OverflowError."""
