"""Finds the plugin of a schema format, by the entry point group ``prismlib.formats``.

A group of its own, beside the plugins' ``prismlib``: the gate in a team's CI starts often, and must not wait for every
stage's configuration model. For the same reason the metadata of installed distributions is read here directly when that
works: importing :mod:`importlib.metadata` takes about as long as all the rest of a check (20 of 60 ms, measured).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from prismlib.contracts.format import SchemaFormat
from prismlib.errors import PluginLoadError, PluginNotFoundError

GROUP: Final = "prismlib.formats"
EXTRAS: Final = ("avro", "protobuf", "jsonschema")
"""Formats of our own, which an extra of the same name installs."""


@lru_cache
def load_format(name: str) -> SchemaFormat[Any]:
    """The installed format of that name.

    Raises:
        PluginNotFoundError: no installed plugin offers it.
        PluginLoadError: one does, and cannot be loaded, most often because its library is not installed.
    """
    target = next((value for key, value in _offers() if key == name), None)
    if target is None:
        known = ", ".join(sorted({key for key, _ in _offers()})) or "none"
        raise PluginNotFoundError(f"no installed plugin offers the schema format {name!r}; installed are {known}")
    module, _, attribute = target.partition(":")
    try:
        made: SchemaFormat[Any] = getattr(import_module(module), attribute)()
    except ImportError as error:
        install = f"install prism-pipeline[{name}]" if name in EXTRAS else "see its documentation"
        raise PluginLoadError(f"the schema format {name!r} needs {error.name}: {install}") from error
    except Exception as error:
        raise PluginLoadError(
            f"the schema format {name!r} ({target}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return made


def installed_formats() -> list[str]:
    """Names of the formats that are installed, sorted; whether they load is not looked at."""
    return sorted({key for key, _ in _offers()})


@lru_cache
def _offers() -> tuple[tuple[str, str], ...]:
    """(name, ``module:attribute``) of every entry point of the group."""
    found = tuple(_scan())
    if found:
        return found
    # Distributions that are no folders of files (zip files, other importers) are seen by importlib alone.
    from importlib import metadata  # noqa: PLC0415  # see above

    return tuple((point.name, point.value) for point in metadata.entry_points(group=GROUP))


def _scan() -> Iterator[tuple[str, str]]:
    """Entry points of the distributions that are folders on the path; the format is that of ini files."""
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208  # names are enough
        except OSError:  # a path that is no folder has no distributions
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                    text = file.read()
            except OSError:  # most distributions have none
                continue
            if GROUP in text:
                yield from _entries(text)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            yield key.strip(), value.partition("[")[0].strip()
