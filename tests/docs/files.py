"""Configuration files on a page: read by the code that reads them for users.

A page may show a part of a file. It is then completed from a whole one, so that its keys are checked where they belong.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Final

import pydantic

from prismlib.config.model import Secret, validate
from prismlib.config.pipeline import pipeline_from
from prismlib.config.project import ProjectConfig
from prismlib.contracts.consumers import read_consumer
from prismlib.contracts.subject import SUBJECT_KEYS, Subject, read_subject
from prismlib.errors import ConfigError
from prismlib.mapping import mapping_from
from prismlib.plugin.manager import Plugins, load_plugins
from prismlib.runtime.resolve import resolve
from tests.docs.pages import ROOT, Block

PIPELINE: Final = """
name = "whole"
owner = "data-team"
contact = "data-team@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "127.0.0.1:9092"
[[route]]
topic = "orders"
decode = { type = "avro", subject = "orders-value" }
[sink]
type = "elasticsearch"
url = "http://127.0.0.1:9200"
alias = "shop"
"""
"""A whole pipeline file."""
SUBJECT: Final = {
    "format": "avro",
    "compatibility": "BACKWARD",
    "owner": "data-team",
    "contact": "data-team@example.org",
}


def keys_of(model: type[pydantic.BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def check_toml(block: Block) -> None:
    """Say what the file is by its keys, and read it as that."""
    try:
        data = tomllib.loads(block.text)
    except tomllib.TOMLDecodeError as error:
        raise AssertionError(f"{block.where}: not valid TOML: {error}") from error
    try:
        _check(block, set(data), _without_secrets(data))
    except ConfigError as error:
        raise AssertionError(str(error) if block.where in str(error) else f"{block.where}: {error}") from error


def _check(block: Block, keys: Collection[str], data: dict[str, Any]) -> None:
    if keys <= {"event"}:
        mapping_from(data, block.where)
    elif {"format", "waiver", "references"} & set(keys) and set(keys) <= set(SUBJECT_KEYS):
        _check_subject(block.text, keys)
    elif "reads" in keys:
        _check_contract(block.text)
    elif set(keys) <= keys_of(ProjectConfig):
        _check_registry(validate(ProjectConfig, data, block.where).registry.url, data.get("registry", {}), block.where)
    elif {"project", "tool", "build-system"} & set(keys):
        _check_entry_points(block.where, data)
    elif {"name", "source", "route", "sink", "dead_letters", "start"} & set(keys):
        _check_pipeline(block, data)
    else:
        raise AssertionError(
            f"{block.where}: the keys {', '.join(sorted(keys))} are of no file that is known here: a pipeline, prism.toml, "
            "a mapping, subject.toml, a contract or pyproject.toml"
        )


def _check_registry(url: str, table: dict[str, Any], where: str) -> None:
    """The keys of a registry that is no folder are those of the plugin that serves its scheme."""
    scheme, colon, _ = url.partition("://")
    if colon:
        validate(_plugins().registry(scheme).config_model, table, where)


def _check_pipeline(block: Block, data: dict[str, Any]) -> None:
    is_whole = {"source", "route", "sink"} <= data.keys()
    tables = data if is_whole else {**tomllib.loads(PIPELINE), **data}
    pipeline = pipeline_from(tables, ROOT / "examples" / f"{block.page.replace('/', '-')}-{block.line}.toml")
    resolve(pipeline, _plugins())


def _check_subject(text: str, keys: Collection[str]) -> None:
    missing = [f'{key} = "{value}"' for key, value in SUBJECT.items() if key not in keys]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "subject.toml"
        path.write_text("\n".join([*missing, text]), encoding="utf-8")
        read_subject(path)


def _check_contract(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "somebody.toml"
        path.write_text(text, encoding="utf-8")
        path.with_suffix(".avsc").write_text('"null"', encoding="utf-8")
        read_consumer(path, Subject("orders-value", "avro", "BACKWARD", SUBJECT["owner"], SUBJECT["contact"]))


def _check_entry_points(where: str, data: dict[str, Any]) -> None:
    """A plugin author's pyproject.toml: its entry points are of the group that is looked up."""
    groups = data.get("project", {}).get("entry-points", {"prismlib": {}})
    assert set(groups) == {"prismlib"}, (
        f"{where}: entry points of plugins are of the group prismlib, not {sorted(groups)}"
    )
    for name, value in groups["prismlib"].items():
        assert isinstance(value, str), f"{where}: the entry point {name} names a module"


def _without_secrets(value: Any, place: str = "") -> Any:
    """Stand-ins for what ``{ env = "NAME" }`` and ``{ file = "PATH" }`` refer to on somebody's machine.

    ``place`` has a letter for each table, t, and list, l, around the value.
    """
    if isinstance(value, list):
        return [_without_secrets(one, place + "l") for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and {"env", "file"} & value.keys() and isinstance(next(iter(value.values())), str):
        # [[pipeline]] file = "..." is a path and no secret, as in prismlib.config.model.
        return value if place == "tl" and "file" in value else Secret("secret")
    return {key: _without_secrets(one, place + "t") for key, one in value.items()}


@cache
def _plugins() -> Plugins:
    return load_plugins()
