"""Renders docs/reference/python-api.md from the docstrings of what is public.

python -m tests.docs.python_api > docs/reference/python-api.md
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

import prismlib
import prismlib.errors

INTRODUCTION = """\
# Python API

What `import prismlib` offers. Nothing else is public, but for `prismlib.testing`, which
[Write a plugin](../how-to/write-a-plugin.md) shows. [Embed a pipeline](../how-to/embed.md) shows the rest at work.

This page is generated from the docstrings: `python -m tests.docs.python_api > docs/reference/python-api.md`.
"""

CHAPTERS = {
    "Run a pipeline": "load_pipeline pipeline_from build_runner Runner RunnerState Counters PipelineConfig PythonNormalizer"
    " Notice NoticeKind Tell open_alerts",
    "What travels": "Partition RecordBatch Headers Row Decoded Explanation Normalized Encoded Documents WriteResult Retry LedgerRow LedgerNote Loss",
    "The route": "Source AssignmentListener StartPosition Committed Horizon InGroup Pausable Seekable FindsTimes IdentifiesTopics Decoder"
    " IdentifiesSchema HasReader Explains Normalizer FieldSet Encoder Sink WritePolicy Transactional KeepsLedger ClaimsWorker",
    "Plugins": "hookimpl StageSpec BuildContext Model Secret Duration StoreSpec Administration SetupStep Check StreamReader"
    " RegistrySpec Registry RegisteredSchema Reference",
}
"""What is no error, in the order of reading. A test makes sure that nothing is left out."""

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):$")
_ITEM = re.compile(r"^    (\S[^:]*): (.*)$")


def chapters() -> dict[str, list[str]]:
    listed = {title: names.split() for title, names in CHAPTERS.items()}
    return {**listed, "Errors": [name for name in prismlib.__all__ if _is_error(getattr(prismlib, name))]}


def documentation(name: str) -> str:
    """The docstring of a public name; of an alias or marker, the text below its assignment."""
    value = getattr(prismlib, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return inspect.cleandoc(value.__doc__ or "")
    module = importlib.import_module(prismlib._HOME_OF[name])
    for file in [Path(str(module.__file__)), *sorted(Path(str(module.__file__)).parent.glob("*.py"))]:
        body = ast.parse(file.read_text()).body
        for statement, below in itertools.pairwise(body):
            assigned = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if any(isinstance(one, ast.Name) and one.id == name for one in assigned):
                text = below.value if isinstance(below, ast.Expr) else None
                return inspect.cleandoc(text.value) if isinstance(text, ast.Constant) else ""
    return ""


def render() -> str:
    lines = [INTRODUCTION]
    for title, names in chapters().items():
        lines += [f"## {title}", ""]
        if title == "Errors":
            lines += _code(_tree())
        for name in names:
            lines += [f"### {name}", "", *_entry(name)]
    return "\n".join(lines).rstrip() + "\n"


def _tree() -> str:
    paragraphs = (prismlib.errors.__doc__ or "").split("\n\n")
    return inspect.cleandoc(next(text for text in paragraphs if "PrismError" in text))


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Exception)


def _entry(name: str) -> Iterator[str]:
    value = getattr(prismlib, name)
    if inspect.isfunction(value):
        yield from _code(f"{name}{_signature(value)}")
    elif inspect.isclass(value):
        yield from _code(_class_line(name, value))
    yield from _markdown(documentation(name))
    if inspect.isclass(value):
        for member, found in vars(value).items():
            inherited = issubclass(value, pydantic.BaseModel) and hasattr(pydantic.BaseModel, member)
            if member.startswith("_") or inherited or not inspect.isfunction(getattr(found, "fget", found)):
                continue
            if isinstance(found, property):
                yield from _code(f"{member}: {_type(inspect.signature(found.fget).return_annotation)}")
            else:
                yield from _code(f"{member}{_signature(found, skip=1)}")
            yield from _markdown(inspect.cleandoc(found.__doc__ or ""))


def _class_line(name: str, value: type) -> str:
    if dataclasses.is_dataclass(value) or issubclass(value, tuple):
        return f"class {name}{_signature(value, makes=True)}"
    own = vars(value).get("__init__")
    # What a runner and a counter are made of is not for everybody to call.
    made = own is not None and not getattr(value, "_is_protocol", False) and value is not prismlib.Runner
    base = value.__bases__[0].__name__
    return f"class {name}{_signature(own, skip=1, makes=True) if made else '' if base == 'object' else f'({base})'}"


def _signature(value: Any, skip: int = 0, *, makes: bool = False) -> str:
    signature = inspect.signature(value)
    parts: list[str] = []
    keyword_only = False
    for parameter in list(signature.parameters.values())[skip:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        parts.append(_parameter(parameter))
    returns = signature.return_annotation
    text = f"({', '.join(parts)})"
    if len(text) > 100:
        text = "(\n" + "".join(f"    {part},\n" for part in parts) + ")"
    if makes or returns is inspect.Signature.empty:
        return text
    return f"{text} -> {_type(returns)}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = f"{parameter.name}: {_type(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    default = parameter.default
    shown = (
        "{}" if repr(default) == "<factory>" else f"{str(default)!r}" if isinstance(default, Path) else repr(default)
    )
    return f"{text} = {shown.replace('frozenset()', '()')}"


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return getattr(annotation, "__forward_arg__", None) or getattr(annotation, "__name__", str(annotation))


def _code(text: str) -> list[str]:
    return ["```text", text, "```", ""]


def _markdown(text: str) -> Iterator[str]:
    """Google's sections as lists, indented code fenced, and roles and double backquotes as code."""
    inside = False
    for line in _fenced(_plain(text)).splitlines():
        section = _SECTION.match(line)
        item = _ITEM.match(line) if inside else None
        if section:
            inside = True
            yield from (f"{section[1]}:", "")
        elif item:
            yield f"- `{item[1]}`: {item[2]}"
        elif inside and line.startswith(" "):
            yield f"  {line.strip()}"
        else:
            inside = inside and not line
            yield line
    yield ""


def _fenced(text: str) -> str:
    """Paragraphs that are indented code, as the page's other code."""
    return "\n\n".join(
        f"```python\n{textwrap.dedent(paragraph)}\n```" if paragraph.startswith("    ") else paragraph
        for paragraph in text.split("\n\n")
    )


def _plain(text: str) -> str:
    text = re.sub(r":mod:`([\w.]+)`", r"`\1`", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    print(render(), end="")
