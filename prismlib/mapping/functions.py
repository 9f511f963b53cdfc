"""Python functions that a mapping or a pipeline names as ``package.module:function``."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prismlib.errors import ConfigError

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def check_name(name: str) -> str:
    """The name itself, for a model's validator. Raises ValueError for what names no function."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} names no function; write package.module:function")
    return name


def load_function(name: str, base: Path, where: str) -> Callable[..., Any]:
    """Import a function.

    Args:
        name: ``package.module:function``.
        base: folder to look in first, the one that relative paths start from; it is on ``sys.path`` during the import.
        where: file and key, for errors.

    Raises:
        ConfigError: there is no such module or function, importing it fails, or it cannot be called.
    """
    module_name, _, attribute = check_name(name).partition(":")
    folder = str(base.resolve())
    sys.path.insert(0, folder)
    importlib.invalidate_caches()  # a module may be as young as this process
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise ConfigError(
                f"{where}: there is no Python module {error.name!r} in {folder} or among the installed packages;"
                f" correct {name!r} or install it"
            ) from error
        raise ConfigError(f"{where}: importing {module_name!r} needs {error.name!r}, which is not installed") from error
    except Exception as error:
        raise ConfigError(f"{where}: importing {module_name!r} failed: {type(error).__name__}: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            file = getattr(module, "__file__", None) or module_name
            raise ConfigError(f"{where}: {file} has no function {attribute!r}; correct {name!r}")
    if not callable(found):
        raise ConfigError(f"{where}: {name!r} is a {type(found).__name__} and cannot be called")
    function: Callable[..., Any] = found
    return function
