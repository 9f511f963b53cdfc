"""What the ``url`` of ``[registry]`` says about the kind of registry."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: "C:" is a drive


def registry_scheme(url: str) -> str | None:
    """The scheme in lower case, such as ``"https"``; None where ``url`` names a folder."""
    scheme = _SCHEME.match(url)
    return scheme[1].lower() if scheme else None
