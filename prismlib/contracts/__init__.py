"""The contract side: where schemas come from, what their subjects promise, and whether a change keeps the promise.

    registry -> subject and versions -> format -> rules -> compatibility -> verdict
                consumers' reader schemas ------------------------------^

``registry``, ``directory``, ``subject``: where schemas are and what was promised. ``format``, ``rules``: what a format
detects between a reader and a writer. ``compatibility``: who must read whom. ``verdicts``: the calls below.
"""

from typing import TYPE_CHECKING

from prismlib import lazy

if TYPE_CHECKING:
    from prismlib.contracts.verdicts import Finding, Verdict, check_compatibility, check_consumer, derive_contract

__all__ = ["Finding", "Verdict", "check_compatibility", "check_consumer", "derive_contract"]

if not TYPE_CHECKING:  # the gate needs none of them, and comes through here to its modules
    __getattr__ = lazy.importer(__name__, dict.fromkeys(__all__, "prismlib.contracts.verdicts"))
