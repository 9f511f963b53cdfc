"""Which fault comes when: drawn from a seed, and tied to how many records were published, not to a clock."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "kill worker",
    "kill broker",
    "kill elasticsearch",
    "restart worker",
    "throttle",
    "refuse documents",
    "lose answers",
    "poison",
    "rebalance",
    "freeze worker",
    "replace worker",
    "drift",
]
KINDS: Sequence[Kind] = get_args(Kind)
WEIGHTS: Mapping[Kind, int] = {
    "kill worker": 26,
    "kill broker": 8,
    "kill elasticsearch": 8,
    "restart worker": 5,
    "throttle": 9,
    "refuse documents": 9,
    "lose answers": 6,
    "poison": 10,
    "rebalance": 10,
    "freeze worker": 6,
    "replace worker": 3,
    "drift": 5,
}
LASTS: Mapping[Kind, tuple[float, float]] = {  # seconds; sessions of the group last three
    "kill worker": (0.0, 3.0),
    "kill broker": (0.0, 3.0),
    "kill elasticsearch": (0.0, 4.0),
    "restart worker": (0.0, 1.0),
    "throttle": (2.0, 6.0),
    "refuse documents": (2.0, 8.0),
    "lose answers": (2.0, 5.0),
    "poison": (0.0, 0.0),
    "rebalance": (2.0, 8.0),
    "freeze worker": (0.5, 9.0),
    "replace worker": (1.0, 5.0),
    "drift": (1.0, 5.0),
}
WORKERS = ("one-a", "one-b", "two-a", "two-b")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: what happens.
        after: how many records are published before it begins.
        lasts: seconds.
        worker: the one that it happens to, or whose pipeline a guest joins.
        strength: from 0 to 1; what it means depends on the kind.
        seed: for what is drawn while it happens.
    """

    kind: Kind
    after: int
    lasts: float
    worker: str
    strength: float
    seed: int


def draw(seed: int, faults: int, records: int) -> Sequence[Fault]:
    """The faults of a run, in order. The first ones are all of different kinds, then the weights decide.

    A seed gives the same faults always; they are spread over all records but the last ones.
    """
    rng = random.Random(f"faults {seed}")  # it must be repeatable
    kinds = rng.sample(KINDS, min(faults, len(KINDS)))
    kinds += rng.choices(KINDS, [WEIGHTS[kind] for kind in KINDS], k=faults - len(kinds))
    rng.shuffle(kinds)
    share = records * 0.97 / max(faults, 1)
    return [
        Fault(
            kind=kind,
            after=int(share * (n + rng.random())),
            lasts=rng.uniform(*LASTS[kind]),
            worker=rng.choice(WORKERS),
            strength=rng.random(),
            seed=rng.getrandbits(32),
        )
        for n, kind in enumerate(kinds)
    ]
