"""Encoder: standard events to the bytes that a sink writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from prismlib.records import Encoded


class Encoder(Protocol):
    """Turns bodies into bytes. It comes with a format plugin; a sink's ``encode`` names it.

    - ``ENC-01`` values are aligned with the bodies
    - ``ENC-02`` a body that does not fit is in ``errors``, its value None; its neighbours are encoded
    - ``ENC-03`` None stays None and is no error
    - ``ENC-04`` what it writes, the decoder of the same name reads back
    - ``ENC-05`` bodies are not changed
    """

    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        """Encode all bodies. A body of bytes is already encoded JSON and is framed only, where the format is JSON."""
        ...
