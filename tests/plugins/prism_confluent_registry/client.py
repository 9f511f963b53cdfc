"""A registry as `[registry]` makes it, without a file, and what a server that stands for one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prism_confluent_registry.config import ConfluentRegistryConfig
from prism_confluent_registry.plugin import prism_registries
from prism_confluent_registry.registry import ConfluentRegistry
from prismlib.config.model import validate
from tests.http_server import Reply


def connect(url: str, base: Path = Path(), **keys: Any) -> ConfluentRegistry:
    """A registry with a short time limit, and any other keys."""
    (spec,) = prism_registries()
    config = validate(ConfluentRegistryConfig, {"url": url, "timeout": "2s", **keys}, "[registry]")
    registry = spec.factory(config, base)
    assert isinstance(registry, ConfluentRegistry)
    return registry


def says(status: int, code: int, message: str = "said the registry") -> Reply:
    """An error in a registry's words."""
    return Reply(status, {"error_code": code, "message": message})
