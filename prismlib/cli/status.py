"""``prism status``: how far behind pipelines are, how long that is safe, and what a person must look at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from prismlib.cli.alerts import production_option
from prismlib.cli.app import App, json_option, pass_app, print_error, print_json
from prismlib.cli.project import load
from prismlib.cli.status_view import document, print_alerts, print_status
from prismlib.config.project import load_project
from prismlib.errors import ConfigError, PrismError, UnreachableError
from prismlib.runtime.assemble import offset_stores, reader
from prismlib.runtime.resolve import resolve
from prismlib.watch.alerts import AlertPath
from prismlib.watch.findings import findings
from prismlib.watch.status import Status, assess
from prismlib.watch.survey import survey

_FINDING = 1


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of one pipeline file: a status, or why there is none."""

    file: Path
    status: Status | None = None
    error: PrismError | None = None

    @property
    def code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        if self.status is None or not self.status.facts.ledger:
            return UnreachableError.exit_code
        return _FINDING if findings(self.status) else 0


@click.command(epilog="Example: prism status pipelines/air-traffic.toml --partitions")
@click.argument("pipelines", metavar="[PIPELINE.toml]...", type=click.Path(path_type=Path), nargs=-1)
@click.option("--partitions", is_flag=True, help="One line a partition instead of one a topic.")
@production_option
@json_option
@pass_app
def status(app: App, pipelines: tuple[Path, ...], partitions: bool, production: bool, as_json: bool) -> int:  # noqa: FBT001  # click passes options by name
    """Show how far pipelines are behind, for how long nothing is lost, who runs, what is paused, and who would be told.

    Without PIPELINE.toml, all that prism.toml names. Changes nothing, and may be run while the workers run. Ends with 0 when all is well, 1 when a person must look at something, 2 when a file is wrong, 3 when servers do not answer.
    """
    files = pipelines or _of_project()
    answers = []
    for answer in (_ask(app, file) for file in files):
        answers.append(answer)
        if answer.status is not None and not as_json:
            print_status(answer.status, answer.file, partitions=partitions)
        if answer.error is not None:
            for line in str(answer.error).splitlines():
                print_error(line if str(answer.file) in line else f"{answer.file}: {line}")
    paths = list(_alert_paths(files))
    if as_json:
        print_json(_document(answers, paths))
    else:
        for path in paths:
            print_alerts(path)
    if production and any(path.nobody() is not None for path in paths):
        return ConfigError.exit_code
    codes = {answer.code for answer in answers}
    return next((code for code in (ConfigError.exit_code, UnreachableError.exit_code, _FINDING) if code in codes), 0)


def _of_project() -> Sequence[Path]:
    """The pipelines that prism.toml names, as a shell in this folder would write them."""
    project = load_project(Path.cwd())
    if not project.pipelines:
        raise ConfigError(
            f"{project.path or 'there is no prism.toml here or above, which'} names no pipeline; name files on the command line,"
            ' or add [[pipeline]] with file = "pipelines/NAME.toml"'
        )
    files = [project.base / entry.file for entry in project.pipelines]
    return [file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file for file in files]


def _ask(app: App, file: Path) -> _Answer:
    try:
        loaded = load(file, app.plugins)
        resolved = resolve(loaded.pipeline, app.plugins)
        place: dict[str, Any] = {"registry": loaded.registry, "storage": loaded.project.storage_path}
        group, ledger = offset_stores(resolved, app.plugins, **place)
        with closing(group), closing(ledger):
            group.open()
            facts = survey(loaded.pipeline, group, ledger, lambda: reader(resolved, app.plugins, **place))
    except PrismError as error:
        return _Answer(file, error=error)
    return _Answer(file, assess(facts, time.time_ns() // 1_000_000))


def _alert_paths(files: Sequence[Path]) -> Iterator[AlertPath]:
    """One a project."""
    seen: set[Path | None] = set()
    for file in files:
        try:
            project = load_project(file.parent)
        except ConfigError:  # told already, as what is wrong with the pipeline
            continue
        if project.path not in seen:
            seen.add(project.path)
            yield AlertPath.of(project)


def _document(answers: Sequence[_Answer], paths: Sequence[AlertPath]) -> dict[str, Any]:
    return {
        "pipelines": [
            {"file": str(answer.file), "error": str(answer.error)}
            if answer.status is None
            else {"file": str(answer.file), "error": None, **document(answer.status, answer.file)}
            for answer in answers
        ],
        "alerts": [
            {"told": [str(address) for address in path.tested], "wrong": list(path.wrong), "nobody": path.nobody()}
            for path in paths
        ],
    }
