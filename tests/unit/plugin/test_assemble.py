"""Stages that do not fit the schemas they read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prismlib.cli.project import load
from prismlib.errors import ConfigError
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.assemble import assemble

EXAMPLE = Path(__file__).parents[3] / "examples" / "air_traffic"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    for part in ("air_traffic", "mappings", "pipelines", "schemas", "prism.toml"):
        source = EXAMPLE / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part)
        else:
            shutil.copy(source, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        (
            "mappings/flights.toml",
            'airport = "origin"',
            'airport = "orign"',
            r"mappings/flights\.toml: event\.airport: reads 'orign', and .*flights-value.* has no field 'orign'.*'origin'",
        ),
        (
            "pipelines/air-traffic.toml",
            '"wind_speed"]',
            '"wind_sped"]',
            r"reads 'wind_sped', and .*weather-value.* has no field 'wind_sped'.*'wind_speed'",
        ),
    ],
)
def test_a_field_that_the_schema_lacks_is_named_with_the_key_that_reads_it(
    example: Path, file: str, right: str, wrong: str, said: str
) -> None:
    path = example / file
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    plugins = load_plugins()
    loaded = load(example / "pipelines" / "air-traffic.toml", plugins)
    with pytest.raises(ConfigError, match=said):
        assemble(loaded.pipeline, plugins, worker="1", registry=loaded.registry)


def test_the_example_fits_its_schemas(example: Path) -> None:
    plugins = load_plugins()
    for name in ("air-traffic", "air-traffic-index"):
        loaded = load(example / "pipelines" / f"{name}.toml", plugins)
        assemble(loaded.pipeline, plugins, worker="1", registry=loaded.registry)
