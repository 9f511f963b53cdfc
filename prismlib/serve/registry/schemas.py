"""Schemas as the registry keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prismlib.contracts.registry import FormatName, Reference


@dataclass(frozen=True, slots=True)
class Stored:
    """A schema under a subject and version.

    Attributes:
        subject: "" where it was found by its id alone.
        version: 0 likewise.
        id: of the schema.
        guid: likewise, for messages that are framed by it.
        format: which plugin reads it.
        text: as it was registered first.
        references: what it imports, directly.
        metadata: as it was registered; None where none was.
        registered_ms: when this version was, in ms since the epoch.
        deleted: softly.
    """

    subject: str
    version: int
    id: int
    guid: str
    format: FormatName
    text: str
    references: tuple[Reference, ...]
    metadata: Mapping[str, Any] | None
    registered_ms: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class NewSchema:
    """A schema that is to be kept.

    Attributes:
        format: of the schema.
        text: of the schema.
        references: what it imports, directly.
        metadata: JSON; None where none is given.
        content: SHA-256 of format, canonical text and references.
        fingerprint: the same with metadata.
        form: SHA-256 of the serialized form and references: of one schema in two notations it is the same; None where the
            format has no such form, or nobody looked.
    """

    format: FormatName
    text: str
    references: tuple[Reference, ...]
    metadata: Mapping[str, Any] | None
    content: bytes
    fingerprint: bytes
    form: bytes | None = None

    @property
    def metadata_text(self) -> str:
        """JSON, always written the same way; "" where none is given."""
        return "" if self.metadata is None else json.dumps(self.metadata, sort_keys=True)
