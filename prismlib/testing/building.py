"""A plugin's stage as a pipeline file makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prismlib.config.model import validate
from prismlib.plugin.hookspecs import BuildContext, StageKind
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.given import check_stage


def build_stage(kind: StageKind, name: str, settings: Mapping[str, Any], **context: Any) -> Any:
    """Find a stage among the installed plugins, check its settings, and call its factory.

    Args:
        kind: "source", "decoder", "normalizer", "encoder" or "sink".
        name: what pipeline files say as ``type``; the plugin has to be installed, ``pip install -e .`` will do.
        settings: the other keys of the table.
        context: fields of :class:`prismlib.BuildContext`, such as ``reads`` for a decoder.

    Raises:
        ConfigError: what a user would be told about the settings.
        PluginNotFoundError: no installed plugin offers the stage.
        PluginLoadError: the plugin cannot be loaded.
        StageContractError: the factory returned something that the stage must not be.
    """
    spec = load_plugins().stage(kind, name)
    where = f"{kind} {name}"
    stage = spec.factory(validate(spec.config_model, settings, where), BuildContext(**{"pipeline": "test", **context}))
    check_stage(kind, stage, where)
    return stage
