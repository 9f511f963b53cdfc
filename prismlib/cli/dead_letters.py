"""``prism dead-letters``: find, understand, retry and export the records that could not go on."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import click

from prismlib.cli.app import App, colour, json_option, pass_app, print_json, printable, progress
from prismlib.cli.dead_letters_retry import retry
from prismlib.cli.dead_letters_show import Decoders, show
from prismlib.cli.letter_options import Opened, command, opened, selection_of, selection_options
from prismlib.cli.project import pipeline_argument
from prismlib.errors import ConfigError, PrismError
from prismlib.runtime.letter_index import OTHER, Group, LetterIndex, Reason, read_letters, scan
from prismlib.runtime.letter_view import contents, decode, document, jsonable
from prismlib.runtime.letters import Selection, StoredLetter
from prismlib.timestamps import utc


@click.group("dead-letters", epilog="Example: prism dead-letters list pipelines/air-traffic.toml")
def dead_letters() -> None:
    """Look at the records that could not go on, and retry them once the cause is mended."""


dead_letters.add_command(show)
dead_letters.add_command(retry)


# --- list ----------------------------------------------------------------------------------------------------------------


@dead_letters.command("list", epilog="Example: prism dead-letters list pipelines/air-traffic.toml --since 2h")
@pipeline_argument
@selection_options
@click.option(
    "--all", "settled", is_flag=True, help="Also letters that were delivered, or dropped by the mapping, since."
)
@click.option("--ids", is_flag=True, help="Print the id of each letter, one a line, instead of groups.")
@json_option
@pass_app
def list_letters(app: App, /, pipeline: Path, settled: bool, ids: bool, as_json: bool, **options: Any) -> None:  # noqa: FBT001  # click passes options by name
    """List dead letters by topic and reason, the most frequent first.

    Of a record that was retried and failed again, the newest letter counts. Keeps about 50 bytes a letter in memory, 150
    for a moment, and no record.
    """
    with opened(app, pipeline) as found:
        index = scanned(found, selection_of(**options))
    if ids:
        for row in index.rows(settled=settled):
            click.echo(str(index.id(row)))
        return
    groups = index.groups(settled=settled)
    if as_json:
        print_json(_listing(index, groups))
        return
    for group in groups:
        _print_group(group, settled=settled)
    _print_end(index, groups, pipeline)


def scanned(found: Opened, selection: Selection) -> LetterIndex:
    """Read the whole dead letter topic, with progress."""
    config = found.loaded.pipeline
    with progress("reading dead letters") as bar:
        return scan(found.reader, config.dead_letter_topic, config.name, selection, lambda read: bar(read, None))


def reason_words(reason: Reason) -> str:
    """A reason on one line."""
    if reason == OTHER:
        return "other reasons, not told apart"
    words = [reason.topic, reason.stage, reason.code, f"field {reason.field}" if reason.field else ""]
    return printable("  ".join(filter(None, words)))


def _print_group(group: Group, *, settled: bool) -> None:
    counts = f"{group.counts['open']:,} open"
    if settled:
        counts += "".join(f", {group.counts[state]:,} {state}" for state in ("delivered", "dropped"))
    click.secho(f"{counts}  {reason_words(group.reason)}", bold=True, color=colour(sys.stdout))
    when = utc(group.first_ms)
    if group.last_ms != group.first_ms:
        when += f" to {utc(group.last_ms)}"
    tries = "" if group.attempts == 1 else f", up to {group.attempts} attempts"
    click.echo(f"    {printable(group.sentence)}")
    click.echo(f"    {when}{tries}, for example {group.example}")


def _print_end(index: LetterIndex, groups: Sequence[Group], pipeline: Path) -> None:
    """What is no result but helps: totals, what was passed over, and the next command."""
    total = sum(group.counts.total() for group in groups)
    told = f"{total:,} dead letters in {index.topic}" if total else f"No such dead letters in {index.topic}"
    click.echo(f"{told}.", err=True)
    for name, count in index.strangers.most_common(5):
        click.echo(f"Passed over {count:,} of another pipeline, {printable(name) or 'without a name'}.", err=True)
    if index.unknown:
        click.echo(f"Passed over {index.unknown:,} records that are no dead letters of Prism.", err=True)
    if groups:
        click.echo(f"Look at one: {command('show', pipeline, groups[0].example)}", err=True)


def _listing(index: LetterIndex, groups: Sequence[Group]) -> dict[str, Any]:
    return {
        "topic": index.topic,
        "pipeline": index.pipeline,
        "groups": [
            {
                "topic": group.reason.topic,
                "stage": group.reason.stage,
                "code": group.reason.code,
                "field": group.reason.field or None,
                "sentence": group.sentence,
                "open": group.counts["open"],
                "delivered": group.counts["delivered"],
                "dropped": group.counts["dropped"],
                "first_ms": group.first_ms,
                "last_ms": group.last_ms,
                "attempts": group.attempts,
                "example": str(group.example),
            }
            for group in groups
        ],
        "other_pipelines": dict(index.strangers),
        "other_records": index.unknown,
    }


# --- export --------------------------------------------------------------------------------------------------------------


@dead_letters.command(epilog="Example: prism dead-letters export pipelines/air-traffic.toml --output bad.jsonl")
@pipeline_argument
@selection_options
@click.option(
    "--all", "settled", is_flag=True, help="Also letters that were delivered, or dropped by the mapping, since."
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of standard output."
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@pass_app
def export(app: App, /, pipeline: Path, settled: bool, output: Path | None, force: bool, **options: Any) -> None:  # noqa: FBT001  # click passes options by name
    """Write dead letters as JSON lines: origin, reason, attempts, and the record itself.

    Keys, values and headers are written as base64, and as text, JSON and decoded fields where they are such.
    """
    with opened(app, pipeline) as found, _destination(output, force=force) as file:
        index = scanned(found, selection_of(**options))
        decoders = Decoders(found, app.plugins)
        rows = index.rows(settled=settled)
        wanted = bytearray(len(index))
        for row in rows:
            wanted[row] = True
        done = 0
        with progress("exporting") as bar:
            for letter in read_letters(found.reader, index.starts(rows)):
                at = index.find(letter.id)
                if at is None or not wanted[at]:
                    continue
                file.write(_line({**document(letter, index.state(at)), **contents(letter)}, letter, decoders))
                done += 1
                if done % 1000 == 0:
                    bar(done, len(rows))
    click.echo(f"{done:,} dead letters written{f' to {output}' if output else ''}.", err=True)


def _line(document: dict[str, Any], letter: StoredLetter, decoders: Decoders) -> str:
    try:
        decoder = decoders.of(letter.origin.stream)
        row, error = decode(decoder, letter) if letter.value is not None else (None, None)
        document["decoded"] = None if isinstance(row, bytes) else jsonable(row)
        document["decode_error"] = None if error is None else str(error)
    except PrismError as error:
        document["decoded"], document["decode_error"] = None, str(error)
    except RecursionError:
        document["decoded"], document["decode_error"] = None, "it is nested too deeply to be exported"
    try:
        return json.dumps(document, ensure_ascii=False) + "\n"
    except RecursionError:
        for part in (document["key"], document["value"]):
            if part is not None:
                part.pop("json", None)
        return json.dumps({**document, "decoded": None}, ensure_ascii=False) + "\n"


@contextlib.contextmanager
def _destination(output: Path | None, *, force: bool) -> Iterator[IO[str]]:
    """Standard output, or a file that is there whole or not at all."""
    if output is None:
        yield sys.stdout
        return
    if output.exists() and not force:
        raise ConfigError(f"{output} exists; name another file, or replace it with --force")
    beside = output.with_name(f"{output.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            yield file
        beside.replace(output)
    except OSError as error:
        raise ConfigError(f"--output: {output} cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
