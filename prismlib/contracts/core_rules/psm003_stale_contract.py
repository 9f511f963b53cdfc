"""A contract was derived from a pipeline that reads other fields by now.

Why: The check protects what a contract names. A field that the pipeline reads and the contract does not name can be
removed by its producer without a word.

Example: `reads` of `consumers/air-traffic.toml` lacks `dep_delay`, which the mapping in `pipelines/air-traffic.toml`
reads.

Instead: Run `prism schema derive PIPELINE.toml`, and look at what changed.
"""

from prismlib.contracts.rules import Rule

RULE = Rule("PSM003", "stale-contract", "write the contract again with `prism schema derive PIPELINE.toml`")
