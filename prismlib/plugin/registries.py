"""Opens the registry that ``[registry]`` of ``prism.toml`` names: a folder, or what a plugin serves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prismlib.config.model import validate
from prismlib.config.project import ProjectConfig, RegistryConfig
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError, PluginLoadError, PluginNotFoundError, PrismError
from prismlib.plugin.manager import RESTRICT, Plugins

_METHODS: Final = ("by_id", "latest", "version", "versions", "subjects")


def open_registry(config: RegistryConfig, plugins: Plugins, base: Path, where: str) -> Registry:
    """Open a registry; nothing is asked yet.

    Args:
        config: the table.
        plugins: what serves the addresses that are no folders.
        base: where relative paths start: the folder of ``prism.toml``.
        where: what to name in errors: the file.

    Raises:
        ConfigError: there is no such folder, no plugin serves such an address, or a key is wrong.
        PluginLoadError: the plugin failed with an error of its own, or what it made is no registry.
    """
    if config.scheme is None:
        try:
            return DirectoryRegistry(base / config.url)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    where = f"{where}: [registry]"
    try:
        spec = plugins.registry(config.scheme)
    except PluginNotFoundError as error:
        also = f"; left out by {RESTRICT} are {', '.join(plugins.left_out)}" if plugins.left_out else ""
        raise PluginNotFoundError(f"{where}: url begins with '{config.scheme}:', and {error}{also}") from error
    given = {"url": config.url, **config.settings}
    if config.token is not None:
        given["token"] = config.token
    settings = validate(spec.config_model, given, where)
    try:
        registry = spec.factory(settings, base)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except PrismError:
        raise
    except Exception as error:
        raise PluginLoadError(
            f"{where}: the registry {spec.name!r} could not be made: {type(error).__name__}: {error}"
        ) from error
    missing = [name for name in _METHODS if not callable(getattr(registry, name, None))]
    if missing:
        raise PluginLoadError(f"{where}: the registry {spec.name!r} has no method {', '.join(missing)}")
    return registry


def open_project_registry(project: ProjectConfig, plugins: Plugins) -> Registry | None:
    """The registry that a project names; None when it names none and has no folder ``schemas``.

    Raises:
        ConfigError, PluginLoadError: as for :func:`open_registry`.
    """
    config = project.registry
    if "url" not in config.model_fields_set and not (project.base / config.url).exists():
        return None
    return open_registry(config, plugins, project.base, str(project.path or "the environment"))
