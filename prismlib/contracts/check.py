"""Checks one subject: a proposal against its history and against every consumer, or contracts against what is written.

The order of things: detect every difference, see which of them the change introduces, apply the policy, apply waivers, say
who deploys first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from prismlib.contracts.compatibility import MODES, Direction, Found, compare, differences, fails
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.core_rules import CORE_RULES
from prismlib.contracts.format import SchemaFormat, SchemaText
from prismlib.contracts.report import Finding, Status, SubjectReport
from prismlib.contracts.rules import Difference, Policy, Rule
from prismlib.contracts.subject import Subject, Waiver
from prismlib.errors import SchemaParseError


@dataclass(frozen=True, slots=True)
class Version:
    """A released version."""

    number: int
    schema: SchemaText


@dataclass(frozen=True, slots=True)
class Proposal:
    """What shall become the next version.

    Attributes:
        schema: its text and what it imports.
        file: where it was read from, for people and for the annotations of CI services.
    """

    schema: SchemaText
    file: str


@dataclass(frozen=True, slots=True)
class Question:
    """One subject, and what is asked about it.

    Attributes:
        subject: what its owner promises.
        versions: released, oldest first; only those whose records can still be there, where that is known.
        proposal: the schema that shall follow, or None: then contracts are held against the versions alone.
        consumers: who reads it.
        all_versions: hold contracts against every version, not the latest alone.
        found: what the one who asks has found already.
        notes: what the one who asks wants to be said.
    """

    subject: Subject
    versions: Sequence[Version]
    proposal: Proposal | None
    consumers: Sequence[Consumer] = ()
    all_versions: bool = False
    found: Sequence[Finding] = ()
    notes: Sequence[str] = ()


def texts_of(question: Question) -> list[SchemaText]:
    """Every schema of a question: the versions, the contracts, and the proposal where there is one."""
    texts = [version.schema for version in question.versions]
    texts += [SchemaText(consumer.text, {}, consumer.where) for consumer in question.consumers]
    if question.proposal is not None:
        texts.append(question.proposal.schema)
    return texts


def check_subject(
    question: Question, fmt: SchemaFormat[Any], today: date, parsed: Sequence[Any] | None = None
) -> SubjectReport:
    """Answer it.

    Args:
        question: one subject, and what is asked.
        fmt: the subject's format.
        today: decides which waivers have expired.
        parsed: what the format made of :func:`texts_of` the question, where that was done already.

    Raises:
        ContractError: it could not be decided, or a schema could not be parsed.
    """
    return _Check(question, fmt, today, fmt.parse_all(texts_of(question)) if parsed is None else parsed).report()


class _Check:
    def __init__(self, question: Question, fmt: SchemaFormat[Any], today: date, parsed: Sequence[Any]) -> None:
        self._question = question
        self._format = fmt
        self._today = today
        for one in parsed:
            if isinstance(one, SchemaParseError):
                raise one
        count = len(question.versions)
        self._versions = [(v.number, schema) for v, schema in zip(question.versions, parsed, strict=False)]
        self._contracts = list(zip(question.consumers, parsed[count:], strict=False))
        self._new = parsed[-1] if question.proposal is not None else None

    def report(self) -> SubjectReport:
        question = self._question
        proposal = question.proposal
        status: Status
        if proposal is None:
            findings, status = self._contracts_against_versions(), "unchanged"
        else:
            findings = [*self._against_history(proposal), *self._against_consumers(proposal)]
            unchanged = bool(question.versions) and _same(question.versions[-1].schema, proposal.schema)
            status = "new" if not question.versions else "unchanged" if unchanged else "compatible"
        findings += [*question.found, *self._expired()]
        if any(f.fails for f in findings):
            status = "incompatible"
        findings.sort(key=lambda f: not f.fails)  # stable: otherwise in the order they were found
        mode = MODES[question.subject.compatibility]
        against = question.versions if mode.transitive else question.versions[-1:]
        return SubjectReport(
            subject=question.subject,
            status=status,
            proposal=proposal.file if proposal else "",
            against=[version.number for version in against],
            consumers=[consumer.name for consumer in question.consumers],
            findings=findings,
            order=self._order() if status == "compatible" else "",
            notes=question.notes,
        )

    # --- detecting -----------------------------------------------------------------------------------------------------

    def _against_history(self, proposal: Proposal) -> list[Finding]:
        subject = self._question.subject
        mode = MODES[subject.compatibility]
        found = compare(self._format, mode, self._new, self._versions)
        policy: Policy = subject.profile
        known: set[tuple[object, ...]] = set()
        if any(fails(self._format, one.difference, policy) for one in found) and mode.transitive:
            # What the latest version broke already is not this change's fault.
            *older, (_, latest) = self._versions
            known = {_key(one) for one in compare(self._format, mode, latest, older)}
        return [
            self._judged(one, policy, subject.waivers, proposal.file, proposal.schema.text, known=_key(one) in known)
            for one in found
        ]

    def _against_consumers(self, proposal: Proposal) -> list[Finding]:
        findings = []
        for consumer, contract in self._contracts:
            found = self._read_by(contract, self._new)
            known: set[tuple[object, ...]] = set()
            if found and self._versions:
                known = {_key(one) for one in self._read_by(contract, self._versions[-1][1])}
            findings += [
                self._judged(
                    one,
                    "consumer",
                    consumer.waivers,
                    proposal.file,
                    proposal.schema.text,
                    known=_key(one) in known,
                    consumer=consumer,
                )
                for one in found
            ]
        return findings

    def _contracts_against_versions(self) -> list[Finding]:
        versions = self._versions if self._question.all_versions else self._versions[-1:]
        return [
            self._judged(
                Found(one.difference, one.direction, number),
                "consumer",
                consumer.waivers,
                consumer.where,
                consumer.text,
                known=False,
                consumer=consumer,
            )
            for consumer, contract in self._contracts
            for number, schema in versions
            for one in self._read_by(contract, schema)
        ]

    def _read_by(self, contract: Any, writer: Any) -> list[Found]:
        direction: Direction = "consumer reads new"
        return [Found(d, direction, 0) for d in differences(self._format, contract, writer, "writer")]

    # --- judging -------------------------------------------------------------------------------------------------------

    def _judged(
        self,
        found: Found,
        policy: Policy,
        waivers: Iterable[Waiver],
        file: str,
        text: str,
        *,
        known: bool,
        consumer: Consumer | None = None,
    ) -> Finding:
        difference = found.difference
        failing = fails(self._format, difference, policy)
        finding = make_finding(
            self._format.rules[difference.rule],
            difference,
            found.direction,
            fails=failing,
            version=found.version or None,
            consumer=consumer,
            file=file,
            line=self._format.line_of(text, difference.path) if failing and file else None,
        )
        if not failing:
            return finding
        if known:
            return finding.spared("it was so before this change")
        for waiver in waivers:
            if finding.covered_by(waiver) and waiver.until >= self._today:
                return finding.spared(f"waived until {waiver.until.isoformat()}: {waiver.reason}")
        return finding

    def _expired(self) -> list[Finding]:
        """Waivers whose end date has passed, whether they cover something or not: the promise to end them was broken."""
        subject = self._question.subject
        owners: list[tuple[str, Sequence[Waiver], Consumer | None]] = [("subject.toml", subject.waivers, None)]
        owners += [(f"consumers/{c.name}.toml", c.waivers, c) for c in self._question.consumers]
        rule = CORE_RULES["PSM002"]
        return [
            make_finding(
                rule,
                Difference(
                    rule.id,
                    waiver.path,
                    f"the waiver of {waiver.rule} in {where} ended on {waiver.until.isoformat()} ({waiver.reason})",
                ),
                None,
                consumer=consumer,
            )
            for where, waivers, consumer in owners
            for waiver in waivers
            if waiver.until < self._today
        ]

    # --- deploying -----------------------------------------------------------------------------------------------------

    def _order(self) -> str:
        """Who deploys first, from what can be read in each direction between the latest version and the new one."""
        if not self._versions:
            return ""
        policy: Policy = self._question.subject.profile
        latest = self._versions[-1][1]

        def readable(reader: Any, writer: Any, newer: Literal["reader", "writer"]) -> bool:
            return not any(fails(self._format, d, policy) for d in differences(self._format, reader, writer, newer))

        backward, forward = readable(self._new, latest, "reader"), readable(latest, self._new, "writer")
        if backward and forward:
            return "producers and consumers can deploy in any order: each reads what the other writes"
        if backward:
            names = ", ".join(f"{c.name} ({c.owner})" for c in self._question.consumers)
            known = f"; the contracts of {names} read it as they are" if names else ""
            return f"consumers that read with the whole old schema deploy first: it cannot read what the new one writes{known}"
        if forward:
            return "producers deploy first: a reader with the new schema cannot read what the old one wrote"
        return "neither reads the other: move to a new topic, or stop and drain between the two deployments"


def make_finding(
    rule: Rule,
    difference: Difference,
    direction: Direction | None,
    *,
    fails: bool = True,
    version: int | None = None,
    consumer: Consumer | None = None,
    file: str = "",
    line: int | None = None,
) -> Finding:
    """The finding of a rule's difference."""
    return Finding(
        rule=rule.id,
        name=rule.name,
        path=difference.path,
        field=difference.field,
        message=difference.message,
        direction=direction,
        instead=rule.instead,
        fails=fails,
        version=version,
        consumer=consumer,
        file=file,
        line=line,
    )


def _key(found: Found) -> tuple[object, ...]:
    return found.version, found.direction, found.difference.rule, found.difference.path


def _same(one: SchemaText, other: SchemaText) -> bool:
    return one.text == other.text and one.references == other.references
