"""What the brokers acknowledged to the producers, and how it compares with what is found in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.integration.harness import read_topic

MOST = 255  # times that one record is counted
EXAMPLES = 10


class Tally:
    """How often each record was seen. Records are a prefix and a number, a byte each: a million take a megabyte."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._seen = {prefix: bytearray(size) for prefix, size in sizes.items()}
        self.strangers: Counter[str] = Counter()
        self.total = 0

    def add(self, prefix: str, number: int) -> None:
        column = self._seen[prefix]
        column[number] = min(column[number] + 1, MOST)
        self.total += 1

    def add_id(self, event_id: str) -> None:
        """An id as ``event_id`` made it, or that of something nobody published."""
        prefix, digits = event_id[:1], event_id[1:]
        if prefix in self._seen and digits.isdigit() and int(digits) < len(self._seen[prefix]):
            self.add(prefix, int(digits))
        else:
            self.strangers[event_id] += 1

    def times(self, prefix: str) -> bytearray:
        return self._seen[prefix]

    def prefixes(self) -> Iterable[str]:
        return self._seen.keys()


def event_id(prefix: str, number: int) -> str:
    return f"{prefix}{number:07d}"


@dataclass
class Found:
    """What one place holds, measured by the acknowledged records.

    Attributes:
        place: where.
        records: how many there are.
        lost: were acknowledged, and are not there.
        double: are there more than once.
        strangers: nobody published them.
        examples: a few ids of each.
    """

    place: str
    records: int = 0
    lost: int = 0
    double: int = 0
    strangers: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        return not (self.lost or self.double or self.strangers)

    def example(self, what: str, name: str) -> None:
        kept = self.examples.setdefault(what, [])
        if len(kept) < EXAMPLES:
            kept.append(name)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(place: str, acknowledged: Tally, found: Tally) -> Found:
    """Every acknowledged record exactly once. One whose acknowledgement never came may be there or not, but not twice."""
    result = Found(place, found.total, strangers=len(found.strangers))
    for name in found.strangers:
        result.example("strangers", name)
    for prefix in acknowledged.prefixes():
        for number, (wanted, there) in enumerate(zip(acknowledged.times(prefix), found.times(prefix), strict=True)):
            if wanted and not there:
                result.lost += 1
                result.example("lost", event_id(prefix, number))
            elif there > 1:
                result.double += 1
                result.example("double", event_id(prefix, number))
    return result


def compare_letters(servers: str, topic: str, poison: Mapping[bytes, bytes], *, copies_allowed: bool) -> Found:
    """Every poison record is a dead letter, whole; nothing else is.

    Args:
        servers: of the broker.
        topic: of the dead letters.
        poison: acknowledged value by key.
        copies_allowed: a letter may be there again after a crash, with the same origin: what a pipeline without
            transactions promises. Copies of one record are told by its origin.
    """
    result = Found(topic)
    seen: Counter[bytes] = Counter()
    origins: set[tuple[bytes | None, ...]] = set()
    for key, value, headers in read_topic(servers, topic):
        origin = tuple(headers.get(f"prism.{name}") for name in ("topic", "epoch", "partition", "offset"))
        if copies_allowed and origin in origins:
            continue
        origins.add(origin)
        result.records += 1
        if key is None or poison.get(key) != value:
            result.strangers += 1
            result.example("strangers", repr(key))
        else:
            seen[key] += 1
    for key in poison:
        if not seen[key]:
            result.lost += 1
            result.example("lost", key.decode())
        elif seen[key] > 1:
            result.double += 1
            result.example("double", key.decode())
    return result
