"""Whether two nodes say the same, however they are put into definitions."""

from __future__ import annotations

from collections.abc import Callable

from prism_jsonschema.compatibility.nodes import Node, deref


class Equality:
    """Answers for one walk, and remembers."""

    def __init__(self, spend: Callable[[int], None]) -> None:
        """Make one.

        Args:
            spend: is told how many steps were taken.
        """
        self._spend = spend
        self._known: dict[tuple[int, int], bool] = {}

    def same(self, one: Node, other: Node) -> bool:
        """Whether they are equal in every keyword, and their subschemas are.

        Nodes that contain themselves are equal unless a difference is met.
        """
        met: set[tuple[int, int]] = set()
        waiting = [(one, other)]
        while waiting:
            left, right = waiting.pop()
            left, right = deref(left), deref(right)
            if left is right:
                continue
            key = (id(left), id(right))
            if key in met:
                continue
            known = self._known.get(key)
            if known:
                continue
            if known is False or not _alike(left, right):
                self._known[key] = False
                self._known[id(one), id(other)] = False
                self._spend(1 + len(met) // 4)
                return False
            met.add(key)
            if left.ref is not None and right.ref is not None:
                waiting.append((left.ref, right.ref))
            waiting.extend((sub, right.subs[name]) for name, sub in left.subs.items())
        self._spend(1 + len(met) // 4)
        self._known.update(dict.fromkeys(met, True))
        return True


def _alike(one: Node, other: Node) -> bool:
    """Whether two nodes are equal but for their subschemas."""
    return (
        one.own == other.own
        and one.subs.keys() == other.subs.keys()
        and (one.ref is None) == (other.ref is None)
        and one.format == other.format
        and one.encoding == other.encoding
        and one.default == other.default
        and (one.draft == other.draft or (one.draft > 4) == (other.draft > 4))
    )
