"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def home_of(homes: Mapping[str, str]) -> dict[str, str]:
    """From the names of each module, separated by spaces, to the module of each name."""
    return {name: home for home, names in homes.items() for name in names.split()}


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The function ``__getattr__`` of a package.

    Args:
        package: its ``__name__``.
        homes: the module of each name.
    """

    def __getattr__(name: str) -> object:  # noqa: N807  # it becomes the package's own
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
