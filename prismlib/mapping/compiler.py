"""Compiles a mapping to the source of one Python function, which makes events of rows.

The function goes through a batch in one loop, without a call or a ``try`` per record of ours. It does not say which field
failed: a table beside it does, by line of the source, so that naming the culprit costs nothing until there is one.

Nothing that a user wrote becomes code: names are numbered, texts are literals made by ``repr``, other values stand in a
table of constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as MappingLike
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any

from prismlib.mapping.model import (
    ConstField,
    EachField,
    FromField,
    Leaf,
    Mapping,
    PythonField,
    Scalar,
    Table,
    TemplateField,
)
from prismlib.mapping.paths import Path, parse_path
from prismlib.mapping.sharing import shared_keys
from prismlib.mapping.templates import Placeholder, parse_template
from prismlib.mapping.times import time_parser
from prismlib.mapping.values import ATOMS, CASTS, TEXTUAL, item_at, plain, to_list, to_str
from prismlib.records import Row

Run = Callable[[Iterator[Row | None], list[dict[str, Any] | None], list[str | None]], None]


@dataclass(frozen=True, slots=True)
class Note:
    """What one line of the compiled source is about, should it raise.

    Attributes:
        key: the field of the event, with ``[]`` for each list that it lies in.
        code: of the error.
        reason: the sentence for people.
        lists: variables of those lists, outermost first; their lengths are the indexes of what failed.
        parts: for a template, variable, path and format of each placeholder.
    """

    key: str
    code: str
    reason: str
    lists: tuple[str, ...] = ()
    parts: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled mapping.

    Attributes:
        run: appends an event, and an id where the mapping has one, for each row; None for a row that is None. It raises
            at a row that cannot be normalized, which is then taken from the iterator and has no event.
        code: of ``run``.
        source: for curious people.
        notes: by line of ``source``, from 1.
    """

    run: Run
    code: CodeType
    source: str
    notes: MappingLike[int, Note]


def compile_mapping(mapping: Mapping, functions: MappingLike[str, Callable[..., Any]]) -> Compiled:
    """Compile a mapping; ``functions`` are its Python functions, by their names in the file."""
    return _Compiler(functions, has_id=mapping.has_id).compile(mapping)


@dataclass(slots=True)
class _Scope:
    """Where paths begin: the row, or the element of a list.

    Attributes:
        root: variable of the row or element.
        nullable: whether that can be None.
        indent: of its lines, in spaces.
        lists: as in :class:`Note`.
        known: variables of the paths that were read already.
    """

    root: str
    nullable: bool
    indent: int
    lists: tuple[str, ...] = ()
    known: dict[Path, str] = field(default_factory=dict)


