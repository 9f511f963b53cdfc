"""The folder registry passes the suite that every registry passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.testing.registry_conformance import RegistryConformance, Release


class DirectoryHarness:
    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir()

    def make_registry(self) -> DirectoryRegistry:
        return DirectoryRegistry(self._root)

    def subject(self, name: str) -> str:
        return f"{name}-value"

    def release(self, release: Release) -> None:
        folder = self._root / release.subject
        folder.mkdir(exist_ok=True)
        about = folder / "subject.toml"
        if not about.exists():
            about.write_text('format = "avro"\ncompatibility = "NONE"\nowner = "o"\ncontact = "o@example.org"\n')
        version = len(list(folder.glob("v*.avsc"))) + 1
        with about.open("a") as file:
            for one in release.references:
                target = f'{{ subject = "{one.subject}", version = {one.version} }}'
                file.write(f"[references.v{version}]\n{one.name} = {target}\n")
        (folder / f"v{version}.avsc").write_text(release.text)

    @contextmanager
    def away(self) -> Iterator[None]:
        elsewhere = self._root.with_name("elsewhere")
        self._root.rename(elsewhere)
        yield
        elsewhere.rename(self._root)


class TestDirectoryRegistry(RegistryConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> DirectoryHarness:
        return DirectoryHarness(tmp_path / "schemas")
