"""A ``.proto`` file of some messages of a schema, each with some of its fields.

The file has the syntax of the schema. Only where an imported message says what that syntax cannot, such as a closed enum
in a file of proto3, it is written in the edition 2023, which can say everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.model import SCALARS, EnumType, Field, Message, Schema

_FILES: Final = {
    "Any": "any", "Duration": "duration", "Empty": "empty", "FieldMask": "field_mask", "SourceContext": "source_context",
    "Struct": "struct", "Value": "struct", "ListValue": "struct", "NullValue": "struct", "Timestamp": "timestamp",
    "Api": "api", "Method": "api", "Mixin": "api",
    "Type": "type", "Field": "type", "Enum": "type", "EnumValue": "type", "Option": "type", "Syntax": "type",
    **dict.fromkeys(
        (f"{name}Value" for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")),
        "wrappers",
    ),
}  # fmt: skip
"""The file of each message and enum of Protobuf's library; all others are in ``descriptor``."""


@dataclass(eq=False)
class Scope:
    """A message of the file, or the file itself.

    Attributes:
        path: its name within the package; "" for the file.
        message: None for the file, and for one that is there only because something that is read is nested in it.
        inside: what is nested in it, by simple name.
    """

    path: str
    message: Message | None = None
    inside: dict[str, Scope | EnumType] = field(default_factory=dict)

    def names(self, numbers: set[int]) -> set[str]:
        """All names that are known in it, which hide those outside."""
        known = set(self.inside)
        for one in self.inside.values():
            if isinstance(one, EnumType):
                known.update(*one.values.values())
        if self.message is not None:
            fields = [self.message.fields[number] for number in numbers]
            known.update(name for one in fields for name in (one.name, one.oneof))
        return known


class Named:
    """What a file has, and the names in it.

    What is nested stays where it was, within messages without fields where those are not read; and what was imported from
    another package stands in such a message that is called like the package. So no name can meet another that it did not
    meet before, values of enums included, which are names beside their enum.
    """

    def __init__(
        self,
        schema: Schema,
        root: Message,
        messages: Mapping[int, tuple[Message, set[int]]],
        enums: Mapping[int, EnumType],
    ) -> None:
        """Find a place for everything.

        Args:
            schema: where it comes from.
            root: the message that stands first.
            messages: all messages with the numbers of the fields that are taken, by ``id``.
            enums: all enums, by ``id``.
        """
        self.messages = messages
        self.enums = enums
        self.file = Scope("")
        self.paths: dict[int, str] = {}
        self._package = schema.package
        every: list[Message | EnumType] = [one for one, _ in messages.values() if one is not root]
        every = [root, *every, *enums.values()]
        self._taken = {one.name.split(".")[0] for one in every if self._package_of(one) == self._package}
        self._namespaces: dict[str, str] = {}
        for one in every:
            self._put(one)

    def numbers(self, scope: Scope) -> set[int]:
        """The fields of a message that are taken."""
        return set() if scope.message is None else self.messages[id(scope.message)][1]

    def _put(self, one: Message | EnumType) -> None:
        names = one.name.split(".")
        package = self._package_of(one)
        if package != self._package:
            names = [self._namespace(package), *names]
        scope = self.file
        for name in names[:-1]:
            scope = self._within(scope, name)
        if isinstance(one, EnumType):
            scope.inside[names[-1]] = one
        else:
            self._within(scope, names[-1]).message = one
        self.paths[id(one)] = ".".join(names)

    def _within(self, scope: Scope, name: str) -> Scope:
        found = scope.inside.get(name)
        if not isinstance(found, Scope):
            found = scope.inside[name] = Scope(f"{scope.path}.{name}" if scope.path else name)
        return found

    def _package_of(self, one: Message | EnumType) -> str:
        return one.full_name[: -len(one.name)].rstrip(".")

    def _namespace(self, package: str) -> str:
        if package not in self._namespaces:
            name = package.replace(".", "_") or "imported"
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self._namespaces[package] = name
        return self._namespaces[package]


