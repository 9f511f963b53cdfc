"""The files that routes were made of, as they were just before they were read."""

from __future__ import annotations

import sys
from pathlib import Path

from prismlib.config.model import file_digest


class Inputs:
    """What one build read.

    A file that changes between the note and the reading looks changed at the next look, and is read once more: that costs a
    build, while the other order would miss the change.

    Attributes:
        files: content by path, as a digest; None for a file that was not there.
        modules: names of the Python modules that functions come from.
    """

    def __init__(self) -> None:
        self.files: dict[Path, bytes | None] = {}
        self.modules: set[str] = set()

    def note_file(self, path: Path) -> None:
        """A file is about to be read."""
        self.files[path] = file_digest(path)

    def note_module(self, name: str) -> None:
        """A module is about to be imported."""
        self.modules.add(name)

    def code(self) -> dict[Path, bytes | None]:
        """The source files of those modules that are imported now."""
        found = [getattr(sys.modules.get(name), "__file__", None) for name in self.modules]
        return {path: file_digest(path) for path in map(Path, filter(None, found))}

    def missing_code(self, base: Path) -> dict[Path, bytes | None]:
        """Where those modules would be that could not be imported: what is written there may mend the next build."""
        absent = [base.joinpath(*name.split(".")) for name in self.modules if name not in sys.modules]
        places = [place for path in absent for place in (path.with_suffix(".py"), path / "__init__.py")]
        return {path: file_digest(path) for path in places}
