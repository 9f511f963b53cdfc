"""``prism dead-letters show``: one letter, with its record as far as it can be decoded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from prismlib.cli.app import App, colour, json_option, pass_app, print_json, printable
from prismlib.cli.letter_options import Opened, command, opened
from prismlib.cli.project import pipeline_argument
from prismlib.config.values import is_name
from prismlib.contracts.registry import RegisteredSchema
from prismlib.errors import ConfigError, PrismError
from prismlib.plugin.manager import Plugins
from prismlib.records import Explanation
from prismlib.runtime.assemble import fields_behind, whole_decoder
from prismlib.runtime.letter_view import (
    FoundLetter,
    contents,
    document,
    explain,
    find_letter,
    is_at_fault,
    jsonable,
    writer_schema,
)
from prismlib.runtime.letters import LetterId, StoredLetter, field_pattern
from prismlib.stages import Decoder
from prismlib.timestamps import utc

_AROUND: Final = 64  # bytes shown before and after the one at fault
_LONGEST: Final = 300  # characters of one value


class Decoders:
    """The decoders of a pipeline's routes, for everything in their records; made when they are needed."""

    def __init__(self, found: Opened, plugins: Plugins) -> None:
        self._found = found
        self._plugins = plugins
        self._known: dict[str, Decoder | PrismError] = {}

    def of(self, topic: str) -> Decoder:
        """The decoder of a topic. Raises ConfigError where there is no route, and whatever making it raises."""
        if topic not in self._known:
            try:
                self._known[topic] = self._make(topic)
            except PrismError as error:
                self._known[topic] = error
        known = self._known[topic]
        if isinstance(known, PrismError):
            raise known.with_traceback(None)
        return known

    def _make(self, topic: str) -> Decoder:
        loaded, resolved = self._found.loaded, self._found.resolved
        for route in resolved.routes:
            if route.topic == topic:
                return whole_decoder(
                    route, resolved, self._plugins, registry=loaded.registry, storage=loaded.project.storage_path
                )
        raise ConfigError(f"{loaded.pipeline.path} has no route for the topic {topic} any more")

    def behind(self, letter: StoredLetter) -> frozenset[str]:
        """The fields of the record that the event's field at fault is made of."""
        loaded, resolved = self._found.loaded, self._found.resolved
        field = field_pattern(letter.last.field).replace("[]", "")
        for route in resolved.routes:
            if route.topic == letter.origin.stream and field and letter.last.stage != "decode":
                try:
                    return fields_behind(
                        field,
                        route,
                        resolved,
                        self._plugins,
                        registry=loaded.registry,
                        storage=loaded.project.storage_path,
                    )
                except PrismError:
                    return frozenset()  # a mapping that cannot be built now; `prism check` says why
        return frozenset()


@click.command(epilog="Example: prism dead-letters show pipelines/air-traffic.toml 0-57")
@pipeline_argument
@click.argument("letter")
@json_option
@pass_app
def show(app: App, pipeline: Path, letter: str, as_json: bool) -> None:  # noqa: FBT001  # click passes options by name
    """Show one dead letter: origin, reasons, schema, and its record as far as it can be decoded.

    LETTER is its partition and offset in the dead letter topic, such as 0-57, as `prism dead-letters list` prints them.
    The values of the record are printed.
    """
    wanted = LetterId.parse(letter)
    with opened(app, pipeline) as found:
        topic = found.loaded.pipeline.dead_letter_topic
        one = find_letter(found.reader, topic, wanted)
        if one is None:
            all_of_them = command("list", pipeline, "--ids")
            raise ConfigError(f"there is no dead letter {wanted} in {topic}; `{all_of_them}` names all")
        schema = writer_schema(found.loaded.registry, one.letter.schema_id)
        decoders = Decoders(found, app.plugins)
        explanation = _explained(decoders, one.letter)
        behind = decoders.behind(one.letter)
    if as_json:
        print_json(_document(one, schema, explanation))
    else:
        for line in _lines(one, schema, explanation, behind):
            click.echo(line, color=colour(sys.stdout))
        _print_end(one, pipeline)


def _explained(decoders: Decoders, letter: StoredLetter) -> Explanation | str:
    """How far the record can be decoded, or the sentence why that cannot be tried."""
    try:
        return explain(decoders.of(letter.origin.stream), letter)
    except PrismError as error:
        return str(error)


# --- for people ----------------------------------------------------------------------------------------------------------


