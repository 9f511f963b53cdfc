"""From bodies to messages: the constructor of protobuf does the work, after what it would get wrong.

Protobuf's own constructor takes nested dicts and is fast, but it takes a string for a list of its characters, follows a
dict that contains itself until the process dies, and says of an error neither which field nor which element. So code
compiled per message turns bodies into arguments, and a body that is refused is walked once more to find the culprit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from prism_protobuf.schema import is_repeated, map_entry, message_class
from prism_protobuf.wellknown import FROM_VALUE

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Arguments: TypeAlias = Callable[[Any], Any]
"""From a body to what the constructor takes. Raises one of ``REFUSALS``."""

REFUSALS: Final = (TypeError, ValueError, OverflowError, RecursionError, AttributeError, KeyError)
"""What a body that does not fit makes this module and protobuf's constructor raise."""

MOST_NESTING: Final = 90

RECURSIVE_VALUES: Final = frozenset(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))
"""Those of ``FROM_VALUE`` that contain themselves."""


def compile_arguments(message: Descriptor) -> Arguments:
    """Compile the function that turns bodies of a message, which it does not change, into constructor arguments."""
    every = _reachable(message)
    names: dict[str, Any] = {"as_list": _as_list, "as_table": _as_table}
    functions = {one.full_name: f"f{number}" for number, one in enumerate(every)}
    source = []
    for one in every:
        source += [f"def {functions[one.full_name]}(b):", "    c = dict(as_table(b))"]
        for field in one.fields:
            change = _change(field, functions, names)
            if change is not None:
                source += [
                    f"    v = c.get({field.name!r})",
                    "    if v is not None:",
                    f"        c[{field.name!r}] = {change}",
                ]
        source.append("    return c")
    # Names in the source are identifiers from protoc, quoted.
    exec(compile("\n".join(source), f"<arguments of {message.full_name}>", "exec"), names)  # noqa: S102
    arguments: Arguments = names[functions[message.full_name]]
    return arguments


def may_be_deep(message: Descriptor) -> bool:
    """Whether a body can make messages nested deeper than protobuf parses (100), although it writes them."""
    waiting = {one.full_name: {inner.full_name for inner in _inner(one)} for one in _reachable(message)}
    if len(waiting) >= MOST_NESTING or any(inner & RECURSIVE_VALUES for inner in waiting.values()):
        return True
    while waiting:
        shallow = {name for name, inner in waiting.items() if not inner & waiting.keys()}
        if not shallow:
            return True  # what is left contains itself
        for name in shallow:
            del waiting[name]
    return False


def culprit(message: Descriptor, body: Any) -> tuple[str, str] | None:
    """The first part of a body that a message refuses: its path and why, without its value; None when none alone is."""
    return _Walk().message(message, body, "")


def _change(field: FieldDescriptor, functions: dict[str, str], names: dict[str, Any]) -> str | None:
    """The expression that changes a value ``v``, or None when the constructor takes it as it is."""
    entry = map_entry(field)
    if entry is not None:
        key, value = entry
        each = _one("x", value, functions, names)
        return f"{{{_key('k', key, names)}: {each} for k, x in as_table(v).items()}}"
    if is_repeated(field):
        each = _one("x", field, functions, names)
        return "as_list(v)" if each == "x" else f"[{each} for x in as_list(v)]"
    return None if field.message_type is None else _one("v", field, functions, names)


def _one(x: str, field: FieldDescriptor, functions: dict[str, str], names: dict[str, Any]) -> str:
    message = field.message_type
    if message is None:
        return x
    if message.full_name in FROM_VALUE:
        name = f"w_{message.name}"
        names[name] = FROM_VALUE[message.full_name]
        return f"{name}({x})"
    return f"{functions[message.full_name]}({x})"


