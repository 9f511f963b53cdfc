"""Protobuf as a format of the contract side."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Final

from prism_protobuf.compatibility.loading import load
from prism_protobuf.compatibility.model import Schema
from prism_protobuf.compatibility.pairs import Place, Problem
from prism_protobuf.compatibility.rules import CHECKS, RULES
from prism_protobuf.compatibility.walker import pairs
from prism_protobuf.protoc import compile_all, compile_proto
from prismlib.contracts.format import Change, SchemaText
from prismlib.contracts.registry import FormatName
from prismlib.contracts.rules import Difference, Rule, Rules
from prismlib.errors import ContractError, SchemaParseError

_MOST_CHARACTERS: Final = 20_000_000
"""Of all differences together: the path of each can be as long as the schema."""


class ProtobufFormat:
    """The SchemaFormat of Protobuf: proto2, proto3 and the editions that the installed protoc knows.

    Verdicts of the policy ``confluent`` are those of Confluent's Schema Registry 8.5; the rules say where not. Extensions and
    services are passed over, as there.
    """

    name: FormatName = "protobuf"
    rules: Rules = RULES

    def parse(self, schema: SchemaText) -> Schema:
        """Parse a schema; it may be text or, as Confluent's Python client registers it, a descriptor in base64.

        Raises:
            SchemaParseError: protoc refuses it; names line and column.
            ContractError: protoc cannot be run.
        """
        (parsed,) = self.parse_all([schema])
        if isinstance(parsed, SchemaParseError):
            raise parsed
        return parsed

    def parse_all(self, schemas: Sequence[SchemaText]) -> Sequence[Schema | SchemaParseError]:
        """Parse many, with few processes of protoc for all of them. Raises ContractError: protoc cannot be run."""
        return [
            compiled if isinstance(compiled, SchemaParseError) else _loaded(compiled, schema.where)
            for schema, compiled in zip(schemas, compile_all(schemas), strict=True)
        ]

    def serialized(self, schema: SchemaText) -> str:
        """The file's ``FileDescriptorProto`` in base64, as Confluent's Python client reads and registers it."""
        from google.protobuf import descriptor_pb2  # noqa: PLC0415  # most checks serialize none

        files = descriptor_pb2.FileDescriptorSet.FromString(compile_proto(schema.text, schema.references, schema.where))
        return base64.standard_b64encode(files.file[-1].SerializeToString(deterministic=True)).decode()

    def can_read(self, reader: Schema, writer: Schema) -> Sequence[Difference]:
        """Everything that stands between them.

        Raises:
            ContractError: they are too large to be compared, or differ in too much to be listed.
        """
        found: list[Difference] = []
        characters = 0
        for rule, place, problem in _problems(reader, writer):
            at = place.step(problem.step) if problem.step else place
            found.append(Difference(rule.id, at.path, problem.message, place.field, problem.newer))
            characters += len(problem.message) + 2 * len(found[-1].path)
            _bound(characters, len(found))
        return found

    def project(self, schema: Schema, reads: frozenset[str]) -> str:
        """The text of a reader schema that has just the fields that are read, with what it needs of its imports inside.

        Nothing says which message of a file ``reads`` belongs to. It is the first at the top level, unless that one lacks a
        field that is read and another one has them all.

        Raises:
            UnknownFieldError: a path names nothing; names the nearest field.
        """
        from prism_protobuf.compatibility.contract import contract  # noqa: PLC0415  # most checks derive none

        return contract(schema, reads)

    def changes(self, old: Schema, new: Schema) -> Sequence[Change]:
        """What differs between two versions, for people.

        Raises:
            ContractError: they are too large to be compared, or differ in too much to be listed.
        """
        from prism_protobuf.compatibility.changes import changes  # noqa: PLC0415  # as above

        found: list[Change] = []
        characters = 0
        for change in changes(old, new):
            found.append(change)
            characters += len(change.path) + len(change.before) + len(change.after)
            _bound(characters, len(found))
        return found

    def line_of(self, text: str, path: str) -> int | None:
        """The line of what a path names."""
        from prism_protobuf.compatibility.lines import line_of  # noqa: PLC0415  # as above

        return line_of(text, path)


def _bound(characters: int, differences: int) -> None:
    if characters > _MOST_CHARACTERS:
        raise ContractError(f"the schemas differ in more than can be listed, after {differences:,} differences")


def _loaded(compiled: bytes, where: str) -> Schema | SchemaParseError:
    try:
        return load(compiled, where)
    except SchemaParseError as error:
        return error.with_traceback(None)  # or it would keep the descriptors


def _problems(reader: Schema, writer: Schema) -> Iterator[tuple[Rule, Place, Problem]]:
    for pair in pairs(reader, writer):
        for rule, check in CHECKS[type(pair)]:
            for problem in check(pair):
                yield rule, pair.place, problem
