"""What a check says: findings, and one report a subject. How it looks is the command line's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from prismlib.contracts.compatibility import Direction
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.subject import Subject, Waiver

Status: TypeAlias = Literal["new", "unchanged", "compatible", "incompatible", "undecided"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        rule: id of the rule.
        name: its name.
        path: where, as in :class:`prismlib.contracts.rules.Difference`.
        field: the dotted path of the field concerned, "" where it is about the whole.
        message: one sentence that names both sides.
        direction: who reads whom; None for what is not about two schemas.
        instead: what to do instead.
        fails: whether it makes the verdict incompatible; otherwise it is a note, and ``because`` says why.
        version: the older version that it was found against, or None.
        consumer: whose contract it was found against, or None.
        because: why it does not fail, such as a waiver's reason; "" where the policy only notes it.
        file: the file of the proposal, or of the contract; "" where there is none.
        line: in that file, from 1, or None.
    """

    rule: str
    name: str
    path: str
    field: str
    message: str
    direction: Direction | None
    instead: str
    fails: bool
    version: int | None = None
    consumer: Consumer | None = None
    because: str = ""
    file: str = ""
    line: int | None = None

    def spared(self, because: str) -> Finding:
        """The same, as a note."""
        return replace(self, fails=False, because=because)

    def covered_by(self, waiver: Waiver) -> bool:
        """Whether a waiver names this finding: the rule, and the path or one above it."""
        return waiver.rule == self.rule and (self.path == waiver.path or self.path.startswith(f"{waiver.path}/"))


@dataclass(frozen=True, slots=True)
class SubjectReport:
    """What a check says about one subject.

    Attributes:
        subject: whose.
        status: the verdict; "undecided" is never a pass.
        proposal: file of the proposed schema, or "" where none was looked at.
        against: the versions that it was held against, ascending.
        consumers: names of the consumers whose contracts it was held against.
        findings: those that fail first.
        order: who deploys first, one sentence; "" where nothing changes.
        error: why it is undecided.
        notes: sentences for people.
    """

    subject: Subject
    status: Status
    proposal: str = ""
    against: Sequence[int] = ()
    consumers: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    order: str = ""
    error: str = ""
    notes: Sequence[str] = field(default=())

    @property
    def failures(self) -> list[Finding]:
        """The findings that fail."""
        return [finding for finding in self.findings if finding.fails]


def exit_code(reports: Sequence[SubjectReport]) -> int:
    """0 when all pass, 1 for a finding, 3 when anything is undecided: that hides what else there may be."""
    statuses = {report.status for report in reports}
    if "undecided" in statuses:
        return 3
    return int("incompatible" in statuses or any(report.failures for report in reports))
