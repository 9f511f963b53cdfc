"""The numbered clauses of the interfaces: read from their docstrings, named by every failure, printed as a page.

The docstrings of the interfaces are the only place where a clause is written. A conformance test is tied to its
clause by :func:`proves`; the component specification is rendered from both by :func:`render_specification`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from prismlib.contracts.registry import Registry, WritableRegistry
from prismlib.plugin.hookspecs import StreamReader
from prismlib.stages import Decoder, Encoder, Normalizer, Sink, Source

P = ParamSpec("P")
S = TypeVar("S")

INTERFACES: tuple[type, ...] = (
    Source,
    Decoder,
    Normalizer,
    Encoder,
    Sink,
    StreamReader,
    Registry,
    WritableRegistry,
)
_CLAUSE = re.compile(r"^- ``(?P<id>[A-Z]{3}-\d{2})`` (?P<text>.*(?:\n  .*)*)", re.MULTILINE)
_CAPABILITIES = {
    "TXN": ("Transactional", "sinks that offer `begin`, `commit` and `abort`"),
    "LED": ("KeepsLedger", "sinks that keep the ledger"),
    "CLM": ("ClaimsWorker", "sinks that claim the name of their worker, and keep the ledger"),
}


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that an implementation must do.

    Attributes:
        id: such as ``"SRC-04"``; its meaning never changes.
        text: the sentence in the interface's docstring, on one line.
        interface: name of the Protocol whose docstring holds it.
    """

    id: str
    text: str
    interface: str

    @property
    def test_prefix(self) -> str:
        """How the name of its test begins, such as ``"test_src_04_"``."""
        return f"test_{self.id.lower().replace('-', '_')}_"


def clauses() -> dict[str, Clause]:
    """Every clause of every interface, by id: stages in the order of the route, then readers and registries."""
    found: dict[str, Clause] = {}
    for interface in INTERFACES:
        for match in _CLAUSE.finditer(inspect.getdoc(interface) or ""):
            text = " ".join(match["text"].split())
            found[match["id"]] = Clause(match["id"], text, interface.__name__)
    return found


def require(condition: object, found: str) -> None:
    """Raise AssertionError with ``found``, what was seen instead, unless ``condition`` holds."""
    if not condition:
        raise AssertionError(found)


def proves(
    clause_id: str,
) -> Callable[[Callable[Concatenate[S, P], None]], Callable[Concatenate[S, P], None]]:
    """Tie a test method to its clause: whatever goes wrong in it becomes an AssertionError that quotes the clause."""
    clause = clauses()[clause_id]

    def decorate(test: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
        @functools.wraps(test)
        def proof(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            try:
                test(self, *args, **kwargs)
            except AssertionError as error:
                raise AssertionError(f"{clause.id} ({clause.text}): {error}") from error
            except Exception as error:
                raised = f"{type(error).__name__}: {error}"
                raise AssertionError(f"{clause.id} ({clause.text}): a call raised {raised}") from error

        return proof

    return decorate


def render_specification() -> str:
    """The page ``docs/reference/component-specification.md``, as Markdown."""
    lines = [
        "# Component specification",
        "",
        "What a source, decoder, normalizer, encoder, sink, reader or schema registry MUST do to take part in a pipeline.",
        "Each clause has a number that never changes its meaning, and one test of the same number (`SRC-04` is a method",
        "`test_src_04_...`) in `prismlib.testing`. A plugin's tests inherit `SourceConformance`, `DecoderConformance`,",
        "`NormalizerConformance`, `EncoderConformance`, `SinkConformance`, `TransactionalConformance`, `LedgerConformance`,",
        "`ClaimConformance`, `ReaderConformance`, `RegistryConformance` or `WritableRegistryConformance` from there, and supply",
        "one fixture named `harness`, whose protocol is `SourceHarness` and so on. A failure names its clause.",
        "[Write a plugin](../how-to/write-a-plugin.md) shows it.",
        "",
        "This page is generated from the docstrings of `prismlib.stages`, `prismlib.plugin.hookspecs` and",
        "`prismlib.contracts.registry`:",
        "`python -m prismlib.testing.clauses > docs/reference/component-specification.md`.",
    ]
    by_heading: dict[str, list[Clause]] = {}
    for clause in clauses().values():
        capability = _CAPABILITIES.get(clause.id[:3])
        by_heading.setdefault(capability[0] if capability else clause.interface, []).append(clause)
    audiences = dict(_CAPABILITIES.values())
    for heading, listed in by_heading.items():
        who = audiences.get(heading)
        lines += ["", f"## {heading}", ""]
        lines += [f"For {who}. " if who else _summary(heading)]
        lines += ["", "| Clause | It MUST hold that |", "| --- | --- |"]
        lines += [f"| `{one.id}` | {_markdown(one.text)} |" for one in listed]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _summary(interface: str) -> str:
    document = next(inspect.getdoc(one) or "" for one in INTERFACES if one.__name__ == interface)
    return _markdown(document.split("\n", 1)[0])


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    print(render_specification(), end="")  # noqa: T201 - this is what the command is for
