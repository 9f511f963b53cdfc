"""``rules/``: one page a rule, from the docstring of its module, and an index of all.

A rule's module lies in the package ``rules`` beside the module of its format, and has it as ``RULE``. Only this looks for the
modules: a check needs the rules alone.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from types import ModuleType
from typing import Final, get_args

from prismlib.contracts import core_rules
from prismlib.contracts.formats import GROUP, load_format
from prismlib.contracts.rules import Policy, Rule, Rules
from scripts.reference.docstrings import UndocumentedError, markdown
from scripts.reference.tables import table

INDEX: Final = "README.md"

_GENERATED = "<!-- Written by scripts/docs from the modules of the rules. Do not edit it. -->\n"
_INTRODUCTION = f"""\
{_GENERATED}
# Rules

What `prism-check-schema` can find. A rule detects; the *policy* decides whether that fails or is only noted. `confluent` and `wire`
are the two profiles that a `subject.toml` can name, and `consumer` is what every consumer's contract is held to. How they work
together is told in [How compatibility is decided](../../explanation/contracts.md).

A finding that its owner accepts is waived by rule and path, with a reason and an end date, in the `subject.toml`, or, by the consumer
whose contract it concerns, in the contract:

```toml
[[waiver]]
rule = "AVR003"
path = "/fields/tailnum"
reason = "no consumer reads it; agreed with data-platform"
until = 2026-12-31
```

An id never changes its meaning.
"""
_POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
_SECTION = re.compile(r"^(?P<name>[A-Z]\w+):(?:$| (?P<rest>.*))")
_NEEDED: Final = ("Why", "Example", "Instead")
_NEEDED_OF_FORMATS: Final = (*_NEEDED, "Confluent")
_MARKER = re.compile(r"^([-+*>#])(?= )", re.MULTILINE)
_KNOWN: Final = ("What", *_NEEDED_OF_FORMATS)
_HEADINGS: Final = {"What": "What it finds", "Instead": "What to do instead", "Confluent": "Confluent's registry"}
_TITLES: Final = {"avro": "Avro", "protobuf": "Protobuf", "jsonschema": "JSON Schema"}
_CORE: Final = "all formats"


@dataclass(frozen=True, slots=True)
class RulePage:
    """One rule with what its module says.

    Attributes:
        rule: which one.
        kind: its format for people, or that it is about all of them.
        summary: the first paragraph, Markdown.
        sections: what follows by the word it begins with, in the order of the docstring; Markdown.
    """

    rule: Rule
    kind: str
    summary: str
    sections: Mapping[str, str]

    @property
    def file(self) -> str:
        return f"{self.rule.id}-{self.rule.name}.md"


def render_rules(distribution: str) -> Mapping[str, str]:
    """The index and the page of every rule that a distribution brings, by file name.

    Raises:
        UndocumentedError: a rule has no module, or its docstring lacks a section.
        PluginLoadError: a format cannot be loaded.
    """
    pages = rule_pages(core_rules.CORE_RULES, core_rules, _CORE, _NEEDED)
    for name in sorted(p.name for p in metadata.distribution(distribution).entry_points if p.group == GROUP):
        fmt = load_format(name)
        package = import_module(f"{type(fmt).__module__.rpartition('.')[0]}.rules")
        pages += rule_pages(fmt.rules, package, _TITLES.get(name, name), _NEEDED_OF_FORMATS)
    return {INDEX: _index(pages), **{page.file: _page(page) for page in pages}}


def rule_pages(rules: Rules, package: ModuleType, kind: str, needed: Iterable[str]) -> list[RulePage]:
    """What the modules of a package say about its rules, by id.

    Args:
        rules: all that there must be.
        package: whose modules have one rule each.
        kind: as in RulePage.
        needed: the sections that every docstring must have.

    Raises:
        UndocumentedError: as for :func:`render_rules`.
    """
    modules = [import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)]
    by_id = {module.RULE.id: module for module in modules if isinstance(getattr(module, "RULE", None), Rule)}
    missing = rules.keys() ^ by_id.keys()
    if missing:
        raise UndocumentedError(
            f"{package.__name__}: each rule has a module of its own there, with `RULE`, and is in the table of its format; not "
            f"so {', '.join(sorted(missing))}"
        )
    return [_read(rules[id_], by_id[id_], kind, needed) for id_ in sorted(rules)]


def _read(rule: Rule, module: ModuleType, kind: str, needed: Iterable[str]) -> RulePage:
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in inspect.cleandoc(module.__doc__ or "").splitlines():
        match = _SECTION.match(line)
        if match:
            name = match["name"]
            if name not in _KNOWN:
                raise UndocumentedError(f"{module.__file__}: a section {name!r}; known are {', '.join(_KNOWN)}")
            found[name] = [match["rest"] or ""]
        else:
            found[name].append(line.removeprefix("    "))
    text = {name: _prose("\n".join(lines).strip(), str(module.__file__)) for name, lines in found.items()}
    summary = text.pop("")
    if not summary:
        raise UndocumentedError(f"{module.__file__}: the docstring must begin with a sentence that says what it finds")
    for name in needed:
        if not text.get(name):
            raise UndocumentedError(f"{module.__file__}: the docstring lacks a paragraph that begins with `{name}:`")
    return RulePage(rule, kind, summary, text)


def _prose(text: str, where: str) -> str:
    """Markdown, each sentence beginning with a capital: some modules go on after the colon in lower case."""
    return "\n\n".join(map(_paragraph, markdown(text[:1].upper() + text[1:], where).split("\n\n")))


def _paragraph(text: str) -> str:
    """A line of it may begin with a minus, which is a list only where the paragraph begins with one."""
    return text if _MARKER.match(text) else _MARKER.sub(r"\\\1", text)


def _page(page: RulePage) -> str:
    lines = [_GENERATED, f"# {page.rule.id}: {page.rule.name}", "", page.summary, ""]
    lines += table(["format", *_policy_names()], [[page.kind, *_ends(page.rule)]])
    for name, text in page.sections.items():
        lines += [f"## {_HEADINGS.get(name, name)}", "", text, ""]
    lines.append(f"[All rules]({INDEX})")
    return "\n".join(lines) + "\n"


def _index(pages: Iterable[RulePage]) -> str:
    lines = [_INTRODUCTION]
    by_kind: dict[str, list[RulePage]] = {}
    for page in pages:
        by_kind.setdefault(page.kind, []).append(page)
    for kind, of_kind in by_kind.items():
        lines += [f"## {kind[0].upper()}{kind[1:]}", ""]
        lines += table(["rule", "finds", *_policy_names()], map(_row, of_kind))
    return "\n".join(lines).rstrip() + "\n"


def _row(page: RulePage) -> list[str]:
    link = f"[{page.rule.id} {page.rule.name}]({page.file})"
    return [link, page.summary, *_ends(page.rule)]


def _policy_names() -> Iterator[str]:
    return (f"`{policy}`" for policy in _POLICIES)


def _ends(rule: Rule) -> Iterator[str]:
    return ("fails" if policy in rule.fails else "a note" for policy in _POLICIES)
