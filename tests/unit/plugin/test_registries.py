"""From `[registry]` to a registry: a folder, or what a plugin makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prismlib.config.model import Model, Secret
from prismlib.config.project import RegistryConfig
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.errors import ConfigError, PluginLoadError, PluginNotFoundError, RegistryUnavailableError
from prismlib.plugin.hookspecs import RegistrySpec
from prismlib.plugin.manager import LoadedPlugin, Plugins
from prismlib.plugin.registries import open_registry


class ShelfConfig(Model):
    url: str
    token: Secret | None = None
    shelf: int = 1


class Shelf:
    by_id = latest = version = versions = subjects = print

    def __init__(self, config: ShelfConfig, base: Path) -> None:
        self.config, self.base = config, base


def offering(factory: Callable[[Any, Path], Any] = Shelf) -> Plugins:
    spec = RegistrySpec("shelf", ("shelf", "shelfs"), "in memory", ShelfConfig, factory)
    return Plugins((LoadedPlugin("shelf", "prism-shelf", "1.0", "shelf.plugin", registries=(spec,)),))


def config(url: str, **keys: Any) -> RegistryConfig:
    return RegistryConfig(url=url, **keys)


def test_a_folder_starts_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    for url in ("schemas", str(tmp_path / "schemas")):
        assert isinstance(open_registry(config(url, token="t"), Plugins(), tmp_path, "prism.toml"), DirectoryRegistry)
    with pytest.raises(ConfigError, match=r"^prism\.toml: .*nowhere: no such schema folder"):
        open_registry(config("nowhere"), Plugins(), tmp_path, "prism.toml")


@pytest.mark.parametrize("url", ["shelf:a", "SHELFS://a/b"])
def test_a_plugin_gets_all_keys_and_the_folder(tmp_path: Path, url: str) -> None:
    registry: Any = open_registry(config(url, token=Secret("hush"), shelf=3), offering(), tmp_path, "prism.toml")
    assert registry.config == ShelfConfig(url=url, token=Secret("hush"), shelf=3)
    assert registry.base == tmp_path


def test_the_keys_are_those_of_the_plugin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^prism\.toml: \[registry\]: unknown key 'shelve'; did you mean 'shelf'\?$"):
        open_registry(config("shelf:a", shelve=3), offering(), tmp_path, "prism.toml")


def test_an_address_that_nobody_serves_is_said_with_what_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(
        PluginNotFoundError, match=r"\[registry\]: url begins with 's3:', and no installed plugin offers"
    ):
        open_registry(config("s3://bucket"), offering(), tmp_path, "prism.toml")
    with pytest.raises(PluginNotFoundError, match=r"left out by PRISM_PLUGINS are confluent_registry, kafka$"):
        open_registry(config("http://h"), Plugins(left_out=("confluent_registry", "kafka")), tmp_path, "prism.toml")


def fails(error: Exception) -> Callable[[Any, Path], Any]:
    def factory(settings: ShelfConfig, base: Path) -> Any:
        raise error

    return factory


def test_what_a_plugin_refuses_is_said_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^prism\.toml: \[registry\]: shelf is full$"):
        open_registry(config("shelf:a"), offering(fails(ConfigError("shelf is full"))), tmp_path, "prism.toml")
    with pytest.raises(RegistryUnavailableError, match=r"^away$"):
        open_registry(config("shelf:a"), offering(fails(RegistryUnavailableError("away"))), tmp_path, "prism.toml")


def test_a_plugin_that_fails_or_makes_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginLoadError, match="the registry 'shelf' could not be made: ZeroDivisionError: a bug"):
        open_registry(config("shelf:a"), offering(fails(ZeroDivisionError("a bug"))), tmp_path, "prism.toml")
    with pytest.raises(
        PluginLoadError, match="the registry 'shelf' has no method by_id, latest, version, versions, subjects"
    ):
        open_registry(config("shelf:a"), offering(lambda settings, base: object()), tmp_path, "prism.toml")
