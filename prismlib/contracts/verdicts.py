"""The questions that other code asks of the contract side, as plain calls on texts.

check_compatibility     may this schema follow those versions?
check_consumer          does what it writes arrive at a consumer as the consumer expects it?
derive_contract         the reader schema of somebody who reads these fields
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from prismlib.contracts.check import make_finding
from prismlib.contracts.compatibility import MODES, Found, compare, differences, fails
from prismlib.contracts.format import SchemaFormat, SchemaText
from prismlib.contracts.formats import load_format
from prismlib.contracts.registry import FormatName
from prismlib.contracts.report import Finding
from prismlib.contracts.rules import Policy
from prismlib.contracts.subject import Profile
from prismlib.errors import ConfigError, SchemaParseError

References: TypeAlias = Mapping[str, Any]
"""``{"new": [{"name", "schema", "subject", "version"}, ...], "old": [[...], ...]}``: what the new schema imports, and what
each old one does; all of it, directly imported or not, in any order. ``name`` is what the importing schema calls it and
``schema`` is its text; subject and version are for people."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: compatible or not, and why."""

    findings: Sequence[Finding]

    @property
    def compatible(self) -> bool:
        """No finding fails."""
        return not any(finding.fails for finding in self.findings)


def check_compatibility(
    *,
    format: str,  # noqa: A002  # the name that callers write
    new: str,
    old: Sequence[str],
    mode: str = "BACKWARD",
    profile: str = "confluent",
    references: References | None = None,
) -> Verdict:
    """Decide whether a schema may become the next version.

    Args:
        format: ``avro``, ``protobuf`` or ``jsonschema``.
        new: text of the proposed schema.
        old: texts of the released versions, oldest first.
        mode: a compatibility level, as in Confluent's registry.
        profile: ``confluent`` or ``wire``: which findings fail.
        references: what the schemas import.

    Raises:
        SchemaParseError: a schema cannot be parsed.
        ContractError: it could not be decided.
        ConfigError: an argument is none of its words, or the format is not installed.
    """
    level, chosen = _one_of("mode", mode, MODES), _one_of("profile", profile, get_args(Profile))
    fmt = load_format(_format_name(format))
    imports = references or {}
    of_old = list(imports.get("old", ())) or [()] * len(old)
    if len(of_old) != len(old):
        raise ConfigError(f"references: 'old' has {len(of_old)} lists for {len(old)} old schemas; give one for each")
    texts = [SchemaText(new, _imported(imports.get("new", ())), "the new schema")]
    texts += [
        SchemaText(text, _imported(own), f"the old schema {number}")
        for number, (text, own) in enumerate(zip(old, of_old, strict=True), 1)
    ]
    parsed = _parse(fmt, texts)
    history = list(enumerate(parsed[1:], 1))
    found = compare(fmt, MODES[level], parsed[0], history)  # type: ignore[index]  # _one_of returned one of its keys
    return Verdict([_finding(fmt, one, chosen) for one in found])  # type: ignore[arg-type]  # as above


def check_consumer(
    *,
    format: str,  # noqa: A002  # as above
    new: str,
    contract: str,
    references: References | None = None,
) -> Verdict:
    """Decide whether what ``new`` writes arrives at a consumer as its contract expects.

    Args:
        format: ``avro``, ``protobuf`` or ``jsonschema``.
        new: text of the writer's schema.
        contract: the consumer's reader schema, such as :func:`derive_contract` makes.
        references: what the new schema imports, under ``"new"``, and what the contract does, under ``"contract"``.

    Raises:
        SchemaParseError, ContractError, ConfigError: as for :func:`check_compatibility`.
    """
    fmt = load_format(_format_name(format))
    imports = references or {}
    writer, reader = _parse(
        fmt,
        [
            SchemaText(new, _imported(imports.get("new", ())), "the new schema"),
            SchemaText(contract, _imported(imports.get("contract", ())), "the contract"),
        ],
    )
    found = [Found(one, "consumer reads new", 0) for one in differences(fmt, reader, writer, "writer")]
    return Verdict([_finding(fmt, one, "consumer") for one in found])


def derive_contract(
    *,
    format: str,  # noqa: A002  # as above
    schema: str,
    reads: Sequence[str],
    references: References | Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The reader schema of a consumer that reads these fields of what ``schema`` writes.

    Args:
        format: ``avro``, ``protobuf`` or ``jsonschema``.
        schema: text of the writer's schema.
        reads: dotted paths; ``*`` for everything.
        references: what the schema imports: a list, or a table with the list under ``"new"``.

    Returns:
        The text of a schema that needs no references.

    Raises:
        UnknownFieldError: a path names nothing.
        SchemaParseError, ContractError, ConfigError: as for :func:`check_compatibility`.
    """
    fmt = load_format(_format_name(format))
    listed = references.get("new", ()) if isinstance(references, Mapping) else references or ()
    (parsed,) = _parse(fmt, [SchemaText(schema, _imported(listed), "the schema")])
    return fmt.project(parsed, frozenset(reads))


def _parse(fmt: SchemaFormat[Any], texts: Sequence[SchemaText]) -> list[Any]:
    parsed = fmt.parse_all(texts)
    for one in parsed:
        if isinstance(one, SchemaParseError):
            raise one
    return list(parsed)


def _finding(fmt: SchemaFormat[Any], found: Found, policy: Policy) -> Finding:
    difference = found.difference
    return make_finding(
        fmt.rules[difference.rule],
        difference,
        found.direction,
        fails=fails(fmt, difference, policy),
        version=found.version or None,
    )


def _imported(references: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(one["name"]): str(one["schema"]) for one in references}


def _format_name(name: str) -> FormatName:
    return _one_of("format", name, get_args(FormatName))  # type: ignore[return-value]  # one of its words


def _one_of(what: str, value: str, known: Any) -> str:
    if value not in known:
        raise ConfigError(f"{what}: {value!r} is none of {', '.join(known)}")
    return value


__all__ = ["Finding", "References", "Verdict", "check_compatibility", "check_consumer", "derive_contract"]
