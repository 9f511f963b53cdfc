"""A number can be written that is no multiple of what the reader asks for.

Why: `multipleOf` of the reader refuses the record.

Example: written `{"type": "number", "multipleOf": 5}`, read `{"type": "number", "multipleOf": 10}`.

Instead: Leave `multipleOf` out of the reader, or make it a divisor of the writer's.

Confluent: agrees (MULTIPLE_OF_ADDED, MULTIPLE_OF_EXPANDED, MULTIPLE_OF_CHANGED) for whole numbers, and computes with
them alone, although 0.5 and 0.25 are steps as well; here fractions are compared as they are written.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import is_multiple, written
from prism_jsonschema.compatibility.pairs import Values
from prismlib.contracts.rules import Rule

RULE = Rule("JSN011", "multiple-changed", "make the reader's multipleOf a divisor of the writer's, or leave it out")


def check(pair: Values) -> str | None:
    """Every number is a multiple of 1 where it is an integer."""
    step = pair.reader.multiple_of
    if step is None or not pair.writer.types & {"integer", "fraction"}:
        return None
    if pair.writer.values is not None:
        numbers = [one for one in pair.writer.values if isinstance(one, int | float)]
        if all(is_multiple(one, step) for one in numbers):
            return None
    steps = [part.multiple_of for part in pair.writer.parts if part.multiple_of is not None]
    if "fraction" not in pair.writer.types:
        steps.append(1)
    if any(is_multiple(one, step) for one in steps):
        return None
    said = f"a multiple of {written(steps[0])}" if steps else "any number"
    return f"{pair.place.subject} is written as {said} and read as a multiple of {written(step)}"
