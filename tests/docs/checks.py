"""What is asked of a code block, by its language tag. A block without a tag, or with another one, has no way to be checked."""

from __future__ import annotations

import ast
import importlib
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from importlib import metadata

import yaml

from prism_protobuf.protoc import compile_proto
from prismlib.errors import ContractError
from prismlib.plugin.hookspecs import GROUP
from tests.docs.commands import check_console, check_dockerfile, check_sh
from tests.docs.files import check_toml
from tests.docs.kubernetes import check_manifests
from tests.docs.pages import ROOT, Block

_OURS = frozenset(
    {
        "prismlib",
        *(e.module.partition(".")[0] for e in metadata.entry_points(group=GROUP) if e.module.startswith("prism")),
    }
)
_COMMAND = re.compile(r"(?:\$ |prism )")


def check_python(block: Block) -> None:
    """It compiles, be it a part of a function, and whatever it imports of Prism is there."""
    try:
        tree = ast.parse(textwrap.dedent(block.text))
    except SyntaxError as error:
        raise AssertionError(f"{block.page}:{block.line + (error.lineno or 1) - 1}: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _check_import(block, alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                _check_import(block, node.module or "", alias.name)


def _check_import(block: Block, module: str, name: str = "") -> None:
    if module.partition(".")[0] not in _OURS:
        return
    try:
        found = importlib.import_module(module)
        if name and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except ImportError as error:
        raise AssertionError(f"{block.where}: from {module} import {name}: {error}") from error


def check_json(block: Block) -> None:
    """One JSON document."""
    try:
        json.loads(block.text)
    except ValueError as error:
        raise AssertionError(f"{block.where}: not valid JSON: {error}") from error


def check_yaml(block: Block) -> None:
    """YAML; documents with a ``kind`` are Kubernetes manifests."""
    try:
        documents = list(yaml.safe_load_all(block.text))
    except yaml.YAMLError as error:
        raise AssertionError(f"{block.where}: not valid YAML: {error}") from error
    manifests = [one for one in documents if isinstance(one, dict) and "kind" in one]
    if manifests:
        check_manifests(block.where, manifests)
    for manifest in manifests:
        for name, text in (manifest.get("data") or {}).items():
            if name.endswith(".toml"):
                check_toml(Block(block.page, block.line, "toml", text))


def check_proto(block: Block) -> None:
    """The real protoc takes it."""
    try:
        compile_proto(block.text, {}, block.where)
    except ContractError as error:
        raise AssertionError(str(error)) from error


def check_quotation(block: Block) -> None:
    """It stands in the file that it is from, word for word, be it indented more there; that file has tests of its own."""
    whole = (ROOT / block.quoted).read_text(encoding="utf-8")
    stands_there = any(f"\n{textwrap.indent(block.text, ' ' * width)}" in f"\n{whole}" for width in (0, 4, 8))
    assert stands_there, f"{block.where}: {block.quoted} does not say this"


def check_text(block: Block) -> None:
    """Diagrams, layouts and messages; no commands, which would escape their check."""
    for line in block.text.splitlines():
        assert not _COMMAND.match(line), f"{block.where}: commands are tagged sh or console: {line!r}"


CHECKS: Mapping[str, Callable[[Block], None]] = {
    "console": check_console,
    "dockerfile": check_dockerfile,
    "json": check_json,
    "proto": check_proto,
    "python": check_python,
    "sh": check_sh,
    "text": check_text,
    "toml": check_toml,
    "yaml": check_yaml,
}


def check(block: Block) -> None:
    """Raises AssertionError with page, line and one sentence."""
    way = CHECKS.get(block.language)
    assert way, (
        f"{block.where}: a block tagged {block.language!r} cannot be checked; tag it with one of {', '.join(CHECKS)}, "
        "or write a check for it in tests/docs/checks.py"
    )
    if block.quoted:
        check_quotation(block)
    else:
        way(block)
