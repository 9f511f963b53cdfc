"""One walk through a reader and a writer: what is still to be looked at, what was seen, what was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prism_jsonschema.compatibility.equality import Equality
from prism_jsonschema.compatibility.facts import Facts
from prism_jsonschema.compatibility.nodes import TYPES, Node
from prism_jsonschema.compatibility.pairs import Pair, Place
from prismlib.contracts.rules import Difference
from prismlib.errors import ContractError

_MOST_STEPS: Final = 40_000
GROUPS: Final = ("null", "boolean", "number", "string", "array", "object")

Judge = Callable[[Pair], Iterable[Difference]]
"""What the rules find in a pair."""

Rank = Callable[[Sequence[Difference]], int]
"""How bad: 0 for nothing found, more the more policies it fails in; from BREAKS on, Confluent's registry refuses."""
BREAKS: Final = 3

VALUE: Final = 2
BRANCH: Final = 1
PART: Final = 0
"""What a step is about: a value by itself, a branch of one, or a part of what is said about one."""

Step = tuple[Node, Facts, Place, int]


def _type_node(word: str) -> Node:
    node = Node()
    node.types = TYPES[word]
    node.own["type"] = node.types
    return node


TYPE_NODES: Final = {word: _type_node(word) for word in GROUPS}


class Walk(ABC):
    """Its state, and how to go on aside."""

    def __init__(self, judge: Judge, rank: Rank) -> None:
        self._judge = judge
        self._rank = rank
        self._equality = Equality(self._spend)
        self._seen: set[tuple[object, ...]] = set()
        self._log: list[tuple[object, ...]] = []
        self._unreadable: set[tuple[object, ...]] = set()
        self._having: dict[str, Node] = {}
        self._made: list[Node] = []  # kept: pairs are known by the ids of their nodes
        self._left = _MOST_STEPS
        self._queue: deque[Step] = deque()
        self._found: list[Difference] = []

    # --- walking -----------------------------------------------------------------------------------------------------------

    def run(self, steps: Iterable[Step], stop_at: int = BREAKS + 1) -> list[Difference]:
        """Walk from ``steps`` on; up to what is as bad as ``stop_at``."""
        queue, found = self._queue, self._found
        self._queue, self._found = deque(steps), []
        worst = 0
        try:
            while self._queue and worst < stop_at:
                before = len(self._found)
                self._step(*self._queue.popleft())
                if len(self._found) > before and stop_at <= BREAKS:
                    worst = max(worst, self._rank(self._found[before:]))
            return self._found
        finally:
            self._queue, self._found = queue, found

    def _try(self, steps: Sequence[Step], *, stop_at: int = BREAKS) -> tuple[int, list[Difference]]:
        """How bad it is to go on like this, and what was found up to there. What was seen is forgotten if it is bad."""
        keys = [(id(reader), writer.key, kind) for reader, writer, _, kind in steps]
        if any(key in self._unreadable for key in keys):
            return BREAKS, []
        mark = len(self._log)
        found = self.run(steps, stop_at)
        rank = self._rank(found)
        if rank:
            while len(self._log) > mark:
                self._seen.discard(self._log.pop())
        if rank >= BREAKS and len(keys) == 1:
            # although all that is still open counted as readable: so it holds for good
            self._unreadable.add(keys[0])
        return rank, found

    def _reads(self, reader: Node, writer: Facts) -> bool:
        """Whether everything is read, under every policy but a consumer's."""
        return self._try([(reader, writer, Place(), PART)], stop_at=2)[0] < 2

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise ContractError(f"the schemas are too large to be compared: more than {_MOST_STEPS:,} steps")

    def _emit(self, pair: Pair) -> None:
        self._found += self._judge(pair)

    @abstractmethod
    def _step(self, reader: Node, writer: Facts, place: Place, kind: int) -> None:
        """Look at one pair: emit it, and push what is to be looked at behind it."""
