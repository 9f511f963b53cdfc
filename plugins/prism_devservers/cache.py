"""The folder of downloads and of what is built from them once."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """``$PRISM_CACHE``, else ``prism`` in ``$XDG_CACHE_HOME``, else ``~/.cache/prism``; made when missing."""
    if named := os.environ.get("PRISM_CACHE"):
        folder = Path(named).expanduser().absolute()
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prism"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a lock that ends with this process; other processes and threads wait for it."""
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_once(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, filled once.

    It appears whole or not at all, whatever runs or dies beside it.

    Args:
        name: one path segment that changes when the content would.
        fill: fills an empty folder.
    """
    root = cache_folder()
    folder = root / name
    if folder.is_dir():
        return folder
    with exclusive(root / f"{name}.lock"):
        if not folder.is_dir():
            unfinished = Path(tempfile.mkdtemp(dir=root))
            try:
                fill(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder
