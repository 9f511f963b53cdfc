"""Rules that are about no format: what a folder of schemas promises as a whole."""

from typing import Final

from prismlib.contracts.core_rules import psm001_released_version_changed, psm002_expired_waiver, psm003_stale_contract
from prismlib.contracts.rules import Rule

CORE_RULES: Final[dict[str, Rule]] = {
    module.RULE.id: module.RULE
    for module in (psm001_released_version_changed, psm002_expired_waiver, psm003_stale_contract)
}
"""By id."""
