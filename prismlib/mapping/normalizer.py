"""The two normalizers of the core: a compiled mapping, and one Python function for whole rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from prismlib.errors import ConfigError, InvalidValueError, RecordError
from prismlib.mapping.compiler import Compiled, Note, compile_mapping
from prismlib.mapping.functions import load_function
from prismlib.mapping.model import Mapping, PythonField, Table
from prismlib.mapping.paths import field_of, field_set, parse_path
from prismlib.mapping.reads import Use
from prismlib.mapping.times import NoOffsetError
from prismlib.mapping.values import TEXTUAL, plain
from prismlib.records import Normalized, RecordBatch, Row


class MappingNormalizer:
    """Makes events as a mapping file says.

    Attributes:
        reads: the fields that it reads.
        uses: the same by key of the file, for errors.
        fingerprint: of the mapping.
        source: of the compiled function.
    """

    def __init__(self, mapping: Mapping, base: Path) -> None:
        """Import the mapping's functions and compile it; ``base`` is the folder that modules are looked for in first.

        Raises:
            ConfigError: a function cannot be loaded.
        """
        self.reads = mapping.reads
        self.uses = mapping.uses
        self.fingerprint = mapping.fingerprint
        self._has_id = mapping.has_id
        self._compiled = compile_mapping(mapping, dict(_functions(mapping.event, mapping.file, base)))
        self.source = self._compiled.source

    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:  # noqa: ARG002  # the interface's
        """Normalize rows; a row that does not fit is an InvalidValueError that names the field of the event.

        Its ``code`` is missing, cast, parse, map, template, function, or type for a path through something else.
        """
        bodies: list[dict[str, Any] | None] = []
        ids: list[str | None] = []
        errors: dict[int, RecordError] = {}
        remaining = iter(rows)
        while len(bodies) < len(rows):
            try:
                self._compiled.run(remaining, bodies, ids)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # a user's function may raise anything; the record keeps it
                # The iterator is behind the culprit already, so the next call goes on with its neighbour.
                errors[len(bodies)] = _explain(self._compiled, error)
                bodies.append(None)
                ids.append(None)
        return Normalized(bodies, ids if self._has_id else None, errors)


class PythonNormalizer:
    """Makes events with one function: it takes a row as a dict and returns the event as a dict, or None to leave it out.

    ``PythonNormalizer(order_event, reads=["id", "customer.name"])``. An event with the key ``id`` has that as its business
    id. An exception that the function raises makes a dead letter of its record alone.

    Attributes:
        reads: the fields that it reads.
        uses: the same, for errors.
    """

    def __init__(
        self,
        function: Callable[[dict[str, Any]], dict[str, Any] | None],
        reads: Iterable[str],
        *,
        name: str | None = None,
        where: str = "",
    ) -> None:
        """Nothing is called yet.

        Args:
            function: makes the event of a row; each row is a copy that it may change.
            reads: dotted paths of the fields it reads; ``["*"]`` for all.
            name: of the function in errors; its module and name when left out.
            where: what to name in errors about ``reads``; the function when left out.

        Raises:
            ConfigError: the function cannot be called, or ``reads`` are no paths.
        """
        self._name = name or _name_of(function)
        where = where or self._name
        if not callable(function):
            raise ConfigError(f"{where}: {function!r} is a {type(function).__name__} and cannot be called")
        fields = _fields(reads, where)
        self.reads = field_set(fields)
        self.uses = tuple(Use(f"{where}.reads", field) for field in fields)
        self._function: Callable[[dict[str, Any]], Any] = function

    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:  # noqa: ARG002  # the interface's
        """Call the function with a copy of each row; an event with the key ``id`` has that as its business id."""
        bodies: list[dict[str, Any] | None] = []
        ids: list[str | None] = []
        errors: dict[int, RecordError] = {}
        remaining = iter(rows)
        while len(bodies) < len(rows):
            try:
                self._run(remaining, bodies, ids)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # a user's function may raise anything; the record keeps it
                errors[len(bodies)] = self._explain(error)
                bodies.append(None)
                ids.append(None)
        return Normalized(bodies, ids if any(one is not None for one in ids) else None, errors)

    def _run(self, rows: Iterable[Row | None], bodies: list[dict[str, Any] | None], ids: list[str | None]) -> None:
        for row in rows:
            event = None if row is None else self._function(plain(row))
            if event is None:
                ids.append(None)
            elif event.__class__ is dict:
                event_id = event.get("id")
                if event_id.__class__ is str and event_id:
                    event_id.encode()
                elif "id" in event:
                    reason = f"{self._name} returned an event whose id is not text, or empty"
                    raise InvalidValueError(reason, code="missing", field="id")
                ids.append(event_id)
            else:
                reason = (
                    f"{self._name} returned {type(event).__name__}; it must return a dict, or None to leave the row out"
                )
                raise InvalidValueError(reason, code="function")
            bodies.append(event)

    def _explain(self, error: Exception) -> RecordError:
        if isinstance(error, RecordError):
            return error
        problem = InvalidValueError(f"{self._name} raised {type(error).__name__}", code="function")
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code in _OWN:
            trace = trace.tb_next
        problem.__cause__ = error.with_traceback(trace)
        return problem


_OWN = frozenset({PythonNormalizer.normalize.__code__, PythonNormalizer._run.__code__})  # noqa: SLF001  # this module's own


def _name_of(function: object) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}:{name}" if module and name else type(function).__name__


def _fields(reads: Iterable[str], where: str) -> list[str]:
    if isinstance(reads, str):
        raise ConfigError(f"{where}: reads is the text {reads!r}; write a list, as in reads=[{reads!r}]")
    try:
        fields = [text if text == "*" else field_of(parse_path(text)) for text in reads]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: reads: {error}") from error
    if not fields:
        raise ConfigError(f'{where}: reads is empty; name the fields that the function reads, or ["*"] for all')
    return fields


def _functions(table: Table, file: str, base: Path) -> Iterable[tuple[str, Callable[..., Any]]]:
    for _, node in table.fields:
        if isinstance(node, Table):
            yield from _functions(node, file, base)
        elif isinstance(node.spec, PythonField):
            where = f"{file}: event.{node.key}.python"
            yield node.spec.python, load_function(node.spec.python, base, where)
        elif node.item is not None:
            yield from _functions(node.item, file, base)


def _explain(compiled: Compiled, error: Exception) -> RecordError:
    """The record's error, from the line of the compiled source that raised."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not compiled.code:
        trace = trace.tb_next
    note = compiled.notes.get(trace.tb_lineno) if trace is not None else None
    if trace is None or note is None:
        raise error  # of the compiler itself, then; no record is to blame
    field = note.key
    for variable in note.lists:
        field = field.replace("[]", f"[{len(trace.tb_frame.f_locals[variable])}]", 1)
    problem: RecordError
    if isinstance(error, RecordError):
        problem = InvalidValueError(error.reason, code=error.code, field=error.field or field)
    else:
        problem = InvalidValueError(f"{field}: {_reason(note, trace.tb_frame, error)}", code=note.code, field=field)
    # Without our own frame, which would keep the batch in memory as long as the error.
    problem.__cause__ = error.with_traceback(trace.tb_next)
    return problem


def _reason(note: Note, frame: FrameType, error: Exception) -> str:
    if note.code == "function":
        return f"{note.reason} {type(error).__name__}"
    if isinstance(error, NoOffsetError):
        return f"{note.reason}, because it has no offset from UTC; add time_zone to the mapping"
    for variable, text, form in note.parts:
        value = frame.f_locals[variable]
        if value is None:
            return f"the template needs {text!r}, which is missing or null"
        if form.endswith("d") and not isinstance(value, int):
            return f"the template needs a whole number in {text!r}, and it is of the type {type(value).__name__}"
        if note.code == "template" and not _fills(value, form):
            return f"the template cannot write {text!r}, which is of the type {type(value).__name__}"
    return note.reason


def _fills(value: object, form: str) -> bool:
    try:
        format(value, form)
    except (TypeError, ValueError):
        return False
    return type(value) in TEXTUAL
