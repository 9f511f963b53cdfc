"""The generated pages of ``docs/reference``: what the commands and the configuration models say of themselves.

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

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
COMMAND: Final = "scripts/docs"
PAGES: Final[Mapping[str, Callable[[Plugins], str]]] = {
    "commands.md": render_commands,
    "component-specification.md": lambda _: render_specification(),
    "configuration.md": render_configuration,
}
_DISTRIBUTION: Final = "prism-pipeline"


def render() -> Mapping[str, str]:
    """Every generated page by file name.

    Raises:
        PluginLoadError: a plugin of this repository cannot be loaded.
        UndocumentedError: a key, option or command does not say what it means.
    """
    plugins = _own_plugins()
    return {name: page(plugins) for name, page in PAGES.items()}


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
