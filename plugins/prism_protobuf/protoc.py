"""From ``.proto`` text to descriptors, with the real protoc, in a process of its own, cached by content.

protoc is C++ that was written for files that one trusts: it prints to standard error, is not safe to call from several
threads, and a crash of it must not be a crash of the worker. A process costs about 80 ms, once per schema and machine.

Confluent's Python client registers no text but a serialized ``FileDescriptorProto`` in base64. Some registries turn that
into text and others, such as Apicurio, keep it, so both are taken, for the schema and for what it imports.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.metadata
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError as ProtobufDecodeError

from prismlib.errors import ContractError, SchemaParseError

MAIN_FILE: Final = "registered_schema.proto"
"""Name of the schema itself; what it imports is called as its references say."""
MOST_TEXT: Final = 4 << 20
"""Characters of a schema and all it imports that are taken."""
SECONDS: Final = 60.0

_BUNDLED: Final = "google/protobuf/"
_PLACE: Final = re.compile(r"(?P<file>[^:\n]+\.proto):(?:(?P<line>\d+):(?P<column>\d+):)? (?P<what>[^\n]+)")
_log = logging.getLogger(__name__)


def compile_proto(text: str, references: Mapping[str, str], where: str) -> bytes:
    """Compile a schema.

    Args:
        text: of the ``.proto`` file, or its descriptor in base64.
        references: all files that it imports, directly or not, by import path. Protobuf's own files need not be there.
        where: what to call the schema in errors.

    Returns:
        A serialized ``FileDescriptorSet``: the imported files before those that import them, the schema last.

    Raises:
        SchemaParseError: protoc refuses the text; names line and column.
        ContractError: protoc itself cannot be run.
    """
    imported = {name: one for name, one in references.items() if not name.startswith(_BUNDLED)}
    if len(text) + sum(map(len, imported.values())) > MOST_TEXT:
        raise SchemaParseError(f"{where}: the schema and what it imports have more than {MOST_TEXT} characters")
    for name in imported:
        _check_name(name, where)
    path = _cache_file(text, imported)
    cached = _load(path)
    if cached is None:
        cached = _run(text, imported, where)
        _store(path, cached)
    return cached


def _check_name(name: str, where: str) -> None:
    parts = name.split("/")
    if (
        any(part in ("", ".", "..") for part in parts)
        or any(c in '\\:*?"<>|' or not c.isprintable() for c in name)
        or name == MAIN_FILE
    ):
        raise SchemaParseError(
            f"{where}: the reference {name!r} is no import path; write it as in the import, such as 'common/geo.proto'"
        )


def _run(text: str, imported: Mapping[str, str], where: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="prism-protoc-") as folder:
        root = Path(folder)
        described = descriptor_pb2.FileDescriptorSet()
        try:
            for name, one in {**imported, MAIN_FILE: text}.items():
                descriptor = _descriptor(one)
                if descriptor is not None:
                    descriptor.name = name  # its own need not be the one that it is imported by
                    described.file.append(descriptor)
                    continue
                path = root / "in" / PurePosixPath(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(one, encoding="utf-8", newline="")
            (root / "described").write_bytes(described.SerializeToString())
        except (OSError, UnicodeEncodeError) as error:
            raise SchemaParseError(f"{where}: cannot be handed to protoc: {error}") from error
        out = root / "out"
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", f"-I{root / 'in'}"]
        command += [f"--descriptor_set_in={root / 'described'}"] if described.file else []
        command += ["--include_imports", f"--descriptor_set_out={out}", MAIN_FILE]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise SchemaParseError(f"{where}: protoc did not finish within {SECONDS:.0f} seconds") from error
        except OSError as error:
            raise ContractError(f"{where}: protoc cannot be started: {error}") from error
        if done.returncode != 0:
            output = done.stderr.decode(errors="replace").replace(f"{root / 'in'}{os.sep}", "")
            raise _refused(where, done.returncode, output)
        try:
            return out.read_bytes()
        except OSError as error:
            raise ContractError(f"{where}: protoc left no result: {error}") from error


def _descriptor(text: str) -> descriptor_pb2.FileDescriptorProto | None:
    """The file that ``text`` is the serialized descriptor of; None for text in the Protobuf language."""
    if any(c in ";{" for c in text):  # base64 has neither, and a file that says anything has one
        return None
    try:
        found = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError, ProtobufDecodeError):
        return None
    return found if found.name else None


def _refused(where: str, code: int, output: str) -> ContractError:
    if code < 0:
        return SchemaParseError(f"{where}: protoc crashed on this schema (signal {-code}); simplify it")
    places = [match for match in _PLACE.finditer(output) if not match["what"].startswith("warning")]
    # protoc reports what follows from a missing import too, and that first.
    first = next((match for match in places if not match["line"]), places[0] if places else None)
    if first is None:
        return ContractError(f"{where}: protoc failed: {output.strip()[-500:] or f'exit code {code}'}")
    file = "" if first["file"] == MAIN_FILE else f"{first['file']}: "
    line = f"line {first['line']}, column {first['column']}: " if first["line"] else ""
    hint = ""
    if "File not found" in first["what"]:
        hint = "; list what the schema imports as references, under the names that it imports"
    return SchemaParseError(f"{where}: {file}{line}{first['what'].rstrip('.')}{hint}")


def _cache_file(text: str, imported: Mapping[str, str]) -> Path:
    if named := os.environ.get("PRISM_CACHE"):
        folder = Path(named)
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prism"
    digest = hashlib.sha256()
    for part in (importlib.metadata.version("grpcio-tools"), text, *(p for i in sorted(imported.items()) for p in i)):
        data = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return folder / "protobuf" / f"{digest.hexdigest()}.binpb"


def _load(path: Path) -> bytes | None:
    """What was stored, unless it is not whole any more."""
    try:
        data = path.read_bytes()
    except OSError:  # not there, most of the time; whatever it is, protoc can do it again
        return None
    checksum, descriptors = data[:32], data[32:]
    if hashlib.sha256(descriptors).digest() != checksum:
        _log.warning("cached descriptors are damaged and made again", extra={"file": str(path)})
        return None
    return descriptors


def _store(path: Path, descriptors: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(descriptors).digest() + descriptors)
        Path(file.name).replace(path)
    except OSError as error:
        _log.info("descriptors cannot be cached", extra={"file": str(path), "reason": str(error)})
