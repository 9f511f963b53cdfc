"""Modes: the only place that knows who must read whom. Built on one question of a format, ``can_read``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar, get_args

from prismlib.contracts.format import SchemaFormat
from prismlib.contracts.rules import Difference, Policy
from prismlib.contracts.subject import Compatibility

P = TypeVar("P")

Direction: TypeAlias = Literal["new reads old", "old reads new", "consumer reads new"]


@dataclass(frozen=True, slots=True)
class Mode:
    """What a compatibility level asks for.

    Attributes:
        new_reads_old: a reader with the new schema must read what older versions wrote.
        old_reads_new: readers with older versions must read what the new schema writes.
        transitive: older versions are all of them, not the latest alone.
    """

    new_reads_old: bool
    old_reads_new: bool
    transitive: bool


MODES: Final[dict[Compatibility, Mode]] = {
    "BACKWARD": Mode(new_reads_old=True, old_reads_new=False, transitive=False),
    "BACKWARD_TRANSITIVE": Mode(new_reads_old=True, old_reads_new=False, transitive=True),
    "FORWARD": Mode(new_reads_old=False, old_reads_new=True, transitive=False),
    "FORWARD_TRANSITIVE": Mode(new_reads_old=False, old_reads_new=True, transitive=True),
    "FULL": Mode(new_reads_old=True, old_reads_new=True, transitive=False),
    "FULL_TRANSITIVE": Mode(new_reads_old=True, old_reads_new=True, transitive=True),
    "NONE": Mode(new_reads_old=False, old_reads_new=False, transitive=False),
}
assert set(MODES) == set(get_args(Compatibility))  # noqa: S101  # a mode without a row would be a KeyError for a user


@dataclass(frozen=True, slots=True)
class Found:
    """A difference between two versions, and who reads whom.

    Attributes:
        difference: what a rule found.
        direction: who reads whom.
        version: number of the older version.
    """

    difference: Difference
    direction: Direction
    version: int


def compare(fmt: SchemaFormat[P], mode: Mode, new: P, history: Sequence[tuple[int, P]]) -> list[Found]:
    """Everything that stands between a new schema and its history, whichever policy it fails in.

    Args:
        fmt: the format of all of them.
        mode: who must read whom.
        new: the proposal.
        history: number and schema of the released versions, oldest first.

    Raises:
        ContractError: it could not be decided.
    """
    found: list[Found] = []
    for version, old in history if mode.transitive else history[-1:]:
        if mode.new_reads_old:
            found += [Found(d, "new reads old", version) for d in differences(fmt, new, old, "reader")]
        if mode.old_reads_new:
            found += [Found(d, "old reads new", version) for d in differences(fmt, old, new, "writer")]
    return found


def differences(fmt: SchemaFormat[P], reader: P, writer: P, newer: Literal["reader", "writer"]) -> list[Difference]:
    """Everything that stands between two schemas of which one is known to be the newer.

    Raises:
        ContractError: it could not be decided.
    """
    return [one for one in fmt.can_read(reader=reader, writer=writer) if one.newer in (None, newer)]


def fails(fmt: SchemaFormat[P], difference: Difference, policy: Policy) -> bool:
    """Whether a policy lets a difference fail."""
    return policy in fmt.rules[difference.rule].fails
