"""The generated pages of ``docs/reference``: what commands, configuration models and rules say of themselves.

Only what this repository brings is on the pages, whatever else is installed; what is not documented is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from prismlib.errors import PluginLoadError
from prismlib.plugin.manager import RESTRICT, Plugins, load_plugins
from prismlib.testing.clauses import render_specification
from scripts.reference.commands import render_commands
from scripts.reference.configuration import render_configuration
from scripts.reference.rules import render_rules

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
COMMAND: Final = "scripts/docs"
PAGES: Final[Mapping[str, Callable[[Plugins], str]]] = {
    "commands.md": render_commands,
    "component-specification.md": lambda _: render_specification(),
    "configuration.md": render_configuration,
}
RULES: Final = "rules"
"""The folder of the rules' pages, all of which are generated."""
_DISTRIBUTION: Final = "prism-pipeline"


def render() -> Mapping[str, str]:
    """Every generated page by its path below ``FOLDER``.

    Raises:
        PluginLoadError: a plugin or format of this repository cannot be loaded.
        UndocumentedError: a key, option, command or rule does not say what it means.
    """
    plugins = _own_plugins()
    pages = {name: page(plugins) for name, page in PAGES.items()}
    return pages | {f"{RULES}/{name}": text for name, text in render_rules(_DISTRIBUTION).items()}


def stale(pages: Mapping[str, str]) -> list[Path]:
    """Pages of rules that are gone, or have another name."""
    there = (FOLDER / RULES).glob("*.md")
    return sorted(path for path in there if f"{RULES}/{path.name}" not in pages)


def _own_plugins() -> Plugins:
    restricted = os.environ.pop(RESTRICT, None)
    try:
        installed = load_plugins()
    finally:
        if restricted is not None:
            os.environ[RESTRICT] = restricted
    for failed in installed.failed:
        if failed.distribution == _DISTRIBUTION:
            raise PluginLoadError(f"the plugin {failed} failed to load: {failed.reason}") from failed.error
    return Plugins(tuple(plugin for plugin in installed.loaded if plugin.distribution == _DISTRIBUTION))
