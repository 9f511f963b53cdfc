"""A durable log with consumer groups, and a document store, in one SQLite file: for trying Prism out, and for tests.

| module | what it is about |
| --- | --- |
| `schema`, `database` | the tables; connection, transactions, and what an error of SQLite means |
| `topics` | the log's tables: create, append, read, trim |
| `group`, `heartbeat` | who owns which partition; how a member shows that it lives |
| `source`, `topic_sink`, `dead_letters` | the stages on the log |
| `indices`, `bodies`, `index_sink` | aliases and versioned documents; bodies to what is stored; the stage that writes them |
| `ledger` | progress, beside the data of either sink |
| `log`, `documents` | `EmbeddedLog` and `EmbeddedDocuments`, for programs |
| `administration`, `reader` | setup and preflight; streams for looking at |
| `config`, `plugin` | the tables in the pipeline file; the entry point |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prism_embedded.documents import Day, EmbeddedDocuments
    from prism_embedded.log import EmbeddedLog

__all__ = ["Day", "EmbeddedDocuments", "EmbeddedLog"]

# Every command of `prism` imports this package to find its plugin, and few need SQLite: it is imported late.
_MODULES: Final = {"Day": "documents", "EmbeddedDocuments": "documents", "EmbeddedLog": "log"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