_Around: TypeAlias = "tuple[Scope, ...]"
"""The messages around a declaration, the outermost first."""


class Writer:
    """Writes one file."""

    def __init__(self, schema: Schema, named: Named) -> None:
        """See :class:`Named`."""
        self._schema = schema
        self._named = named
        self._imports: set[str] = set()
        self._syntax = schema.syntax if schema.syntax in ("proto2", "proto3") and self._can_say() else "2023"

    def text(self) -> str:
        """The text of the file."""
        body = [line for name, one in self._named.file.inside.items() for line in ("", *self._type(name, one, ()))]
        edition = "edition" if self._syntax == "2023" else "syntax"
        head = [f'{edition} = "{self._syntax}";']
        if self._schema.package:
            head += ["", f"package {self._schema.package};"]
        if self._imports:
            head += ["", *(f'import "google/protobuf/{name}.proto";' for name in sorted(self._imports))]
        return "\n".join([*head, *body, ""])

    # --- what a syntax can say -----------------------------------------------------------------------------------------

    def _can_say(self) -> bool:
        proto2 = self._schema.syntax == "proto2"
        fields = (message.fields[number] for message, numbers in self._named.messages.values() for number in numbers)
        if proto2:
            return all(map(_fits_proto2, fields)) and all(one.closed for one in self._named.enums.values())
        return all(map(_fits_proto3, fields)) and all(
            not one.closed and one.first == 0 for one in self._named.enums.values()
        )

    # --- declarations --------------------------------------------------------------------------------------------------

    def _type(self, name: str, one: Scope | EnumType, around: _Around) -> Iterator[str]:
        indent = "  " * len(around)
        if isinstance(one, EnumType):
            yield from self._enum(name, one, indent)
            return
        yield f"{indent}message {name} {{"
        yield from self._inside(one, (*around, one))
        yield f"{indent}}}"

    def _inside(self, scope: Scope, around: _Around) -> Iterator[str]:
        numbers = self._named.numbers(scope)
        written: set[str] = set()
        groups: set[str] = set()
        every = [] if scope.message is None else [one for one in scope.message.fields.values() if one.number in numbers]
        indent = "  " * len(around)
        for one in every:
            if not one.oneof:
                yield from self._field(one, indent, around, groups)
            elif one.oneof not in written:
                written.add(one.oneof)
                yield f"{indent}oneof {one.oneof} {{"
                for member in every:
                    if member.oneof == one.oneof:
                        yield from self._field(member, f"{indent}  ", around, groups)
                yield f"{indent}}}"
        for name, inner in scope.inside.items():
            if name not in groups:
                yield from self._type(name, inner, around)

    def _field(self, one: Field, indent: str, around: _Around, groups: set[str]) -> Iterator[str]:
        label = self._label(one)
        options = self._options(one)
        tail = f" [{', '.join(options)}]" if options else ""
        if one.type == model.GROUP and self._syntax == "proto2" and one.message is not None:
            name = one.message.simple_name
            group = around[-1].inside[name]
            groups.add(name)
            yield f"{indent}{label}group {name} = {one.number}{tail} {{"
            if isinstance(group, Scope):
                yield from self._inside(group, (*around, group))
            yield f"{indent}}}"
            return
        yield f"{indent}{label}{self._type_name(one, around)} {one.name} = {one.number}{tail};"

    def _label(self, one: Field) -> str:
        if one.entry is not None or one.oneof:
            return ""
        if one.repeated:
            return "repeated "
        if self._syntax == "proto2":
            return "required " if one.required else "optional "
        if self._syntax == "proto3" and one.presence and (one.message is None or one.label):
            return "optional "
        return ""

    def _options(self, one: Field) -> list[str]:
        options = []
        scalar_list = one.repeated and one.message is None and one.type not in (model.STRING, model.BYTES)
        if self._syntax == "2023":
            if one.required:
                options.append("features.field_presence = LEGACY_REQUIRED")
            elif not one.presence and not one.repeated:
                options.append("features.field_presence = IMPLICIT")
            if scalar_list and not one.packed:
                options.append("features.repeated_field_encoding = EXPANDED")
            if one.type == model.GROUP:
                options.append("features.message_encoding = DELIMITED")
            strings = one.entry or (one,)
            if any(each.type == model.STRING and not each.checked for each in strings):
                options.append("features.utf8_validation = NONE")
        elif scalar_list and one.packed != (self._syntax == "proto3"):
            options.append(f"packed = {'true' if one.packed else 'false'}")
        if one.default is not None and one.default != _zero(one):
            options.append(f"default = {_literal(one)}")
        return options

    def _type_name(self, one: Field, around: _Around) -> str:
        entry = one.entry
        if entry is not None:
            return f"map<{self._type_name(entry[0], around)}, {self._type_name(entry[1], around)}>"
        held = one.message or one.enum
        if held is None:
            return SCALARS[one.type]
        path = self._named.paths.get(id(held))
        if path is not None:
            return self._shortest(path, around)
        self._imports.add(_FILES.get(held.name.partition(".")[0], "descriptor"))
        return held.full_name if self._is_free("google", around) else f".{held.full_name}"

    def _shortest(self, path: str, around: _Around) -> str:
        """A name by which something of the file is found from within these messages."""
        for depth in range(len(around) - 1, -1, -1):
            prefix = f"{around[depth].path}."
            if path.startswith(prefix) and self._is_seen(path[len(prefix) :], around[depth + 1 :]):
                return path[len(prefix) :]
        if self._is_seen(path, around):
            return path
        return f".{self._schema.package}.{path}" if self._schema.package else f".{path}"

    def _is_seen(self, name: str, scopes: _Around) -> bool:
        """Whether none of these messages has another meaning for the first part of a name."""
        first = name.split(".", maxsplit=1)[0]
        return not any(first in one.names(self._named.numbers(one)) for one in scopes)

    def _is_free(self, name: str, around: _Around) -> bool:
        return (
            self._is_seen(name, around)
            and name not in self._named.file.inside
            and name not in self._schema.package.split(".")
        )

    def _enum(self, name: str, enum: EnumType, indent: str) -> Iterator[str]:
        yield f"{indent}enum {name} {{"
        if any(len(names) > 1 for names in enum.values.values()):
            yield f"{indent}  option allow_alias = true;"
        if self._syntax == "2023" and enum.closed:
            yield f"{indent}  option features.enum_type = CLOSED;"
        for number, names in enum.values.items():
            yield from (f"{indent}  {value} = {number};" for value in names)
        yield f"{indent}}}"


def _fits_proto2(one: Field) -> bool:
    strings = one.entry or (one,)
    implicit = not one.presence and not one.repeated
    delimited = one.type == model.GROUP and one.message is not None and not one.message.is_group
    return not (implicit or delimited or any(each.type == model.STRING and each.checked for each in strings))


def _fits_proto3(one: Field) -> bool:
    strings = one.entry or (one,)
    return not (
        one.required
        or one.type == model.GROUP
        or (one.default is not None and one.default != _zero(one))
        or any(each.type == model.STRING and not each.checked for each in strings)
    )


def _zero(one: Field) -> object:
    if one.enum is not None:
        return one.enum.first
    return {model.STRING: "", model.BYTES: b"", model.BOOL: False}.get(one.type, 0)


def _literal(one: Field) -> str:
    default = one.default
    if one.enum is not None and isinstance(default, int):
        return one.enum.values[default][0]
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, str | bytes):
        data = default.encode() if isinstance(default, str) else default
        return '"' + "".join(_character(byte) for byte in data) + '"'
    return repr(default)


def _character(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"
