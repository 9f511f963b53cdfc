"""The registry, ready to be mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prismlib.serve.application import Part
from prismlib.serve.registry.judge import Judges
from prismlib.serve.registry.routes import routes
from prismlib.serve.registry.store import Store
from prismlib.serve.registry.subjects import Subjects

FILE: Final = "registry.db"
JUDGEMENT_SECONDS: Final = 10.0
"""That comparing one schema may take; Confluent's Java client waits 60 s for an answer."""


def registry_part(storage: Path, seconds: float = JUDGEMENT_SECONDS) -> Part:
    """The registry whose file is in a folder.

    Args:
        storage: ``[storage] path``; made where it is missing.
        seconds: that comparing one schema may take.

    Raises:
        ConfigError: the file cannot be used.
    """
    store = Store(storage / FILE)
    judges = Judges(seconds)

    def close() -> None:
        judges.close()
        store.close()

    return Part("registry", routes(store, Subjects(store, judges)), close)
