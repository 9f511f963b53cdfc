"""The branches of a reader: which one takes what is written, and whether another one does so, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from prism_jsonschema.compatibility.facts import Facts, Nodes, are_apart
from prism_jsonschema.compatibility.logic import Logic
from prism_jsonschema.compatibility.nodes import ALL_TYPES, NUMBERS, TYPES, Node
from prism_jsonschema.compatibility.pairs import Branches, OtherBranch, Overlap, Place
from prism_jsonschema.compatibility.walk import BRANCH, BREAKS, GROUPS, TYPE_NODES

_POSITION: Final = re.compile(r"/(?:anyOf|oneOf)/(\d+)$")
_TRIED: Final = 8
"""How many branches that take a value are looked for, to find the one that is meant."""


class Unions(Logic):
    """The duties of ``anyOf`` and ``oneOf``."""

    # --- branches --------------------------------------------------------------------------------------------------------------

    def _union(self, reader: Node, keyword: str, branches: Nodes, writer: Facts, place: Place) -> None:
        if any(self._equal_union(keyword, branches, part) for part in writer.parts):
            return
        groups = [word for word in GROUPS if writer.types & TYPES[word]]
        lost = []
        for word in groups:
            facts = writer if len(groups) == 1 else writer.with_(TYPE_NODES[word])
            if facts.types and not self._branch(keyword, branches, facts, place):
                lost.append(word if facts.types & NUMBERS != {"integer"} else "integer")
        if lost:
            anything = writer.types == ALL_TYPES and len(lost) > 1
            self._emit(Branches(reader, ["anything"] if anything else lost, place))

    def _equal_union(self, keyword: str, branches: Nodes, part: Node) -> bool:
        others = part.any_of if keyword == "anyOf" else part.one_of
        same = self._equality.same
        if keyword == "oneOf" and len(others) != len(branches):
            return False
        return (
            bool(others)
            and all(any(same(one, other) for other in branches) for one in others)
            and (keyword == "anyOf" or all(any(same(one, other) for other in others) for one in branches))
        )

    def _branch(self, keyword: str, branches: Nodes, writer: Facts, place: Place) -> bool:
        """Find the branch that takes the writer's values; what is amiss inside it is found there."""
        several = len(branches) > 1
        self._spend(6 * len(branches))

        def at(index: int) -> Place:
            return place.step(f"{keyword}/{index}") if several and _needs_name(branches) else place

        settled = writer.settled()
        fitting = [index for index, one in enumerate(branches) if not are_apart(Facts((one,)), writer, 1)]
        best: tuple[int, int] | None = None
        reads = []
        for index in fitting:
            rank, _ = self._try([(branches[index], settled, at(index), BRANCH)])
            if best is None or rank < best[0]:
                best = (rank, index)
            if rank == 0:
                reads.append(index)
                if writer.branch is None or len(reads) > _TRIED:
                    break
        meant = _meant(branches, fitting, writer, reads)
        if best is None:
            return are_apart(writer, writer)  # there is no such value
        rank, taken = best
        if rank >= BREAKS:
            if meant is None and len(fitting) == 1:
                meant = fitting[0]
            if meant is None:
                return False
            self._queue.append((branches[meant], settled, at(meant), BRANCH))
            return True
        if meant is not None and meant != taken:
            worse, _ = self._try([(branches[meant], settled, at(meant), BRANCH)])
            if meant in reads or worse <= rank:
                taken = meant
            else:
                self._emit(OtherBranch(_called(branches, meant), _called(branches, taken), at(meant)))
        self._queue.append((branches[taken], settled, at(taken), BRANCH))
        if keyword == "oneOf":
            for index, one in enumerate(branches):
                if index != taken and not self._excludes(writer, one):
                    self._emit(Overlap(_called(branches, taken), _called(branches, index), place))
                    break
        return True


def _needs_name(branches: Nodes) -> bool:
    """A branch is named only where there are several besides null."""
    return sum(1 for one in branches if Facts((one,)).types != {"null"}) > 1


def _called(branches: Nodes, index: int) -> str:
    label = branches[index].label
    return repr(label) if label else f"number {index + 1}"


def _meant(branches: Nodes, fitting: Sequence[int], writer: Facts, reads: Sequence[int]) -> int | None:
    """The branch that most likely describes the same thing.

    It has the same name, or a constant or properties in common, more than any other one. Where no name or constant tells, one
    at the same position that reads everything is as good.
    """
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    own = Facts((writer.branch,)) if writer.branch is not None else writer
    labels = {writer.branch.label if writer.branch is not None else "", *(part.label for part in own.parts)} - {""}
    names = {name for part in own.parts for name in part.properties}
    position = -1 if writer.branch is None else _position(writer.branch.path)
    scores: list[tuple[float, int]] = []
    for index in fitting:
        facts = Facts((branches[index],))
        shared = [name for name in names if facts.declares(name)]
        score = 1000.0 * bool(labels & {branches[index].label, *(part.label for part in facts.parts)})
        score += len(shared) + 0.5 * (index == position and "object" in facts.types)
        for name in shared:
            values, known = Facts(facts.property_(name)).values, Facts(writer.property_(name)).values
            if values is not None and known is not None and values & known:
                score += 100
        scores.append((score, index))
    best = max(score for score, _ in scores)
    if best < 100 and position in reads:
        return position
    leading = [index for score, index in scores if score == best]
    return leading[0] if best and len(leading) == 1 else None


def _position(path: str) -> int:
    """At which position of its list a branch stands, or -1."""
    found = _POSITION.search(path)
    return int(found[1]) if found else -1
