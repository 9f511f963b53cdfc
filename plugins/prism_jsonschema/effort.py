"""How much is validated, and how much time is spent on saying why something does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Validate: TypeAlias = Literal["always", "sample", "never"]

ONE_IN: Final = 101
"""``sample`` validates one record in so many. A prime, so that no rhythm of writing, such as a transaction every hundred
records, is always in step with it or never."""

STEPS_OF_ONE: Final = 20_000
"""Steps that may be taken to explain one value, each a keyword or a part of one: some 50 milliseconds."""
STEPS_OF_ALL: Final = 200_000
"""Steps for all values of one call to a stage."""


@dataclass(slots=True)
class Budget:
    """Steps that may still be taken in one call to a stage."""

    left: int = STEPS_OF_ALL
