"""Contracts in a registry over HTTP: ordinary subjects ``SUBJECT.readers.CONSUMER``, which any registry can hold.

Who reads what stands in the schema itself, since that is all that every registry keeps. In an Avro record and in a JSON
Schema it is an attribute of the root, which both formats leave to their users:

    "prism.contract": {"owner": "data-platform", "contact": "data@example.org", "reads": ["carrier", "flight"]}

It is not the ``doc`` of a record: some registries (Apicurio 3.3) take two records for one that differ in nothing else. In a
Protobuf file it is a comment before the first message, in one line:

    // prism.contract: {"owner": "data-platform", "contact": "data@example.org", "reads": ["carrier", "flight"]}

``derived_from`` and ``waivers`` are further keys of it, where there are any. The schema's metadata says owner, contact and
reads as well (``prism.owner``, ``prism.contact``, ``prism.reads`` as JSON), for the pages and queries of registries that keep
metadata; a contract that was registered by other means may have these alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from prismlib.contracts.consumers import INFIX, Consumer
from prismlib.contracts.registry import FormatName
from prismlib.contracts.subject import Waiver
from prismlib.errors import ConfigError, ContractError

KEY: Final = "prism.contract"
_OWNER, _CONTACT, _READS = "prism.owner", "prism.contact", "prism.reads"
_LINE: Final = re.compile(rf"^[ \t/*]*{re.escape(KEY)}:(.*)$", re.MULTILINE)
_FIRST_MESSAGE: Final = (
    re.compile(r"^message\b", re.MULTILINE),
    re.compile(r"(?<=[;}])\s*message\b"),
)  # or in one line


@dataclass(frozen=True, slots=True)
class Published:
    """A contract as it is registered.

    Attributes:
        subject: of the contract.
        format: of its text.
        text: of the reader schema, with what it says about its consumer.
        properties: for the schema's metadata.
    """

    subject: str
    format: FormatName
    text: str
    properties: Mapping[str, str]


def contract_subject(subject: str, consumer: str) -> str:
    """The subject of a consumer's contract."""
    return f"{subject}{INFIX}{consumer}"


def read_by(subject: str) -> str | None:
    """The subject that a contract's subject is about; None where the name is none of a contract."""
    about, infix, consumer = subject.partition(INFIX)
    return about if about and infix and consumer else None


def to_publish(consumer: Consumer, fmt: FormatName) -> Published:
    """A contract, ready to be registered.

    Raises:
        ConfigError: its schema has no place for what it says, or its consumer's name cannot be a part of a subject.
    """
    if INFIX in consumer.name:
        raise ConfigError(f"{consumer.where}: a consumer's name must not hold {INFIX!r}; rename the two files")
    said: dict[str, Any] = {"owner": consumer.owner, "contact": consumer.contact, "reads": list(consumer.reads)}
    if consumer.derived_from:
        said["derived_from"] = consumer.derived_from
    if consumer.waivers:
        said["waivers"] = [
            {"rule": w.rule, "path": w.path, "reason": w.reason, "until": w.until.isoformat()} for w in consumer.waivers
        ]
    return Published(
        contract_subject(consumer.subject, consumer.name),
        fmt,
        _telling(consumer, fmt, said),
        {_OWNER: consumer.owner, _CONTACT: consumer.contact, _READS: json.dumps(list(consumer.reads))},
    )


def from_published(
    subject: str, name: str, fmt: FormatName, text: str, properties: Mapping[str, Any] | None = None
) -> Consumer:
    """A contract that was registered.

    Args:
        subject: what it is about.
        name: of the subject of the contract.
        fmt: of its text.
        text: as it was registered.
        properties: of its metadata, where the registry keeps them.

    Raises:
        ContractError: what it says about its consumer cannot be read; what it says not is "unknown".
    """
    try:
        said = _said(fmt, text) or _from_properties(properties or {})
        reads = said.get("reads", [])
        waivers = tuple(
            Waiver(one["rule"], one["path"], one["reason"], date.fromisoformat(one["until"]))
            for one in said.get("waivers", [])
        )
        texts = [said.get("owner", "unknown"), said.get("contact", "unknown"), said.get("derived_from", "")]
        parts = [*texts, *reads, *(part for w in waivers for part in (w.rule, w.path, w.reason))]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("a part of it is no text")  # one handler for whatever is wrong in the text
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ContractError(
            f"the contract {name} cannot be read ({type(error).__name__}: {error}); register it again with "
            "`prism schema register --consumer`"
        ) from error
    owner, contact, derived_from = texts
    consumer = name.removeprefix(f"{subject}{INFIX}")
    return Consumer(consumer, subject, owner, contact, tuple(reads), text, name, derived_from, waivers)


def _telling(consumer: Consumer, fmt: FormatName, said: Mapping[str, Any]) -> str:
    """The contract's text with what it says about its consumer."""
    text = consumer.text
    if fmt == "protobuf":
        first = _FIRST_MESSAGE[0].search(text) or _FIRST_MESSAGE[1].search(text)
        if first is None:
            raise ConfigError(f"{consumer.where}: has no message; derive it again with `prism schema derive`")
        before, after = text[: first.start()], text[first.start() :].lstrip()
        end = "" if not before or before.endswith("\n") else "\n"
        return f"{before}{end}// {KEY}: {json.dumps(said, ensure_ascii=False)}\n{after}"
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{consumer.where}: not valid JSON: {error}") from error
    if not isinstance(root, dict):
        raise ConfigError(f"{consumer.where}: must be a record or an object schema, which can say who reads it")
    return json.dumps({**root, KEY: said}, indent=2, ensure_ascii=False)


def _said(fmt: FormatName, text: str) -> dict[str, Any] | None:
    """What a text says about its consumer; None where it says nothing."""
    if fmt == "protobuf":
        line = _LINE.search(text)
        said = json.loads(line[1]) if line else None
    else:
        root = json.loads(text)
        said = root.get(KEY) if isinstance(root, dict) else None
    if said is not None and not isinstance(said, dict):
        raise ValueError(f"{KEY} must be an object")
    return said


def _from_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"owner": _OWNER, "contact": _CONTACT}
    said = {ours: properties[theirs] for ours, theirs in keys.items() if theirs in properties}
    if _READS in properties:
        said["reads"] = json.loads(properties[_READS])
    return said
