"""A folder as it was at a git revision, and when its files came: git is the one registry that every repository has."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prismlib.errors import ConfigError, ContractError

_SECONDS = 60.0


@contextmanager
def folder_at(revision: str, folder: Path) -> Iterator[Path]:
    """The folder's files at a revision, in a temporary folder that is removed afterwards.

    Args:
        revision: anything that git resolves to a commit, such as ``origin/main``.
        folder: in a git work tree; need not be there at the revision, which is then an empty folder.

    Raises:
        ConfigError: there is no such revision or no work tree.
        ContractError: git cannot be run.
    """
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    commit = _commit(folder, revision)
    inside = os.path.relpath(folder.resolve(), top.resolve())
    with tempfile.TemporaryDirectory(prefix="prism-revision-") as temporary:
        root = Path(temporary)
        target = root / inside
        target.mkdir(parents=True, exist_ok=True)
        if _git(top, "ls-tree", commit, "--", inside) or inside == ".":
            archive = _git(top, "archive", "--format=tar", commit, "--", inside)
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(root, filter="data")
        yield target


def added_ms(path: Path) -> int | None:
    """When a file was first committed, in ms since the epoch; None where that is not known."""
    try:
        text = _git(path.parent, "log", "--diff-filter=A", "--format=%ct", "--", path.name).decode()
    except (ConfigError, ContractError):
        return None
    times = text.split()
    return int(times[-1]) * 1000 if times else None


def is_shallow(folder: Path) -> bool:
    """Whether the clone has a part of the history only, as CI services make it."""
    return _git(folder, "rev-parse", "--is-shallow-repository").strip() == b"true"


def _commit(folder: Path, revision: str) -> str:
    if revision.startswith("-"):
        raise ConfigError(f"--against git:{revision}: a revision does not begin with a dash")
    try:
        return _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    except ConfigError as error:
        raise ConfigError(
            f"--against git:{revision}: git knows no such revision here; in CI, fetch it first, for instance with"
            " `git fetch --depth=1 origin main`, and name git:FETCH_HEAD"
        ) from error


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=_SECONDS
        )
    except FileNotFoundError as error:
        raise ContractError("git is not installed, and --against git:... asks it") from error
    except subprocess.TimeoutExpired as error:
        raise ContractError(f"git {arguments[0]} did not answer within {_SECONDS:.0f} s") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"git {arguments[0]} failed in {folder}: {reason[-1] if reason else done.returncode}")
    return done.stdout
