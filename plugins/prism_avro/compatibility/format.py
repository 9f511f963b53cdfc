"""Avro as a format of the contract side. No client library is imported, and no part of the codec that generates code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from prism_avro.compatibility.pairs import Pair
from prism_avro.compatibility.rules import CHECKS, RULES
from prism_avro.compatibility.soundness import faults
from prism_avro.compatibility.walker import pairs
from prism_avro.parsing import parse
from prism_avro.schema import Type
from prismlib.contracts.format import Change, SchemaText
from prismlib.contracts.registry import FormatName
from prismlib.contracts.rules import Difference, Rule, Rules
from prismlib.errors import ContractError, SchemaParseError

_MAX_FOUND: Final = 20_000
"""Differences, or changes, that are listed."""
_MAX_CHARACTERS: Final = 20_000_000
"""Of all differences together: the path of each can be as long as the schema."""

_BREAKING: Final = {
    kind: tuple(check for rule, check in checks if "confluent" in rule.fails) for kind, checks in CHECKS.items()
}
"""What keeps a record from being read."""


class AvroFormat:
    """The SchemaFormat of Avro. Verdicts of the policy ``confluent`` are those of Avro Java 1.12; the rules say where not."""

    name: FormatName = "avro"
    rules: Rules = RULES

    def parse(self, schema: SchemaText) -> Type:
        """Parse a schema, and see that its names and defaults are what every client takes.

        Raises:
            SchemaParseError: it is no Avro schema, or imports what is not there.
            ContractError: a default is nested too deeply to be looked at.
        """
        root = parse(schema.text, schema.references, schema.where)
        try:
            wrong = next(faults(root), None)
        except RecursionError as error:
            raise ContractError(f"{schema.where}: its defaults are nested too deeply to be checked") from error
        if wrong is not None:
            path, reason = wrong
            line = self.line_of(schema.text, path)
            place = f"line {line}, {path}" if line else path
            raise SchemaParseError(f"{schema.where}: {place}: not an Avro schema: {reason}")
        return root

    def parse_all(self, schemas: Sequence[SchemaText]) -> Sequence[Type | SchemaParseError]:
        """Parse many; nothing is gained by their number."""
        return [_parsed(self, one) for one in schemas]

    def can_read(self, reader: Type, writer: Type) -> Sequence[Difference]:
        """Everything that stands between them.

        Raises:
            ContractError: they are too large, or nested too deeply, to be compared.
        """
        found = []
        characters = 0
        try:
            for rule, pair, message in _findings(reader, writer):
                found.append(Difference(rule.id, pair.place.path, message, pair.place.field))
                characters += len(message) + 2 * len(found[-1].path)
                if len(found) > _MAX_FOUND or characters > _MAX_CHARACTERS:
                    raise ContractError(
                        f"the schemas differ in more than can be listed: {len(found):,} things, and more"
                    )
        except RecursionError as error:
            raise ContractError("the schemas are nested too deeply to be compared") from error
        return found

    def project(self, schema: Type, reads: frozenset[str]) -> str:
        """The text of the reader schema that has just the fields that are read.

        Raises:
            UnknownFieldError: a path names nothing.
            ContractError: it is nested too deeply to be written as one schema.
        """
        from prism_avro.compatibility.contract import contract  # noqa: PLC0415  # most checks derive none

        try:
            return contract(schema, reads)
        except RecursionError as error:
            raise ContractError("a path that is read is too long") from error

    def changes(self, old: Type, new: Type) -> Sequence[Change]:
        """What differs between two versions, for people.

        Raises:
            ContractError: they are nested too deeply to be compared, or too much has changed to be listed.
        """
        from prism_avro.compatibility.changes import changes  # noqa: PLC0415  # as above

        try:
            found = list(islice(changes(old, new), _MAX_FOUND + 1))
        except RecursionError as error:
            raise ContractError("the schemas are nested too deeply to be compared") from error
        if len(found) > _MAX_FOUND:
            raise ContractError(f"more than {_MAX_FOUND:,} things have changed; too many to be listed")
        return found

    def line_of(self, text: str, path: str) -> int | None:
        """The line of what a path names."""
        from prism_avro.compatibility.lines import line_of  # noqa: PLC0415  # as above

        return line_of(text, path)


def _parsed(fmt: AvroFormat, schema: SchemaText) -> Type | SchemaParseError:
    try:
        return fmt.parse(schema)
    except SchemaParseError as error:
        return error.with_traceback(None)  # or it would keep the whole text


def _findings(reader: Type, writer: Type) -> Iterator[tuple[Rule, Pair, str]]:
    for pair in pairs(reader, writer, _breaks):
        for rule, check in CHECKS[type(pair)]:
            message = check(pair)
            if message is not None:
                yield rule, pair, message


def _breaks(pair: Pair) -> bool:
    return any(check(pair) is not None for check in _BREAKING[type(pair)])
