"""From the ``url`` of ``[registry]`` to a registry."""

from __future__ import annotations

import re
from pathlib import Path

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: "C:" is a drive


def open_registry(url: str, base: Path) -> Registry:
    """Open the registry that a project file names.

    Args:
        url: a folder.
        base: where a relative folder starts: the folder of the project file.

    Raises:
        ConfigError: there is no such folder, or the address is one that no installed plugin serves.
    """
    scheme = _SCHEME.match(url)
    if not url:
        raise ConfigError("[registry] url is empty; name the folder with the schemas")
    if scheme is None:
        return DirectoryRegistry(base / url)
    if scheme[1].lower() in ("http", "https"):
        raise ConfigError(
            f"[registry] url = {scheme[0]}//...: a registry over HTTP needs a registry plugin; name a folder"
        )
    raise ConfigError(f"[registry] url begins with {scheme[0]!r}, which is no kind of registry; name a folder")
