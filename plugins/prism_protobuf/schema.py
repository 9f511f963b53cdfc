"""A parsed ``.proto`` file: its messages, their classes, and the paths of indexes that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as ProtobufDecodeError

from prism_protobuf.protoc import MAIN_FILE, compile_proto
from prismlib.contracts.registry import RegisteredSchema, Registry, resolve_references
from prismlib.errors import ConfigError, SchemaParseError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class ProtoSchema:
    """One ``.proto`` file with what it imports, in a descriptor pool of its own.

    Attributes:
        name: what to call it in errors.
        file: the file; its descriptors live as long as it does.
    """

    name: str
    file: FileDescriptor

    @classmethod
    def parse(cls, text: str, references: Mapping[str, str], name: str) -> ProtoSchema:
        """Parse a file.

        Args:
            text: of the file.
            references: all files that it imports, directly or not, by import path.
            name: what to call it in errors.

        Raises:
            SchemaParseError: it is no Protobuf schema; names line and column.
            ContractError: protoc cannot be run.
        """
        try:
            files = descriptor_pb2.FileDescriptorSet.FromString(compile_proto(text, references, name))
            pool = descriptor_pool.DescriptorPool()
            for file in files.file:
                pool.AddSerializedFile(file.SerializeToString())
            return cls(name, pool.FindFileByName(MAIN_FILE))
        except (ProtobufDecodeError, TypeError, KeyError) as error:  # what protobuf raises for what it cannot build
            raise SchemaParseError(f"{name}: protobuf cannot load what protoc made of it: {error}") from error

    def messages(self) -> Iterator[tuple[Descriptor, tuple[int, ...]]]:
        """All messages of the file with their index paths, the outer before the inner. No entries of maps."""
        waiting: list[tuple[Descriptor, tuple[int, ...]]] = [
            (one, (i,)) for i, one in enumerate(self.file.message_types_by_name.values())
        ]
        while waiting:
            message, path = waiting.pop(0)
            if not is_map_entry(message):
                yield message, path
            waiting.extend((one, (*path, i)) for i, one in enumerate(message.nested_types))

    def message_at(self, path: Sequence[int]) -> Descriptor | None:
        """The message that an index path names, or None where it leads nowhere.

        Nested messages are counted as the descriptor has them, entries of maps included, which is what Confluent's
        Python client writes.
        """
        siblings = list(self.file.message_types_by_name.values())
        found: Descriptor | None = None
        for index in path:
            if not 0 <= index < len(siblings):
                return None
            found = siblings[index]
            siblings = list(found.nested_types)
        return None if found is None or is_map_entry(found) else found

    def find(self, message: str | None) -> tuple[Descriptor, tuple[int, ...]]:
        """The message of that full name, or the only one at the top level, with its index path.

        Raises:
            ConfigError: there is none, or more than one to choose from.
        """
        every = list(self.messages())
        known = ", ".join(one.full_name for one, _ in every) or "none"
        if message is None:
            top = [found for found in every if len(found[1]) == 1]
            if len(top) == 1:
                return top[0]
            raise ConfigError(
                f'{self.name} has {len(top)} messages to choose from; set message = "...": it has {known}'
            )
        for found in every:
            if found[0].full_name == message:
                return found
        raise ConfigError(f"{self.name} defines no message {message!r}; it defines {known}")


def message_class(descriptor: Descriptor) -> type[Message]:
    """The class of a message, made at run time; as fast as a generated one."""
    return message_factory.GetMessageClass(descriptor)


def is_map_entry(message: Descriptor) -> bool:
    """Whether it is the message that protoc makes for the entries of a map."""
    return bool(message.GetOptions().map_entry)


def map_entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """The fields ``key`` and ``value`` of a map, or None where the field is no map."""
    if field.message_type is None or not is_map_entry(field.message_type):
        return None
    fields = field.message_type.fields_by_name
    return fields["key"], fields["value"]


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether the field is a list or a map."""
    known: bool | None = getattr(field, "is_repeated", None)
    if known is None:  # before protobuf 6.31; since 7 the label is gone
        known = getattr(field, "label", None) == field.LABEL_REPEATED
    return known


@dataclass(frozen=True, slots=True)
class SubjectMessage:
    """The message of a subject's version that a stage was configured with."""

    registered: RegisteredSchema
    schema: ProtoSchema
    descriptor: Descriptor
    path: tuple[int, ...]

    def __str__(self) -> str:
        return f"message {self.descriptor.full_name} of {self.schema.name}"


def name_of(registered: RegisteredSchema) -> str:
    """A registered schema in a sentence."""
    return f"subject {registered.subject} version {registered.version} (schema id {registered.id})"


def parse_registered(registry: Registry, registered: RegisteredSchema) -> ProtoSchema:
    """Parse a registered schema and what it imports.

    Raises:
        ContractError: one of them is no Protobuf schema, or cannot be had.
    """
    return ProtoSchema.parse(registered.text, resolve_references(registry, registered), name_of(registered))