def _lines(
    found: FoundLetter, schema: RegisteredSchema | str, explanation: Explanation | str, behind: frozenset[str]
) -> Iterator[str]:
    letter = found.letter
    yield click.style(f"dead letter {letter.id} of {letter.pipeline}: {_fate(found)}", bold=True)
    where = f"{letter.origin} offset {letter.offset}" + (f" of epoch {letter.epoch}" if letter.epoch else "")
    yield f"  origin   {printable(where)}, written at {utc(letter.timestamp_ms)}"
    yield f"  key      {_value(letter.key)}"
    for name, value in letter.record_headers or ():
        yield f"  header   {printable(name)} = {_value(value)}"
    yield f"  schema   {_schema(schema)}"
    yield f"  worker   {printable(letter.worker)}"
    if letter.previous is not None:
        yield f"  before   it was {letter.previous}, which was retried and failed again"
    yield ""
    for one in letter.attempts:
        yield click.style(
            printable(f"attempt {one.attempt or '?'}  {utc(one.at_ms)}  {one.stage}  {one.code}"), bold=True
        )
        yield f"  {printable(one.reason)}" + (printable(f" (field {one.field})") if one.field else "")
    yield ""
    if letter.value is None:
        yield "the record has no value: it is a tombstone"
    elif isinstance(explanation, str):
        yield f"the record cannot be decoded: {printable(explanation)}"
        yield from _dump(letter.value, None)
    else:
        yield from _record(letter, letter.value, explanation, behind)


def _record(letter: StoredLetter, value: bytes, explanation: Explanation, behind: frozenset[str]) -> Iterator[str]:
    error = explanation.error
    yield click.style("the record, as far as it can be decoded now" if error else "the record, decoded now", bold=True)
    width = min(40, max((len(path) for path, _ in explanation.fields), default=0))
    marked = False
    for path, one in explanation.fields:
        line = f"{printable(path):<{width}}  {_value(one)}"
        at_fault = is_at_fault(path, letter, error, behind)
        marked |= at_fault
        yield click.style(f"> {line}", fg="red") if at_fault else f"  {line}"
    if letter.last.field and not marked and not error:
        of = "" if letter.last.stage == "decode" else " of the event"
        yield click.style(printable(f"> {letter.last.field}{of} is at fault, see above"), fg="red")
    if error is not None:
        at = "" if explanation.at is None else f" at byte {explanation.at}"
        yield click.style(printable(f"> here it ends{at}: {error}"), fg="red")
        yield from _dump(value, explanation.at)


def _dump(value: bytes, at: int | None) -> Iterator[str]:
    """Bytes around the one at fault, or the first ones; 16 a line."""
    start = max(0, (at or 0) - _AROUND) & ~15
    stop = min(len(value), (at or 0) + _AROUND + 16)
    yield f"  {len(value)} bytes" + (f", of which {start} to {stop - 1}:" if stop - start < len(value) else ":")
    if not value:
        return
    # A value that ends too early is at fault right behind its last byte.
    for line in range(start, max(stop, (at or 0) + 1), 16):
        row = value[line : min(line + 16, stop)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        cells = [f"{byte:02x}" for byte in row]
        here = at is not None and line <= at < line + 16
        if here and at is not None:
            cells += ["  "] * (at - line - len(cells) + 1)
            cells[at - line] = click.style(cells[at - line], fg="red", reverse=True)
        padding = "   " * (16 - len(cells))
        yield f"  {line:08x}  {' '.join(cells)}{padding}  |{text}|"
        if here and at is not None:
            yield f"  {'':8}  {'   ' * (at - line)}^^ byte {at}"


def _fate(found: FoundLetter) -> str:
    if found.settled_ms is None:
        return "open"
    words = {"delivered": "delivered", "dropped": "dropped by the mapping", "failed": "retried and failed again"}
    behind = "" if found.successor is None else f", now {found.successor}"
    return f"{words[found.state]} at {utc(found.settled_ms)}{behind}"


def _schema(schema: RegisteredSchema | str) -> str:
    if isinstance(schema, str):
        return printable(schema)
    return f"subject {schema.subject} version {schema.version}, {schema.format} (schema id {schema.id})"


def _value(value: object) -> str:
    """A value on one line, cut where it is long."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            value = repr(value)
            return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
    try:
        text = printable(json.dumps(value, ensure_ascii=False, default=str))
    except (RecursionError, ValueError):
        text = "(nested too deeply to be shown)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _print_end(found: FoundLetter, pipeline: Path) -> None:
    code = found.letter.last.code
    if found.state == "open":
        chosen = ("--reason", code) if is_name(code) else ()
        click.echo(f"When the cause is mended: {command('retry', pipeline, *chosen)}", err=True)
    elif found.successor is not None:
        click.echo(f"See what it became: {command('show', pipeline, found.successor)}", err=True)


# --- for programs --------------------------------------------------------------------------------------------------------


def _document(found: FoundLetter, schema: RegisteredSchema | str, explanation: Explanation | str) -> dict[str, Any]:
    record: dict[str, Any] = {"fields": [], "error": explanation if isinstance(explanation, str) else None, "at": None}
    if isinstance(explanation, Explanation):
        record = {
            "fields": [[path, jsonable(value)] for path, value in explanation.fields],
            "error": None if explanation.error is None else str(explanation.error),
            "at": explanation.at,
        }
    return {
        **document(found.letter, found.state),
        "settled_ms": found.settled_ms,
        "successor": None if found.successor is None else str(found.successor),
        "schema": {"unknown": schema}
        if isinstance(schema, str)
        else {"id": schema.id, "subject": schema.subject, "version": schema.version, "format": schema.format},
        **contents(found.letter),
        "record": record,
    }
