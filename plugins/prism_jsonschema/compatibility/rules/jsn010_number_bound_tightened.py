"""A number can be written that is beyond what the reader takes.

Why: `minimum`, `maximum`, `exclusiveMinimum` or `exclusiveMaximum` of the reader refuses the record.

Example: written `{"type": "integer", "maximum": 100}`, read `{"type": "integer", "maximum": 99}`.

Instead: Bounds of a reader can only be widened. Tighten them in the writer, and in readers when the last such record is
gone.

Confluent: agrees (MAXIMUM_DECREASED, MINIMUM_INCREASED and the like), and goes further: a lowered `exclusiveMaximum`
without `maximum` makes Confluent fail instead of answer.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import bound_text
from prismlib.contracts.rules import Rule

RULE = Rule("JSN010", "number-bound-tightened", "leave the reader's bounds as wide as the writer's")


def check(pair: Values) -> str | None:
    """Either bound, exclusive or not."""
    if not pair.writer.types & {"integer", "fraction"}:
        return None
    for upper, bound in enumerate(pair.reader.bounds):
        if bound is not None and not _kept(pair, upper, bound):
            read = bound_text(upper, bound)
            own = [one for part in pair.writer.parts if (one := part.bounds[upper]) is not None]
            said = bound_text(upper, own[0]) if own else "no bound there"
            return f"{pair.place.subject} is written with {said} and read with {read}"
    return None


def _kept(pair: Values, upper: int, bound: tuple[float, bool]) -> bool:
    values = pair.writer.values
    if values is not None:
        return all(_inside(upper, bound, (one, False)) for one in values if isinstance(one, int | float))
    return any(_inside(upper, bound, own) for part in pair.writer.parts if (own := part.bounds[upper]) is not None)


def _inside(upper: int, reader: tuple[float, bool], writer: tuple[float, bool]) -> bool:
    if reader[0] == writer[0]:
        return writer[1] or not reader[1]
    return writer[0] < reader[0] if upper else writer[0] > reader[0]