class _Compiler:
    def __init__(self, functions: MappingLike[str, Callable[..., Any]], *, has_id: bool) -> None:
        self._functions = functions
        self._has_id = has_id
        self._shared: frozenset[str] = frozenset()
        self._lines: list[str] = []
        self._notes: dict[int, Note] = {}
        self._count = 0
        self._names: dict[str, Any] = {
            "ATOMS": ATOMS,
            "INFINITE": float("inf"),
            "TEXTUAL": TEXTUAL,
            "item_at": item_at,
            "plain": plain,
            "refuse": _refuse,
            "to_list": to_list,
            "to_str": to_str,
            **{f"to_{name}": cast for name, cast in CASTS.items()},
        }

    def compile(self, mapping: Mapping) -> Compiled:
        for line in (
            "def run(rows, bodies, ids):",
            " add = bodies.append",
            " add_id = ids.append",
            " for row in rows:",
        ):
            self._lines.append(line)
        self._shared = shared_keys(mapping.event)
        scope = _Scope("row", nullable=False, indent=2)
        for line in ("if row is None:", " add_id(None)", " add(None)", " continue"):
            self._lines.append("  " + line)
        event = self._table(scope, mapping.event)
        if self._has_id:
            self._lines.append("  add_id(event_id)")
        self._lines.append(f"  add({event})")
        source = "\n".join(self._lines) + "\n"
        exec(compile(source, f"<mapping {mapping.file}>", "exec"), self._names)  # noqa: S102  # see the module's docstring
        run = self._names["run"]
        return Compiled(run, run.__code__, source, self._notes)

    # --- lines and names

    def _line(self, scope: _Scope, text: str, note: Note | None = None) -> None:
        self._lines.append(" " * scope.indent + text)
        if note is not None:
            self._notes[len(self._lines)] = replace(note, lists=scope.lists)

    def _new(self, prefix: str = "v") -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _constant(self, value: Any) -> str:
        name = self._new("K")
        self._names[name] = value
        return name

    def _literal(self, value: Scalar) -> str:
        return repr(value) if isinstance(value, str) else self._constant(value)

    # --- reading

    def _read(self, scope: _Scope, path: Path, note: Note) -> str:
        """The variable of a path without lists, after the lines that read it."""
        if not path:
            return scope.root
        if path in scope.known:
            return scope.known[path]
        parent = self._read(scope, path[:-1], note)
        step = path[-1]
        reading = f"{parent}.get({str(step)!r})" if isinstance(step, str) else f"item_at({parent}, {step!r})"
        if len(path) > 1 or scope.nullable:
            reading = f"None if {parent} is None else {reading}"
        variable = scope.known[path] = self._new()
        self._line(scope, f"{variable} = {reading}", note)
        return variable

    def _read_any(
        self, scope: _Scope, text: str, note: Note, element: Callable[[_Scope, str], str], inside: str = ""
    ) -> str:
        """The variable of any path, each value put through ``element``; a list for a path with ``[]``.

        ``inside`` is added to the key of what fails inside that list.
        """
        path = parse_path(text)
        if None not in path:
            return element(scope, self._read(scope, path, note))
        at = path.index(None)
        values = self._read(scope, path[:at], note)

        def one(inner: _Scope) -> str:
            return element(inner, self._read(inner, path[at + 1 :], replace(note, key=note.key + inside)))

        return self._loop(scope, values, note, one)

    def _loop(self, scope: _Scope, values: str, note: Note, element: Callable[[_Scope], str]) -> str:
        """The variable of a list with ``element`` of each element of ``values``; None for None."""
        result, item = self._new(), self._new()
        self._line(scope, f"{result} = None")
        self._line(scope, f"if {values} is not None:")
        inner = replace(scope, indent=scope.indent + 1)
        # The elements stand in a list before the result is named, so that its length is an index only inside the loop.
        self._line(inner, f"{item}s = {values} if {values}.__class__ is list else to_list({values})", note)
        self._line(inner, f"{result} = []")
        self._line(inner, f"for {item} in {item}s:")
        body = _Scope(item, nullable=True, indent=inner.indent + 1, lists=(*scope.lists, result))
        self._line(body, f"{result}.append({element(body)})")
        return result

    # --- making

    def _table(self, scope: _Scope, table: Table) -> str:
        """The display of an object, after the lines that make its values."""
        made = []
        for name, node in table.fields:
            value = self._table(scope, node) if isinstance(node, Table) else self._leaf(scope, node)
            made.append(f"{name!r}: {value}")
        return "{" + ", ".join(made) + "}"

    def _leaf(self, scope: _Scope, leaf: Leaf) -> str:
        spec = leaf.spec
        default: Scalar | None = None
        missing = Note(leaf.key, "missing", "it has no value")
        if isinstance(spec, ConstField):
            if not isinstance(spec.const, tuple):
                value = self._literal(spec.const)
            else:
                value = "[" + ", ".join(map(self._literal, spec.const)) + "]"
        elif isinstance(spec, FromField):
            missing = replace(missing, reason=f"{spec.source!r} is missing or null")
            shape = _shape(leaf.key, [spec.source])
            key = f"{leaf.key}[]" if None in parse_path(spec.source) else leaf.key
            copied = leaf.key in self._shared
            value = self._read_any(
                scope,
                spec.source,
                shape,
                lambda inner, variable: self._convert(inner, key, spec, variable, copied),
                "[]",
            )
        elif isinstance(spec, TemplateField):
            default = spec.default
            value, missing = self._template(scope, leaf.key, spec.template)
        elif isinstance(spec, PythonField):
            default = spec.default
            missing = replace(missing, reason=f"{spec.python} returned None")
            value = self._call(scope, leaf.key, spec)
        else:
            missing = replace(missing, reason=f"{spec.each!r} is missing or null")
            value = self._each(scope, leaf, spec)
        if default is not None:
            self._line(scope, f"if {value} is None: {value} = {self._literal(default)}")
        if leaf.required and not isinstance(spec, ConstField):
            self._line(scope, f"if {value} is None: refuse()", missing)
        return self._id(scope, value) if leaf.key == "id" else value

    def _id(self, scope: _Scope, value: str) -> str:
        """An id is text, not empty, and can be written as UTF-8: it becomes a record key."""
        note = Note("id", "cast", "it is neither text nor a number")
        self._line(scope, f"event_id = {value} if {value}.__class__ is str else to_str({value})", note)
        self._line(scope, "if not event_id: refuse()", Note("id", "missing", "it is empty"))
        self._line(
            scope,
            "if not event_id.isascii(): event_id.encode()",
            Note("id", "cast", "it holds half a surrogate pair, which UTF-8 cannot write"),
        )
        return "event_id"

    def _convert(self, scope: _Scope, key: str, spec: FromField, source: str, copied: bool) -> str:  # noqa: FBT001  # private
        """The variable of one converted value."""
        made = self._new()
        none = ""
        if isinstance(spec.null_if, tuple):
            none = f"None if {source} in {self._constant(spec.null_if)} else "
        elif spec.null_if is not None:
            none = f"None if {source} == {self._literal(spec.null_if)} else "
        if spec.parse is not None:
            self._line(scope, f"{made} = {none}{self._time(spec, source)}", _parse_note(key, spec))
        elif spec.cast is not None:
            note = Note(key, "cast", f"{spec.source!r} cannot be cast to {spec.cast}")
            self._line(scope, f"{made} = {none}{_CAST_LINES[spec.cast].format(v=source)}", note)
        elif none or copied:
            value = _plain(source) if copied else source
            self._line(scope, f"{made} = {none}{value}", _shape(key, [spec.source]))
        else:
            made = source
        if spec.map is not None:
            made = self._map(scope, key, spec, spec.map, made)
        if spec.default is not None:
            default = self._literal(spec.default)
            if made == source:  # which others may read
                made = self._new()
                self._line(scope, f"{made} = {default} if {source} is None else {source}")
            else:
                self._line(scope, f"if {made} is None: {made} = {default}")
        return made

    def _time(self, spec: FromField, source: str) -> str:
        parse, memory = time_parser(spec.parse or "", spec.time_zone)
        parser = self._constant(parse)
        if memory is None:
            return f"None if {source} is None else {parser}({source})"
        remembered = self._constant(memory.get)
        return f"None if {source} is None else {remembered}({source}) or {parser}({source})"

    def _map(self, scope: _Scope, key: str, spec: FromField, table: dict[str, Scalar], source: str) -> str:
        made = self._new()
        names = self._constant(dict(table))
        note = Note(key, "map", f"{spec.source!r} is none of the texts in map; add it, or otherwise")
        found = f"{names}[{source}]"
        if spec.otherwise is not None:
            note = replace(note, reason=f"{spec.source!r} is neither text nor another single value")
            found = f"{names}.get({source}, {self._literal(spec.otherwise)})"
        self._line(scope, f"{made} = None if {source} is None else {found}", note)
        return made

    def _template(self, scope: _Scope, key: str, template: str) -> tuple[str, Note]:
        parts: list[tuple[str, str, str]] = []
        text = ""
        for part in parse_template(template):
            if isinstance(part, Placeholder):
                variable = self._read(scope, part.path, _shape(key, [part.text]))
                parts.append((variable, part.text, part.format))
                text += "{" + variable + (f":{part.format}" if part.format else "") + "}"
            else:
                text += part.replace("{", "{{").replace("}", "}}")
        made = self._new()
        variables = list(dict.fromkeys(variable for variable, _, _ in parts))
        ready = " and ".join(f"{v}.__class__ in TEXTUAL" for v in variables)
        absent = " or ".join(f"{v} is None" for v in variables)
        # repr makes one literal of it, and an f-string's braces hold names that were numbered above.
        note = Note(key, "template", "the template cannot be filled", parts=tuple(parts))
        self._line(scope, f"{made} = f{text!r} if {ready} else None if {absent} else refuse()", note)
        return made, replace(note, code="missing")

    def _call(self, scope: _Scope, key: str, spec: PythonField) -> str:
        arguments = []
        for text in spec.reads:
            value = self._read_any(scope, text, _shape(key, [text]), lambda _, variable: _plain(variable))
            arguments.append(f"({value})")
        made = self._new()
        function = self._constant(self._functions[spec.python])
        self._line(
            scope, f"{made} = {function}({', '.join(arguments)})", Note(key, "function", f"{spec.python} raised")
        )
        return made

    def _each(self, scope: _Scope, leaf: Leaf, spec: EachField) -> str:
        shape = _shape(leaf.key, [spec.each])
        item = leaf.item or Table(())

        def element(inner: _Scope) -> str:
            self._line(inner, f"if {inner.root} is None:")
            self._line(inner, f" {inner.lists[-1]}.append(None)")
            self._line(inner, " continue")
            inner.nullable = False
            return self._table(inner, item)

        return self._loop(scope, self._read(scope, parse_path(spec.each), shape), shape, element)


_CAST_LINES = {
    "int": "int({v}) if {v}.__class__ is str else {v} if {v}.__class__ is int else None if {v} is None else to_int({v})",
    "float": "{v} if {v}.__class__ is float and -INFINITE < {v} < INFINITE else None if {v} is None else to_float({v})",
    "str": "{v} if {v}.__class__ is str else None if {v} is None else to_str({v})",
    "bool": "{v} if {v}.__class__ is bool else None if {v} is None else to_bool({v})",
}


def _plain(variable: str) -> str:
    return f"{variable} if {variable}.__class__ in ATOMS else plain({variable})"


def _shape(key: str, texts: Iterable[str]) -> Note:
    return Note(key, "type", f"{', '.join(map(repr, texts))} goes through a value of another type")


def _parse_note(key: str, spec: FromField) -> Note:
    return Note(key, "parse", f"{spec.source!r} is no time in the notation {spec.parse!r}")


def _refuse() -> None:
    raise ValueError
