"""The end date of a waiver has passed.

Why: A waiver is a promise to mend something by a day. One that never ends is a rule switched off that nobody
remembers.

Example: `until = 2026-06-30` in `subject.toml`, and today is a later day.

Instead: Mend what was waived and remove the waiver; or agree on a new end date, with a reason that says what is still
missing.
"""

from prismlib.contracts.rules import Rule

RULE = Rule(
    "PSM002",
    "expired-waiver",
    "mend what the waiver was for and remove it, or agree on a new end date with the consumers",
)