def _key(k: str, field: FieldDescriptor, names: dict[str, Any]) -> str:
    if field.type == field.TYPE_STRING:
        return k
    name = "boolean_key" if field.type == field.TYPE_BOOL else "integer_key"
    names["boolean_key"], names["integer_key"] = _boolean_key, _integer_key
    return f"{name}({k})"


def _boolean_key(key: Any) -> bool:
    if isinstance(key, bool):
        return key
    return {"true": True, "false": False}[key]


def _integer_key(key: Any) -> int:
    if type(key) is int:
        return key
    if isinstance(key, str):
        return int(key)
    raise TypeError("a key is an integer, or its digits")


def _as_list(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    raise TypeError("not a list")


def _as_table(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    raise TypeError("not a dict")


def _reachable(message: Descriptor) -> list[Descriptor]:
    """The message and all that its fields hold, directly or not, but for those that are plain values."""
    found = {message.full_name: message}
    waiting = [message]
    while waiting:
        for one in _inner(waiting.pop()):
            if one.full_name not in found and one.full_name not in FROM_VALUE:
                found[one.full_name] = one
                waiting.append(one)
    return list(found.values())


def _inner(message: Descriptor) -> Iterable[Descriptor]:
    for field in message.fields:
        entry = map_entry(field)
        inner = field.message_type if entry is None else entry[1].message_type
        if inner is not None:
            yield inner


class _Walk:
    """Looks for what is wrong with a body, message by message."""

    def __init__(self) -> None:
        self._arguments: dict[str, Arguments] = {}

    def message(self, message: Descriptor, body: Any, at: str) -> tuple[str, str] | None:
        if not isinstance(body, dict):
            return at, f"a dict is needed for message {message.full_name}, not a {type(body).__name__}"
        fields = message.fields_by_name
        for name, value in body.items():
            path = f"{at}.{name}" if at else str(name)
            if not isinstance(name, str) or name not in fields:
                return path, f"message {message.full_name} has no such field"
            found = None if value is None else self._field(message, fields[name], value, path)
            if found is not None:
                return found
        return None

    def _field(self, message: Descriptor, field: FieldDescriptor, value: Any, path: str) -> tuple[str, str] | None:
        entry = map_entry(field)
        inner = field.message_type if entry is None else entry[1].message_type
        parts: list[tuple[str, Any, Any]] = [(path, value, value)]
        if entry is not None and isinstance(value, dict):
            parts = [(f"{path}[{key!r}]", one, {key: one}) for key, one in value.items()]
        elif entry is None and is_repeated(field) and isinstance(value, list | tuple):
            parts = [(f"{path}[{position}]", one, [one]) for position, one in enumerate(value)]
        for where, one, alone in parts:
            if inner is not None and inner.full_name not in FROM_VALUE and isinstance(one, dict):
                found = self.message(inner, one, where)
                if found is not None:
                    return found
            if not self._fits(message, {field.name: alone}):
                return where, f"a value of type {type(one).__name__} does not fit {_describe(field)}"
        return None

    def _fits(self, message: Descriptor, body: dict[str, Any]) -> bool:
        arguments = self._arguments.get(message.full_name)
        if arguments is None:
            arguments = self._arguments[message.full_name] = compile_arguments(message)
        try:
            message_class(message)(**arguments(body))
        except RecursionError:
            raise
        except REFUSALS:
            return False
        return True


def _describe(field: FieldDescriptor) -> str:
    """A field's declaration as in the .proto, such as ``repeated int32 delays``."""
    entry = map_entry(field)
    if entry is not None:
        return f"map<{_type(entry[0])}, {_type(entry[1])}> {field.name}"
    return f"{'repeated ' if is_repeated(field) else ''}{_type(field)} {field.name}"


def _type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return field.message_type.full_name
    if field.enum_type is not None:
        return field.enum_type.full_name
    return _SCALARS[field.type]


_SCALARS: Final = {
    1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string",
    12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64",
}  # fmt: skip
"""Name in a .proto of each ``FieldDescriptor.type``."""
