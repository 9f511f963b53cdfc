"""What a command line's pipeline file leads to: the file itself, its project, its registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.config.project import ProjectConfig, load_project
from prismlib.contracts.registry import Registry
from prismlib.plugin.manager import Plugins
from prismlib.plugin.registries import open_project_registry

pipeline_argument = click.argument("pipeline", metavar="PIPELINE.toml", type=click.Path(path_type=Path))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline and where it belongs."""

    pipeline: PipelineConfig
    project: ProjectConfig
    registry: Registry | None


def load(path: Path, plugins: Plugins) -> Loaded:
    """Read a pipeline file and the ``prism.toml`` above it, and open its registry. Raises ConfigError."""
    pipeline = load_pipeline(path)
    project = load_project(pipeline.base)
    return Loaded(pipeline, project, open_project_registry(project, plugins))
