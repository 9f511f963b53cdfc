"""How ``prism-check-schema`` shows its reports: for people, for programs, and as annotations of CI services."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from prismlib.contracts.report import Finding, SubjectReport, exit_code
from prismlib.contracts.usage import last_read

_COLOURS: Final = {
    "new": "green",
    "unchanged": "green",
    "compatible": "green",
    "incompatible": "red",
    "undecided": "magenta",
}


def show(reports: Sequence[SubjectReport], output: str) -> None:
    """Print all reports on standard output.

    Args:
        reports: of all subjects.
        output: ``text``, ``json``, ``github`` or ``junit``.
    """
    _SHOWN[output](reports)


# --- for people --------------------------------------------------------------------------------------------------------


def _text(reports: Sequence[SubjectReport]) -> None:
    for report in reports:
        _one(report)
    click.echo(summary(reports))


def summary(reports: Sequence[SubjectReport]) -> str:
    """The last line: how many of how many."""
    if not reports:
        return "no subject to check"
    counts: dict[str, int] = {}
    for report in reports:
        counts[report.status] = counts.get(report.status, 0) + 1
    what = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{len(reports)} subject{'s' if len(reports) > 1 else ''}: {what}"


def _one(report: SubjectReport) -> None:
    subject = report.subject
    status = _style(report.status, _COLOURS[report.status])
    click.echo(f"{_style(subject.name, bold=True)}: {status}{_held_against(report)}")
    if report.error:
        click.echo(f"  {report.error}")
    for note in report.notes:
        click.echo(f"  {note}")
    failing, rest = report.failures, [f for f in report.findings if not f.fails]
    for same in _joined(failing):
        _finding(same)
    spared = [f for f in rest if f.because]
    for finding in spared:
        click.echo(f"  passed over: {finding.rule} {finding.name} at {finding.path or '/'}: {finding.because}")
    if report.order:
        click.echo(f"  deploy: {report.order}")


def _held_against(report: SubjectReport) -> str:
    parts = []
    if report.proposal and report.against:
        mode = report.subject.compatibility
        versions = ", ".join(map(str, report.against))
        parts.append(f"{report.proposal} against version{'s' if len(report.against) > 1 else ''} {versions} ({mode})")
    elif report.proposal:
        parts.append(f"{report.proposal} has no version before it")
    if report.consumers:
        parts.append(f"consumer{'s' if len(report.consumers) > 1 else ''} {', '.join(report.consumers)}")
    return f" - {' and '.join(parts)}" if parts else ""


def _joined(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that are one thing to mend: the same rule and sentence, against several versions or consumers."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.path, finding.message), []).append(finding)
    return list(groups.values())


def _finding(same: Sequence[Finding]) -> None:
    first = same[0]
    place = f"{first.file}:{first.line}" if first.file and first.line else first.file
    click.echo(f"\n  {_style(f'{first.rule} {first.name}', 'red')}  {first.path or '/'}  {place}".rstrip())
    click.echo(f"    {first.message}")
    for line in _who(same):
        click.echo(f"    breaks: {line}")
    click.echo(f"    instead: {first.instead}\n")


def _who(same: Sequence[Finding]) -> list[str]:
    """Who would break, one line each; versions of one direction together."""
    lines: list[str] = []
    for direction, sentence in (
        ("new reads old", "readers with the new schema, on what {} wrote"),
        ("old reads new", "readers with {}, on what the new schema writes"),
    ):
        versions = [str(f.version) for f in same if f.direction == direction and f.consumer is None]
        if versions:
            lines.append(sentence.format(f"version{'s' if len(versions) > 1 else ''} {', '.join(versions)}"))
    for finding in same:
        consumer = finding.consumer
        if consumer is not None:
            field = f", which reads {finding.field}" if finding.field else ""
            on = f" on version {finding.version}" if finding.version else ""
            seen = last_read(consumer.last_read_ms, time.time_ns() // 1_000_000)
            lines.append(
                f"consumer {consumer.name}{on}{field}: {consumer.owner}, {consumer.contact}{seen and f' ({seen})'}"
            )
    return lines


def _style(text: str, colour: str | None = None, *, bold: bool = False) -> str:
    from prismlib.cli.app import colour as wanted  # noqa: PLC0415  # where colour is decided for all commands

    return click.style(text, fg=colour, bold=bold) if wanted(sys.stdout) else text


# --- for programs ------------------------------------------------------------------------------------------------------


def _json(reports: Sequence[SubjectReport]) -> None:
    document = {"exit_code": exit_code(reports), "subjects": [report_document(report) for report in reports]}
    click.echo(json.dumps(document, indent=2))


def report_document(report: SubjectReport) -> dict[str, Any]:
    """One report as JSON."""
    subject = report.subject
    return {
        "subject": subject.name,
        "format": subject.format,
        "compatibility": subject.compatibility,
        "profile": subject.profile,
        "owner": subject.owner,
        "contact": subject.contact,
        "status": report.status,
        "proposal": report.proposal,
        "against": list(report.against),
        "consumers": list(report.consumers),
        "deploy": report.order,
        "error": report.error,
        "notes": list(report.notes),
        "findings": [_finding_document(finding) for finding in report.findings],
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    consumer = finding.consumer
    return {
        "rule": finding.rule,
        "name": finding.name,
        "path": finding.path,
        "field": finding.field,
        "message": finding.message,
        "direction": finding.direction,
        "version": finding.version,
        "consumer": None
        if consumer is None
        else {
            "name": consumer.name,
            "owner": consumer.owner,
            "contact": consumer.contact,
            "last_read_ms": consumer.last_read_ms,
        },
        "fails": finding.fails,
        "because": finding.because,
        "instead": finding.instead,
        "file": finding.file,
        "line": finding.line,
    }


# --- annotations -------------------------------------------------------------------------------------------------------


def _github(reports: Sequence[SubjectReport]) -> None:
    """Workflow commands, which GitHub shows beside the line: https://docs.github.com/actions/reference/workflow-commands."""
    for report in reports:
        if report.error:
            click.echo(f"::error {_properties(report.proposal, None, 'undecided')}::{_data(report.error)}")
        for same in _joined(report.failures):
            first = same[0]
            breaks = "".join(f"\nbreaks: {line}" for line in _who(same))
            text = f"{report.subject.name} {first.path}: {first.message}{breaks}\ninstead: {first.instead}"
            title = f"{first.rule} {first.name}"
            click.echo(f"::error {_properties(first.file or report.proposal, first.line, title)}::{_data(text)}")
        if report.order:
            click.echo(f"::notice title={_property(report.subject.name)}::{_data(report.order)}")
    click.echo(summary(reports))


