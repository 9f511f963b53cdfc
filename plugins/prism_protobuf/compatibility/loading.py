"""From what protoc made to the model: names become references, and the features of every syntax are spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError as ProtobufDecodeError

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.model import EnumType, Field, Label, Message, Ranges, Schema, Syntax
from prismlib.errors import SchemaParseError

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto

_FEATURES: Final = ("field_presence", "enum_type", "repeated_field_encoding", "utf8_validation", "message_encoding")
_EXPLICIT, _IMPLICIT, _LEGACY_REQUIRED = 1, 2, 3
_OPEN, _CLOSED = 1, 2
_PACKED, _EXPANDED = 1, 2
_VERIFY, _NONE = 2, 3
_PREFIXED, _DELIMITED = 1, 2

_OF_SYNTAX: Final[Mapping[str, tuple[int, ...]]] = {
    "proto2": (_EXPLICIT, _CLOSED, _EXPANDED, _NONE, _PREFIXED),
    "proto3": (_IMPLICIT, _OPEN, _PACKED, _VERIFY, _PREFIXED),
    "editions": (_EXPLICIT, _OPEN, _PACKED, _VERIFY, _PREFIXED),
}
"""What each syntax means by its files, in the order of ``_FEATURES``. The editions 2023 and 2024 agree."""

_EDITIONS: Final[Mapping[int, Syntax]] = {1000: "2023", 1001: "2024"}
_LABELS: Final[Mapping[int, Label]] = {1: "optional", 2: "required", 3: "repeated"}
_NOT_PACKABLE: Final = frozenset({model.STRING, model.BYTES, model.MESSAGE, model.GROUP})
_NO_FEATURES: Final[tuple[int, ...]] = ()


def load(compiled: bytes, where: str) -> Schema:
    """The model of a serialized ``FileDescriptorSet`` whose last file is the schema.

    Raises:
        SchemaParseError: it is of an edition that is not known here, or protobuf cannot read it.
    """
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled).file
    except ProtobufDecodeError as error:
        raise SchemaParseError(f"{where}: protobuf cannot load what protoc made of it: {error}") from error
    loader = _Loader(where)
    for file in files[:-1]:
        loader.file(file, main=False)
    schema = loader.file(files[-1], main=True)
    loader.resolve()
    return schema


@dataclass
class _Loader:
    where: str
    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, EnumType] = field(default_factory=dict)
    typed: list[tuple[Field, FieldDescriptorProto]] = field(default_factory=list)

    def file(self, file: descriptor_pb2.FileDescriptorProto, *, main: bool) -> Schema:
        syntax = self._syntax(file)
        features = _OF_SYNTAX.get(syntax, _OF_SYNTAX["editions"])
        one = _File(self, file.package, syntax, main=main)
        if syntax not in _OF_SYNTAX:
            features = _refined(features, file.options)
        return Schema(
            self.where,
            file.package,
            syntax,
            [one.message(message, "", features) for message in file.message_type],
            [one.enum(enum, "", features) for enum in file.enum_type],
        )

    def _syntax(self, file: descriptor_pb2.FileDescriptorProto) -> Syntax:
        if file.syntax == "editions":
            edition: int = file.edition
            if edition not in _EDITIONS:
                raise SchemaParseError(f"{self.where}: {file.name} is of edition {edition}; known are 2023 and 2024")
            return _EDITIONS[edition]
        return "proto3" if file.syntax == "proto3" else "proto2"

    def resolve(self) -> None:
        """Put messages and enums in place of their names, and defaults, which may need them."""
        for one, described in self.typed:
            name = described.type_name[1:]
            if one.type == model.ENUM:
                one.enum = self.enums[name]
                if not one.repeated:
                    one.default = one.enum.first
                    if described.HasField("default_value"):
                        named = (n for n, names in one.enum.values.items() if described.default_value in names)
                        one.default = next(named)
            else:
                one.message = self.messages[name]
                one.message.is_group |= described.type == model.GROUP
                if one.message.is_entry:
                    one.type = model.MESSAGE  # entries have no delimiters, whatever the file says of messages


@dataclass
class _File:
    loader: _Loader
    package: str
    syntax: Syntax
    main: bool

    def message(self, described: DescriptorProto, outer: str, features: tuple[int, ...]) -> Message:
        name = f"{outer}{described.name}"
        features = self._refined(features, described)
        made = Message(
            name,
            f"{self.package}.{name}" if self.package else name,
            main=self.main,
            # a descriptor's ranges end before their end
            reserved=tuple(sorted((one.start, one.end - 1) for one in described.reserved_range)),
            is_entry=described.options.map_entry if described.HasField("options") else False,
        )
        self.loader.messages[made.full_name] = made
        oneofs = [one.name for one in described.oneof_decl]
        of_oneofs = [self._refined(features, one) for one in described.oneof_decl]
        synthetic = {one.oneof_index for one in described.field if one.proto3_optional}
        made.oneofs = tuple(one for index, one in enumerate(oneofs) if index not in synthetic)
        for one in described.field:
            inside = one.HasField("oneof_index") and not one.proto3_optional
            around = of_oneofs[one.oneof_index] if inside else features
            oneof = oneofs[one.oneof_index] if inside else ""
            made.fields[one.number] = self._field(one, oneof, self._refined(around, one))
        inner = [self.message(one, f"{name}.", features) for one in described.nested_type]
        made.nested = [one for one in inner if not one.is_entry]
        made.enums = [self.enum(one, f"{name}.", features) for one in described.enum_type]
        return made

    def enum(self, described: EnumDescriptorProto, outer: str, features: tuple[int, ...]) -> EnumType:
        name = f"{outer}{described.name}"
        values: dict[int, list[str]] = {}
        for value in described.value:
            values.setdefault(value.number, []).append(value.name)
        reserved: Ranges = tuple(sorted((one.start, one.end) for one in described.reserved_range))
        closed = self._refined(features, described)[1] == _CLOSED
        full_name = f"{self.package}.{name}" if self.package else name
        made = EnumType(name, full_name, self.main, values, closed, reserved)
        self.loader.enums[made.full_name] = made
        return made

    def _field(self, described: FieldDescriptorProto, oneof: str, features: tuple[int, ...]) -> Field:
        presence, _, encoding, utf8, delimiters = features
        kind: int = described.type
        if kind == model.MESSAGE and delimiters == _DELIMITED:
            kind = model.GROUP
        label: Label = _LABELS[described.label]
        repeated, required = label == "repeated", label == "required" or presence == _LEGACY_REQUIRED
        if oneof or (label == "optional" and self.syntax != "proto2" and not described.proto3_optional):
            label = ""
        is_message = kind in (model.MESSAGE, model.GROUP)
        packed = repeated and kind not in _NOT_PACKABLE and encoding == _PACKED
        if self.syntax in _OF_SYNTAX and described.options.HasField("packed"):
            packed = described.options.packed
        made = Field(
            described.name,
            described.number,
            kind,
            label,
            repeated=repeated,
            presence=not repeated and (is_message or bool(oneof) or described.proto3_optional or presence != _IMPLICIT),
            required=required and not repeated,
            packed=packed,
            oneof=oneof,
            default=None if repeated or is_message else _default(described),
            checked=utf8 == _VERIFY,
        )
        if kind == model.ENUM or is_message:
            self.loader.typed.append((made, described))
        return made

    def _refined(self, features: tuple[int, ...], described: Any) -> tuple[int, ...]:
        if self.syntax in _OF_SYNTAX or not described.HasField("options"):
            return features
        return _refined(features, described.options)


def _refined(features: tuple[int, ...], options: Any) -> tuple[int, ...]:
    if not options.HasField("features"):
        return features
    own = options.features
    return tuple(
        getattr(own, name) if own.HasField(name) else inherited
        for name, inherited in zip(_FEATURES, features, strict=True)
    )


def _default(described: FieldDescriptorProto) -> object:
    """What a scalar is where nothing was written."""
    kind, text = described.type, described.default_value
    if kind == model.STRING:
        return text
    if kind == model.BYTES:
        return _unescaped(text)
    if kind == model.BOOL:
        return text == "true"
    if kind in (model.DOUBLE, model.FLOAT):
        return float(text or 0)
    return 0 if kind == model.ENUM else int(text or 0)


def _unescaped(text: str) -> bytes:
    """Undo the escapes of C in which protoc writes the default of bytes, and which Python's literals have too."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
