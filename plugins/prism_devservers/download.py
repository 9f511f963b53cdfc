"""Fetches pinned artifacts into the cache and checks every byte of them before use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from prism_devservers.artifacts import Artifact, is_intact, locked
from prism_devservers.cache import cache_folder, exclusive
from prismlib.errors import ConfigError, UnreachableError

_CONNECTIONS: Final = 6
_ATTEMPTS: Final = 3
_TIMEOUT_SECONDS: Final = 60.0
_CHUNK: Final = 1 << 18


def fetch(*sets: str) -> dict[str, Path]:
    """Make every artifact of these sets present and intact.

    Each comes from the first that has it: the cache, ``~/.m2/repository``, the repository of :func:`repository_url`.
    A file of the cache that is damaged is fetched again. Any number of processes may call this at once.

    Returns:
        Path by file name, in the order of the lock file.

    Raises:
        ConfigError: no repository is known, or it serves a file with another SHA-256.
        UnreachableError: the repository does not answer.
    """
    jars = cache_folder() / "jars"
    jars.mkdir(exist_ok=True)
    wanted = locked(*sets)

    def missing() -> list[Artifact]:
        return [artifact for artifact in wanted if not is_intact(artifact, jars / artifact.file_name)]

    if missing():
        with exclusive(jars / ".lock"):
            absent = [artifact for artifact in missing() if not _copied_from_local_repository(artifact, jars)]
            if absent:
                _download(absent, jars)
    return {artifact.file_name: jars / artifact.file_name for artifact in wanted}


def repository_url() -> str:
    """The root of the Maven repository to fetch from.

    ``$PRISM_MAVEN_URL``, else a mirror of central in ``~/.m2/settings.xml``, else the default of the package ``jgo``.

    Raises:
        ConfigError: none of them is there, or the URL is not http or https.
    """
    url = os.environ.get("PRISM_MAVEN_URL") or _mirror(Path.home() / ".m2" / "settings.xml") or _default_repository()
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError("the Maven repository must have an http or https URL: change PRISM_MAVEN_URL")
    return url.rstrip("/")


def _mirror(settings: Path) -> str | None:
    """The URL of the first mirror of central that a Maven settings file names."""
    if not settings.is_file():
        return None
    try:
        root = ET.parse(settings).getroot()  # noqa: S314 - the user's own file, which Maven itself trusts
    except ET.ParseError as error:
        raise ConfigError(f"{settings} is not valid XML ({error}): repair it, or set PRISM_MAVEN_URL") from error
    for mirror in root.iterfind(".//{*}mirror"):
        entry = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in mirror}
        of = set(entry.get("mirrorOf", "").split(","))
        if of & {"*", "central", "external:*"} and entry.get("blocked") != "true" and entry.get("url"):
            return entry["url"]
    return None


def _default_repository() -> str:
    try:
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - of the extra [devservers]
    except ImportError as error:
        raise ConfigError(
            "no Maven repository is known: install prism-pipeline[devservers], or set PRISM_MAVEN_URL"
        ) from error
    return str(MAVEN_CENTRAL_URL)


def _copied_from_local_repository(artifact: Artifact, jars: Path) -> bool:
    local = Path.home() / ".m2" / "repository" / artifact.repository_path
    if not is_intact(artifact, local):
        return False
    with _placed(jars / artifact.file_name) as unfinished:
        shutil.copyfile(local, unfinished)
    return True


def _download(artifacts: Sequence[Artifact], jars: Path) -> None:
    url = repository_url()
    stopped = threading.Event()
    with _progress(artifacts, jars) as advance, ThreadPoolExecutor(_CONNECTIONS) as executor:

        def one(artifact: Artifact) -> None:
            try:
                _download_one(artifact, url, jars, advance, stopped)
            except BaseException:
                stopped.set()  # the first failure speaks for all: the others stop trying
                raise

        try:
            for result in [executor.submit(one, artifact) for artifact in artifacts]:
                result.result()
        except BaseException:
            stopped.set()
            executor.shutdown(cancel_futures=True)
            raise


def _download_one(
    artifact: Artifact, url: str, jars: Path, advance: Callable[[int], None], stopped: threading.Event
) -> None:
    host = urlsplit(url).hostname
    for attempt in range(1, _ATTEMPTS + 1):
        received = 0
        try:
            with _placed(jars / artifact.file_name) as unfinished, unfinished.open("wb") as file:
                digest = hashlib.sha256()
                with urlopen(f"{url}/{artifact.repository_path}", timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - http(s)
                    while chunk := answer.read(_CHUNK):
                        digest.update(chunk)
                        file.write(chunk)
                        received += len(chunk)
                        advance(len(chunk))
                if received < artifact.size:
                    raise ConnectionError(f"{received} of {artifact.size} bytes came")
                if digest.hexdigest() != artifact.sha256:
                    raise ConfigError(
                        f"{artifact.file_name} from {host} has another SHA-256 than devservers.lock pins and was"
                        " refused: name a repository with the genuine file in PRISM_MAVEN_URL"
                    )
        except (OSError, HTTPException) as error:
            advance(-received)
            if attempt == _ATTEMPTS or stopped.is_set():
                reason = error.reason if type(error) is URLError else error
                raise UnreachableError(
                    f"could not fetch {artifact.file_name} from {host} ({reason}): check the network, or name a Maven"
                    " repository that answers in PRISM_MAVEN_URL"
                ) from error
            time.sleep(attempt)
        else:
            return


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name at the end, or vanishes with an error."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    os.close(descriptor)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _progress(artifacts: Sequence[Artifact], jars: Path) -> Iterator[Callable[[int], None]]:
    """A bar on terminals and one line elsewhere; yields what to call with the number of bytes that came."""
    total = sum(artifact.size for artifact in artifacts)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.print(f"fetching {len(artifacts)} files ({total / 1e6:.0f} MB) into {jars}", markup=False)
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"fetching {len(artifacts)} files", total=total)
        yield lambda count: progress.advance(task, count)
