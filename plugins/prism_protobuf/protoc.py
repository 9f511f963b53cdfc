"""From ``.proto`` text to descriptors, with the real protoc, in processes of its own, cached by content.

protoc is C++ that was written for files that one trusts: it prints to standard error, is not safe to call from several
threads, and a crash of it must not be a crash of the worker. A process costs about 80 ms and a small file in it 0.3 ms, so
one process compiles many files (:mod:`prism_protobuf.protoc_child`), and where it dies only the file at fault is lost.

Confluent's Python client registers no text but a serialized ``FileDescriptorProto`` in base64. Some registries turn that
into text and others, such as Apicurio, keep it, so both are taken, for the schema and for what it imports.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.util
import json
import os
import queue
import re
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError as ProtobufDecodeError

from prism_protobuf import compiled
from prismlib.contracts.format import SchemaText
from prismlib.errors import ContractError, SchemaParseError

MAIN_FILE: Final = "registered_schema.proto"
"""Name of the schema itself; what it imports is called as its references say."""
MOST_TEXT: Final = 4 << 20
"""Characters of a schema and all it imports that are taken."""
SECONDS: Final = 60.0
"""That protoc has for one schema."""

_MOST_AT_ONCE: Final = 500
"""Schemas that one process compiles, and that lie in a temporary folder at a time."""
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of random name is made in it
_ENOUGH_MEMORY: Final = 256 << 20
_MOST_PROCESSES: Final = 4
_BUNDLED: Final = "google/protobuf/"
_PLACE: Final = re.compile(r"(?P<file>[^:\n]+\.proto):(?:(?P<line>\d+):(?P<column>\d+):)? (?P<what>[^\n]+)")


@dataclass(frozen=True, slots=True)
class _Failed:
    """What protoc left instead of descriptors.

    Attributes:
        code: 1 for a schema that it refuses; for an end of the process before it answered, what that ended with.
        output: what it printed.
        ended: whether the process ended.
    """

    code: int
    output: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    key: bytes
    text: str
    imported: Mapping[str, str]


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
    (one,) = compile_all([SchemaText(text, references, where)])
    if isinstance(one, SchemaParseError):
        raise one
    return one


def compile_all(schemas: Sequence[SchemaText]) -> list[bytes | SchemaParseError]:
    """Compile many schemas; the results are aligned with them and as for :func:`compile_proto`.

    Raises:
        ContractError: protoc itself cannot be run.
    """
    results: list[bytes | SchemaParseError | _Job] = []
    for schema in schemas:
        try:
            results.append(_job(schema))
        except SchemaParseError as error:
            results.append(error)
    jobs = {one.key: one for one in results if isinstance(one, _Job)}
    done: dict[bytes, bytes | _Failed] = {**compiled.load(list(jobs))}
    missing = [one for key, one in jobs.items() if key not in done]
    if missing:
        made = _run_all(missing)
        whole = {key: one for key, one in made.items() if isinstance(one, bytes)}
        if whole:
            compiled.store(whole)
        done |= made
    return [
        _result(schema.where, done[one.key]) if isinstance(one, _Job) else one
        for schema, one in zip(schemas, results, strict=True)
    ]


def _job(schema: SchemaText) -> _Job:
    text, where = schema.text, schema.where
    imported = {name: one for name, one in schema.references.items() if not name.startswith(_BUNDLED)}
    if len(text) + sum(map(len, imported.values())) > MOST_TEXT:
        raise SchemaParseError(f"{where}: the schema and what it imports have more than {MOST_TEXT} characters")
    for name in imported:
        _check_name(name, where)
    return _Job(_key(text, imported), text, imported)


def _result(where: str, done: bytes | _Failed) -> bytes | SchemaParseError:
    if isinstance(done, bytes):
        return done
    refused = _dead(where, done) if done.ended else _refused(where, done)
    if isinstance(refused, SchemaParseError):
        return refused
    raise refused


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


def _run_all(jobs: Sequence[_Job]) -> dict[bytes, bytes | _Failed]:
    """Compile with as many processes at once as there are processors and enough to do."""
    chunks: queue.SimpleQueue[Sequence[_Job]] = queue.SimpleQueue()
    for chunk in _chunks(jobs):
        chunks.put(chunk)
    done: dict[bytes, bytes | _Failed] = {}
    errors: list[Exception] = []

    def work() -> None:
        try:
            while not errors:
                done.update(_run(chunks.get_nowait()))
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001  # raised below, in the thread of the caller
            errors.append(error)

    threads = [
        threading.Thread(target=work, name="protoc")
        for _ in range(min(chunks.qsize() - 1, (os.cpu_count() or 1) - 1, _MOST_PROCESSES - 1))
    ]
    for one in threads:
        one.start()
    work()
    for one in threads:
        one.join()
    if errors:
        raise errors[0]
    return done


def _chunks(jobs: Sequence[_Job]) -> Iterator[Sequence[_Job]]:
    chunk: list[_Job] = []
    characters = 0
    for job in jobs:
        size = len(job.text) + sum(map(len, job.imported.values()))
        if chunk and (len(chunk) == _MOST_AT_ONCE or characters + size > MOST_TEXT):
            yield chunk
            chunk, characters = [], 0
        chunk.append(job)
        characters += size
    yield chunk


def _scratch() -> Path | None:
    """Where temporary folders are made: in memory if that can be, where a file costs 10 us and not up to a millisecond."""
    try:
        about = os.statvfs(_IN_MEMORY)
    except (AttributeError, OSError):  # there is none on other systems
        return None
    usable = about.f_bavail * about.f_frsize >= _ENOUGH_MEMORY and os.access(_IN_MEMORY, os.W_OK | os.X_OK)
    return _IN_MEMORY if usable else None


def _run(jobs: Sequence[_Job]) -> dict[bytes, bytes | _Failed]:
    done: dict[bytes, bytes | _Failed] = {}
    with tempfile.TemporaryDirectory(prefix="prism-protoc-", dir=_scratch()) as folder:
        root = Path(folder)
        laid: list[tuple[_Job, str]] = []
        for number, job in enumerate(jobs):
            try:
                laid.append((job, json.dumps(_lay_out(root, number, job))))
            except (OSError, UnicodeEncodeError) as error:
                done[job.key] = _Failed(1, f"{_UNUSABLE}{error}")
        while laid:
            codes, end = _child(root, [line for _, line in laid])
            for (job, line), code in zip(laid, codes, strict=False):
                done[job.key] = _outcome(Path(json.loads(line)[0]), code)
            laid = laid[len(codes) :]
            if end is not None:
                done[laid[0][0].key] = _Failed(end, "", ended=True)
                laid = laid[1:]
    return done


_UNUSABLE: Final = "cannot be handed to protoc: "


def _lay_out(root: Path, number: int, job: _Job) -> list[str]:
    """Write what protoc reads; returns the job as its process takes it."""
    folder = root / str(number)
    folder.mkdir()
    described = descriptor_pb2.FileDescriptorSet()
    for name, one in {**job.imported, MAIN_FILE: job.text}.items():
        descriptor = _descriptor(one)
        if descriptor is not None:
            descriptor.name = name  # its own need not be the one that it is imported by
            described.file.append(descriptor)
            continue
        path = folder / PurePosixPath(name)
        if "/" in name:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(one)
    arguments = [f"{root / f'{number}.printed'}", f"-I{folder}", "--include_imports"]
    if described.file:
        (root / f"{number}.described").write_bytes(described.SerializeToString())
        arguments.append(f"--descriptor_set_in={root / f'{number}.described'}")
    return [*arguments, f"--descriptor_set_out={root / f'{number}.out'}", MAIN_FILE]


def _outcome(printed: Path, code: int) -> bytes | _Failed:
    try:
        if code == 0:
            return printed.with_suffix(".out").read_bytes()
        output = printed.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return _Failed(code, f"it left no result: {error}")
    return _Failed(code, output.replace(f"{printed.with_suffix('')}{os.sep}", ""))


def _child(root: Path, lines: Sequence[str]) -> tuple[list[int], int | None]:
    """Have one process do jobs.

    Returns:
        The exit codes of the jobs that it did; and, where those are not all, what it ended with in the next one.

    Raises:
        ContractError: the process does not get as far as the first job.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("protoc_child.py"))]
    (root / "jobs").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (root / "jobs").open("rb") as jobs, (root / "errors").open("wb") as errors:
        try:
            child = subprocess.Popen(command, stdin=jobs, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise ContractError(f"protoc cannot be started: {error}") from error
    codes: list[int] = []
    with child:
        try:
            answers = _answers(child)
            if next(answers, None) != b"ready":
                child.kill()
                output = (root / "errors").read_text(encoding="utf-8", errors="replace").strip()
                raise ContractError(f"protoc failed: {output[-500:] or f'exit code {child.wait()}'}")
            codes.extend(map(int, answers))
            end = child.wait()
        except TimeoutError:
            end = _TIMED_OUT
        finally:
            child.kill()
    return codes, None if len(codes) == len(lines) else end


_TIMED_OUT: Final = -1000


def _answers(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Lines of a process; TimeoutError when it takes too long for one."""
    assert child.stdout is not None  # noqa: S101  # it was started with a pipe
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(SECONDS):
                raise TimeoutError
            data = os.read(child.stdout.fileno(), 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def _descriptor(text: str) -> descriptor_pb2.FileDescriptorProto | None:
    """The file that ``text`` is the serialized descriptor of; None for text in the Protobuf language."""
    if any(c in ";{" for c in text):  # base64 has neither, and a file that says anything has one
        return None
    try:
        found = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError, ProtobufDecodeError):
        return None
    return found if found.name else None


def _dead(where: str, done: _Failed) -> SchemaParseError:
    if done.code == _TIMED_OUT:
        return SchemaParseError(f"{where}: protoc did not finish within {SECONDS:.0f} seconds; simplify the schema")
    if done.code < 0:
        return SchemaParseError(f"{where}: protoc crashed on this schema (signal {-done.code}); simplify it")
    return SchemaParseError(f"{where}: protoc ended on this schema without a word (exit code {done.code}); simplify it")


def _refused(where: str, done: _Failed) -> ContractError:
    code, output = done.code, done.output
    if output.startswith(_UNUSABLE):
        return SchemaParseError(f"{where}: {output}")
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


def _key(text: str, imported: Mapping[str, str]) -> bytes:
    digest = hashlib.sha256()
    for part in (_identity(), text, *(p for i in sorted(imported.items()) for p in i)):
        data = part.encode(errors="surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.digest()


@lru_cache
def _identity() -> str:
    """Which protoc it is. Not asked of the metadata of distributions: importing what reads them takes 20 ms."""
    spec = importlib.util.find_spec("grpc_tools")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("_protoc_compiler*")):
            about = path.stat()
            return f"{path.name} {about.st_size} {about.st_mtime_ns}"
    raise ContractError("protoc is not installed: install prism-pipeline[protobuf]")
