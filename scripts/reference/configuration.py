"""``configuration.md``: every key that a user can write, from the models that check it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prismlib.config.pipeline import PipelineConfig
from prismlib.config.project import ProjectConfig
from prismlib.config.values import PluginTable
from prismlib.contracts.registry import Reference
from prismlib.contracts.subject import REFERENCE_KEYS, SUBJECT_KEYS, WAIVER_KEYS, Subject, Waiver
from prismlib.mapping.model import FIELD_MODELS
from prismlib.plugin.hookspecs import StageKind, StageSpec
from prismlib.plugin.manager import LoadedPlugin, Plugins
from scripts.reference.docstrings import description, meaning
from scripts.reference.tables import table
from scripts.reference.types import default_text, type_text

_INTRODUCTION = """\
<!-- Written by scripts/docs from the models that check the files. Do not edit it. -->

# Configuration

Every key of the files that a user writes. They are TOML. An unknown key is refused, with the nearest known one. A key without
a default and without the word *required* may be left out; its meaning says what happens then.

| type | is |
| --- | --- |
| duration | text with a unit, such as `"500ms"`, `"1s"`, `"5m"` or `"1h"` |
| name | 1 to 249 letters, digits, `.`, `_` and `-`, the first one a letter or digit |
| path | of a field in a row, such as `customer.name`, `lines[0].sku`, `lines[].sku` or `prices["EUR"]` |
| secret | `{ env = "NAME" }` for an environment variable, or `{ file = "PATH" }` for a file, relative to the file that says so; it is never shown in logs and errors. Plain text is taken too, for tests |
| table of a stage | `type` names the stage; its other keys are those of the stage, in the sections of the plugins below |
| topic name | 1 to 249 letters, digits, `.`, `_` and `-` |

Some keys can also be set by the [environment](command-line.md).
"""
_COLUMNS = ["key", "type", "default", "means"]
_TABLES: Mapping[StageKind, str] = {
    "source": "[source]",
    "decoder": "decode",
    "normalizer": "normalize",
    "encoder": "encode",
    "sink": "[sink]",
}


def render_configuration(plugins: Plugins) -> str:
    """The whole page. Raises UndocumentedError for a key without meaning."""
    lines = [_INTRODUCTION, "## prism.toml", "", description(ProjectConfig), ""]
    lines += _tables(ProjectConfig, "")
    lines += ["## Pipeline files", "", description(PipelineConfig), ""]
    lines += _tables(PipelineConfig, "")
    for plugin in plugins.loaded:
        lines += _plugin(plugin)
    lines += _mapping()
    lines += _subject()
    return "\n".join(lines).rstrip() + "\n"


def _tables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The keys of a table, then each table in it under a heading of its own."""
    yield from table(_COLUMNS, _rows(model))
    for name, field in model.model_fields.items():
        for inner, kind in _models_in(_hint(field)):
            if inner is PluginTable:
                continue
            path = f"{prefix}{field.alias or name}{'.NAME' if kind is dict else ''}"
            yield f"### {'[[' if kind is tuple else '['}{path}{']]' if kind is tuple else ']'}"
            yield ""
            yield description(inner)
            yield ""
            yield from _tables(inner, f"{path}.")


def _models_in(annotation: Any, kind: type = object) -> Iterator[tuple[type[BaseModel], type]]:
    """Models in a type, with the collection around each, ``object`` where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, kind
    origin = getattr(annotation, "__origin__", None)
    for argument in get_args(annotation):
        yield from _models_in(argument, origin if origin in {tuple, dict} else kind)


def _rows(model: type[BaseModel]) -> Iterator[Sequence[str]]:
    for name, field in model.model_fields.items():
        key, hint = field.alias or name, _hint(field)
        default = "*required*" if field.is_required() else default_text(hint, field.default)
        yield [f"`{key}`", type_text(hint), default, meaning(model, name, key)]


def _hint(field: FieldInfo) -> Any:
    """The type as it was written: pydantic keeps what stands in ``Annotated`` apart."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _plugin(plugin: LoadedPlugin) -> Iterator[str]:
    if not plugin.stages and not plugin.registries:
        return
    yield f"## The plugin {plugin.name}"
    yield ""
    by_model: dict[type[BaseModel], list[StageSpec]] = {}
    for stage in plugin.stages:
        by_model.setdefault(stage.config_model, []).append(stage)
    for model, stages in by_model.items():
        types = " or ".join(dict.fromkeys(f'`type = "{stage.name}"`' for stage in stages))
        places = " or ".join(dict.fromkeys(f"`{_TABLES[stage.kind]}`" for stage in stages))
        yield f"### {places} with {types}"
        yield ""
        yield _sentence(stages[0].summary)
        yield ""
        yield from _tables(model, "")
    for registry in plugin.registries:
        yield f"### `[registry]` with a `url` of {' or '.join(f'`{scheme}:`' for scheme in registry.schemes)}"
        yield ""
        yield _sentence(registry.summary)
        yield ""
        yield from _tables(registry.config_model, "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _mapping() -> Iterator[str]:
    yield "## Mapping files"
    yield ""
    yield (
        "A mapping is one table, `[event]`. Each key of it is a field of the standard event, made in one of the ways below; text "
        'alone is short for `{ from = "..." }`, and a table that is none of these ways is an object with fields of its own. '
        "[Write a mapping](../how-to/mapping.md) shows each way."
    )
    yield ""
    for key, model in FIELD_MODELS:
        yield f"### A field with `{key}`"
        yield ""
        yield description(model)
        yield ""
        # What is common to all ways comes last.
        yield from table(_COLUMNS, sorted(_rows(model), key=lambda row: row[0] == "`required`"))


def _subject() -> Iterator[str]:
    yield "## subject.toml"
    yield ""
    yield "What one folder of schemas is, and what its owner promises. The subject is named like its folder."
    yield ""
    yield from table(_COLUMNS, _dataclass_rows(Subject, SUBJECT_KEYS, {"waiver": "waivers"}))
    yield "### [[waiver]]"
    yield ""
    yield description(Waiver)
    yield ""
    yield from table(_COLUMNS, _dataclass_rows(Waiver, WAIVER_KEYS))
    yield "### [references.v2]"
    yield ""
    yield (
        "What `v2` of the schema imports; `[references.next]` for a proposal. Each key is what the importing schema calls it: a "
        "Protobuf import path, an Avro full name, a `$ref` URI. Its value is a table:"
    )
    yield ""
    yield from table(_COLUMNS, _dataclass_rows(Reference, REFERENCE_KEYS))


def _dataclass_rows(
    cls: type[Any], keys: Sequence[str], attribute_of: Mapping[str, str] | None = None
) -> Iterator[Sequence[str]]:
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in keys:
        name = (attribute_of or {}).get(key, key)
        required = fields[name].default is fields[name].default_factory is dataclasses.MISSING
        default = "" if fields[name].default in {dataclasses.MISSING, ""} else fields[name].default
        shown = "*required*" if required else default_text(hints[name], default) if default else ""
        yield [f"`{key}`", type_text(hints[name]), shown, meaning(cls, name, key)]
