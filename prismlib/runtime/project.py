"""From ``prism.toml`` to the registry that a pipeline's schemas come from."""

from __future__ import annotations

from prismlib.config.project import ProjectConfig
from prismlib.contracts.registry import Registry
from prismlib.contracts.registry_url import open_registry
from prismlib.errors import ConfigError


def open_project_registry(project: ProjectConfig) -> Registry | None:
    """The registry that a project names; None when it names none and has no folder ``schemas``.

    Raises:
        ConfigError: it cannot be one.
    """
    config = project.registry
    if "url" not in config.model_fields_set and not (project.base / config.url).exists():
        return None
    try:
        return open_registry(config.url, project.base)
    except ConfigError as error:
        raise ConfigError(f"{project.path or 'PRISM_REGISTRY_URL'}: {error}") from error
