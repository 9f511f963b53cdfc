"""What a command line's pipeline file leads to: the file itself, its project, its registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.config.project import ProjectConfig, load_project
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError

pipeline_argument = click.argument("pipeline", metavar="PIPELINE.toml", type=click.Path(path_type=Path))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline and where it belongs."""

    pipeline: PipelineConfig
    project: ProjectConfig
    registry: Registry


def load(path: Path) -> Loaded:
    """Read a pipeline file and the ``prism.toml`` above it. Raises ConfigError."""
    pipeline = load_pipeline(path)
    project = load_project(pipeline.base)
    return Loaded(pipeline, project, open_registry(project))


def open_registry(project: ProjectConfig) -> Registry:
    """The registry that a project names.

    Raises:
        ConfigError: it cannot be one.
    """
    folder = project.registry_folder
    if folder is None:
        where = project.path or "PRISM_REGISTRY_URL"
        raise ConfigError(f"{where}: 'registry.url': no registry over HTTP can be read yet; name a folder of schemas")
    return DirectoryRegistry(folder)
