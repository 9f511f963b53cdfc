"""Python source in the making: lines, names, constants, and which field each line works on.

Nothing of a schema gets into the source but numbers and ``repr`` of strings; all else is a constant, passed in by name.
Since each line knows its field, generated code spends nothing on naming it: an exception's traceback has the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeAlias

MAX_INDENTS: Final = 18
"""Where a value goes into a function of its own: CPython allows 20 loops in one another, and 100 indents."""


@dataclass(frozen=True, slots=True)
class Item:
    """A place in an array; the length of the list in the local variable ``made`` is its index."""

    made: str


Part: TypeAlias = str | Item


class Source:
    """Lines of one module, with the names it needs."""

    def __init__(self, filename: str, names: dict[str, Any]) -> None:
        """Start.

        Args:
            filename: shown in tracebacks.
            names: what the code calls.
        """
        self._filename = f"<prism_avro: {filename}>"
        self._names = dict(names)
        self._lines: list[str] = []
        self._places: dict[int, tuple[Part, ...]] = {}
        self._path: tuple[Part, ...] = ()
        self._count = 0
        self.indents = 0

    def __call__(self, *lines: str) -> None:
        """Add lines at the current indent."""
        for line in lines:
            self._lines.append("    " * self.indents + line)
            self._places[len(self._lines)] = self._path

    def reserve(self) -> int:
        """A line to be written later, with :meth:`fill`, or left empty."""
        self("pass")
        return len(self._lines) - 1

    def fill(self, reserved: int, line: str) -> None:
        """Write a reserved line."""
        self._lines[reserved] = self._lines[reserved].replace("pass", line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A compound statement; lines inside are indented."""
        self(head)
        self.indents += 1
        yield
        self.indents -= 1

    @contextmanager
    def at(self, part: Part) -> Iterator[None]:
        """Lines inside work on this field or item."""
        outer = self._path
        self._path = (*outer, part)
        yield
        self._path = outer

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """A function at the top level, whose paths start where it is called."""
        indents, path = self.indents, self._path
        self.indents, self._path = 0, ()
        with self.block(head):
            yield
        self.indents, self._path = indents, path

    def name(self, prefix: str) -> str:
        """A name that is not used yet."""
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: object) -> str:
        """The name of a constant."""
        name = self.name("K")
        self._names[name] = value
        return name

    def compile(self, name: str) -> tuple[Callable[..., Any], Locator]:
        """The function ``name`` of the finished module, and what finds fields in its tracebacks.

        Raises:
            RecursionError, MemoryError: it is too large for Python's compiler.
        """
        code = compile("\n".join(self._lines), self._filename, "exec")
        exec(code, self._names)  # noqa: S102  # made above, from numbers, reprs and names of our own
        return self._names[name], Locator(self._filename, self._places)

    @property
    def text(self) -> str:
        """What has been written so far."""
        return "\n".join(self._lines)


class Locator:
    """Finds the field that generated code worked on when it raised."""

    def __init__(self, filename: str, places: dict[int, tuple[Part, ...]]) -> None:
        self._filename = filename
        self._places = places

    def field(self, error: BaseException) -> str | None:
        """Such as ``"lines[2].sku"``; None where no single field is at fault."""
        path = ""
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._filename:
                for part in self._places.get(trace.tb_lineno, ()):
                    if isinstance(part, Item):
                        path += f"[{len(trace.tb_frame.f_locals.get(part.made, ()))}]"
                    else:
                        path += f".{part}" if path else part
            trace = trace.tb_next
        return path or None
