"""What the runner needs of a way to deliver, whether it is one transaction at a time or several writes in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prismlib.records import Partition
from prismlib.runtime.route import Prepared


@dataclass(slots=True)
class Counters:
    """What this worker did since it started. For people and tests; nothing is decided by them.

    Attributes:
        read: records taken from the source; those that had to be read again count again.
        delivered: their documents are where they belong, and in a transaction that was committed where there are some.
        dead_letters: likewise, of those that went to the dead letters.
        dropped: likewise, of those that make no document.
        retried: documents that were written again.
        commits: of offsets.
        aborts: of transactions.
        pauses: of topics.
    """

    read: int = 0
    delivered: int = 0
    dead_letters: int = 0
    dropped: int = 0
    retried: int = 0
    commits: int = 0
    aborts: int = 0
    pauses: int = 0
    gaps: int = 0
    reloads: int = 0


class Delivery(Protocol):
    """Takes prepared batches and sees every record of them settled, then commits. One thread: the runner's."""

    def accept(self, prepared: Prepared) -> None:
        """Take over one batch: track it, settle what needs no write, write the rest. Does not wait for the result."""
        ...

    def has_room(self) -> bool:
        """Whether more records should be read now."""
        ...

    def advance(self, timeout: float) -> None:
        """Collect results, retry what is due, commit when it is time. Waits up to ``timeout`` seconds for something."""
        ...

    def needs_rewind(self) -> bool:
        """It dropped records that must be read again: accept nothing until ``rewind`` has worked."""
        ...

    def rewind(self) -> bool:
        """Set progress back to what is committed; True when that worked and the source must seek to the positions."""
        ...

    def drain(self, timeout: float) -> bool:
        """Settle and commit all that was accepted; False when that did not work in ``timeout`` seconds."""
        ...

    def forget(self, partitions: Sequence[Partition]) -> None:
        """The partitions belong to somebody else: drop what is open of them, commit nothing of them."""
        ...

    def idle(self) -> bool:
        """Nothing is open: everything accepted is settled and committed."""
        ...

    def close(self) -> None:
        """Let go of threads; what is open is dropped. May be called twice."""
        ...