def _properties(file: str, line: int | None, title: str) -> str:
    parts = [f"file={_property(file)}"] if file else []
    parts += [f"line={line}"] if line else []
    return ",".join([*parts, f"title={_property(title)}"])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _junit(reports: Sequence[SubjectReport]) -> None:
    """One test case a subject, as GitLab, Jenkins and others show it."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415  # written here, never parsed

    failed = sum(bool(report.failures) for report in reports)
    errors = sum(bool(report.error) for report in reports)
    suite = ET.Element(
        "testsuite", name="prism-check-schema", tests=str(len(reports)), failures=str(failed), errors=str(errors)
    )
    for report in reports:
        case = ET.SubElement(suite, "testcase", classname=report.subject.format, name=report.subject.name)
        if report.error:
            ET.SubElement(case, "error", message=_xml(report.error))
        for same in _joined(report.failures):
            first = same[0]
            failure = ET.SubElement(case, "failure", type=first.rule, message=_xml(f"{first.path}: {first.message}"))
            place = [f"{first.file}:{first.line}"] if first.line else []
            failure.text = _xml("\n".join([*place, *(f"breaks: {w}" for w in _who(same)), f"instead: {first.instead}"]))
    click.echo(ET.tostring(suite, encoding="unicode", xml_declaration=False))


def _xml(text: str) -> str:
    """Without the control characters that no XML file may hold."""
    return "".join(
        c
        if c in "\n\t" or (c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and ord(c) not in (0xFFFE, 0xFFFF))
        else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


_SHOWN: Final[dict[str, Callable[[Sequence[SubjectReport]], None]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "junit": _junit,
}
