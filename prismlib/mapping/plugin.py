"""Entry point of the core's own normalizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from prismlib.config.model import Model
from prismlib.mapping.functions import check_name, load_function
from prismlib.mapping.model import load_mapping
from prismlib.mapping.normalizer import MappingNormalizer, PythonNormalizer
from prismlib.mapping.paths import parse_path
from prismlib.plugin.hookspecs import BuildContext, StageSpec, hookimpl


def _read(text: str) -> str:
    if text != "*":
        parse_path(text)
    return text


class MappingConfig(Model):
    """``normalize = "mappings/flights.toml"``.

    Attributes:
        file: the mapping, relative to the folder that the pipeline's paths start from.
    """

    file: str = Field(min_length=1)


class PythonConfig(Model):
    """``normalize = { python = "package.module:function", reads = [...] }``.

    Attributes:
        python: the function, which makes an event, or None, of a row.
        reads: dotted paths of the fields it reads; ``["*"]`` for all.
    """

    python: Annotated[str, AfterValidator(check_name)]
    reads: Annotated[tuple[Annotated[str, AfterValidator(_read)], ...], Field(strict=False, min_length=1)]


def _mapping(config: MappingConfig, context: BuildContext) -> MappingNormalizer:
    mapping = load_mapping(context.file(config.file), config.file)
    for function in mapping.functions:
        context.imports(function)
    return MappingNormalizer(mapping, context.base)


def _python(config: PythonConfig, context: BuildContext) -> PythonNormalizer:
    context.imports(config.python)
    function = load_function(config.python, context.base, "normalize.python")
    return PythonNormalizer(function, config.reads, name=config.python, where="normalize")


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The normalizers ``mapping`` and ``python``."""
    return [
        StageSpec("normalizer", "mapping", "A mapping file, compiled to Python", MappingConfig, _mapping),
        StageSpec("normalizer", "python", "A Python function for whole rows", PythonConfig, _python),
    ]
