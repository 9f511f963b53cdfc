"""What is decided about one schema, by the engine of :mod:`prismlib.contracts`. Runs in a process of its own (``judge``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from prismlib.contracts.check import Proposal, Question, check_subject
from prismlib.contracts.compatibility import MODES, compare, fails
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.format import SchemaFormat, SchemaText, Serializes
from prismlib.contracts.formats import load_format
from prismlib.contracts.registry import FormatName
from prismlib.contracts.report import Finding
from prismlib.contracts.usage import last_read
from prismlib.errors import ConfigError, ContractError, PluginLoadError, PluginNotFoundError, SchemaParseError

MESSAGES: Final = 50
"""Findings that an answer names; a hostile schema could have millions."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it.

    Attributes:
        kind: ``invalid``: the new schema is none, or its format is not installed.
        messages: one sentence a finding; why, for what is not compatible.
    """

    kind: Literal["compatible", "incompatible", "undecided", "invalid"]
    messages: Sequence[str] = ()


def judge(question: Question, now: datetime) -> Verdict:
    """Whether the proposal may follow the versions at the subject's level, and would break no consumer.

    What cannot be decided is never compatible.
    """
    proposal = question.proposal
    if proposal is None:
        raise AssertionError("there is a proposal in every question")
    try:
        fmt = load_format(question.subject.format)
        fmt.parse(proposal.schema)
    except PluginLoadError as error:
        return Verdict("invalid", [str(error)])
    except PluginNotFoundError:
        name = question.subject.format
        return Verdict("invalid", [f"this registry cannot read the format {name}: install prism-pipeline[{name}]"])
    except SchemaParseError as error:
        return Verdict("invalid", [str(error)])
    except ContractError as error:
        return Verdict("undecided", [str(error)])
    try:
        messages = [*_against_history(fmt, question, proposal), *_against_consumers(fmt, question, now)]
    except (ContractError, ConfigError) as error:
        return Verdict("undecided", [str(error)])
    if len(messages) > MESSAGES:
        messages = [*messages[:MESSAGES], f"and {len(messages) - MESSAGES} more"]
    return Verdict("incompatible" if messages else "compatible", messages)


def _against_history(fmt: SchemaFormat[Any], question: Question, proposal: Proposal) -> list[str]:
    """As Confluent's registry decides: what an earlier version broke already counts against every later one."""
    subject = question.subject
    mode = MODES[subject.compatibility]
    history = question.versions if mode.transitive else question.versions[-1:]
    if not history or not (mode.new_reads_old or mode.old_reads_new):
        return []
    parsed = fmt.parse_all([proposal.schema, *(version.schema for version in history)])
    for one in parsed:
        if isinstance(one, ContractError):
            raise one
    numbered = [(version.number, schema) for version, schema in zip(history, parsed[1:], strict=True)]
    found = compare(fmt, mode, parsed[0], numbered)
    return [
        f"{one.difference.rule} {one.difference.path or '/'}: {one.difference.message} "
        f"({one.direction}, version {one.version})"
        for one in found
        if fails(fmt, one.difference, subject.profile)
    ]


def _against_consumers(fmt: SchemaFormat[Any], question: Question, now: datetime) -> list[str]:
    """As the gate decides: what the latest version broke already is not the new one's fault."""
    if not question.consumers:
        return []
    alone = replace(question, subject=replace(question.subject, compatibility="NONE"))
    found = check_subject(alone, fmt, now.date()).failures
    # A finding without direction is about a contract's waivers: its own team's to mend, in its own CI.
    return [
        _of_consumer(one, one.consumer, now) for one in found if one.consumer is not None and one.direction is not None
    ]


def _of_consumer(finding: Finding, consumer: Consumer, now: datetime) -> str:
    field = f", which reads {finding.field}" if finding.field else ""
    seen = last_read(consumer.last_read_ms, round(now.timestamp() * 1000))
    return (
        f"{finding.rule} {finding.path or '/'}: {finding.message}; breaks consumer {consumer.name}{field}: "
        f"{consumer.owner}, {consumer.contact}{seen and f' ({seen})'}"
    )


def form_of(name: FormatName, schema: SchemaText) -> str | None:
    """The serialized form that some clients ask for; None where the format has none. Raises ContractError, ConfigError."""
    fmt = load_format(name)
    return fmt.serialized(schema) if isinstance(fmt, Serializes) else None
