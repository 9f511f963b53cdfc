"""JSON Schema as a format of the contract side. No validator is imported, and nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prism_jsonschema.compatibility.nodes import Schema
from prism_jsonschema.compatibility.pairs import Pair
from prism_jsonschema.compatibility.parsing import parse
from prism_jsonschema.compatibility.rules import CHECKS, RULES
from prism_jsonschema.compatibility.walker import differences
from prismlib.contracts.format import Change, SchemaText
from prismlib.contracts.registry import FormatName
from prismlib.contracts.rules import Difference, Rules
from prismlib.errors import ContractError, SchemaParseError

_RANKS: Final = {
    rule.id: 3 if "confluent" in rule.fails else 2 if "wire" in rule.fails else 1 for rule in RULES.values()
}
"""How bad a difference is where the walker must choose."""


class JsonSchemaFormat:
    """The SchemaFormat of JSON Schema, drafts 4 to 2020-12.

    Verdicts of the policy ``confluent`` are those of Confluent's registry under its policy STRICT, the default; the rules say
    where not. A schema without ``$schema`` is of draft 7, as there.
    """

    name: FormatName = "jsonschema"
    rules: Rules = RULES

    def parse(self, schema: SchemaText) -> Schema:
        """Parse a schema.

        Raises:
            SchemaParseError: it is no JSON Schema, refers to what is not there or to itself alone, or is too large.
        """
        return parse(schema)

    def parse_all(self, schemas: Sequence[SchemaText]) -> Sequence[Schema | SchemaParseError]:
        """Parse many; nothing is gained by their number."""
        return [_parsed(one) for one in schemas]

    def can_read(self, reader: Schema, writer: Schema) -> Sequence[Difference]:
        """Everything that stands between them.

        Raises:
            ContractError: they are too large, or nested too deeply, to be compared.
        """
        try:
            found = differences(reader.root, writer.root, _judge, _rank)
        except RecursionError as error:
            raise ContractError(f"{reader.where} and {writer.where} are nested too deeply to be compared") from error
        except ContractError as error:
            raise ContractError(f"{reader.where} and {writer.where}: {error}") from error
        return list(dict.fromkeys(found))

    def project(self, schema: Schema, reads: frozenset[str]) -> str:
        """The contract of a consumer that reads these properties.

        Raises:
            UnknownFieldError: a path names nothing.
            ContractError: it would be too large.
        """
        from prism_jsonschema.compatibility.projection import project  # noqa: PLC0415  # a check does not need it

        return project(schema, reads)

    def changes(self, old: Schema, new: Schema) -> Sequence[Change]:
        """What differs between two versions."""
        from prism_jsonschema.compatibility.changes import changes  # noqa: PLC0415  # as above

        try:
            return changes(old, new)
        except RecursionError as error:
            raise ContractError(f"{old.where} and {new.where} are nested too deeply to be compared") from error

    def line_of(self, text: str, path: str) -> int | None:
        """The line on which the thing at a path is defined."""
        from prism_jsonschema.compatibility.lines import line_of  # noqa: PLC0415  # as above

        return line_of(text, path)


def _parsed(schema: SchemaText) -> Schema | SchemaParseError:
    try:
        return parse(schema)
    except SchemaParseError as error:
        return error


def _judge(pair: Pair) -> Iterator[Difference]:
    for rule, check in CHECKS[type(pair)]:
        message = check(pair)
        if message is not None:
            yield Difference(rule.id, pair.place.path, message, pair.place.field)


def _rank(found: Sequence[Difference]) -> int:
    return max((_RANKS[one.rule] for one in found), default=0)
