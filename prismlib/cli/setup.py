"""``prism setup``: creates what a pipeline needs on its servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.cli.project import load, pipeline_argument
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import SetupStep
from prismlib.runtime.assemble import administrations
from prismlib.runtime.resolve import resolve

_STYLES = {"exists": "green", "to create": "yellow", "created": "green", "problem": "red"}


@click.command(epilog="Example: prism setup pipelines/air-traffic.toml --yes")
@pipeline_argument
@click.option("--yes", is_flag=True, help="Create what is missing. Without it, nothing is changed.")
@json_option
@pass_app
def setup(app: App, pipeline: Path, yes: bool, as_json: bool) -> int:  # noqa: FBT001  # click passes options by name
    """Create the topics, index template, index and alias that a pipeline needs.

    Shows the plan; with --yes, carries it out. What exists is never changed. Ends with 2, and creates nothing, when
    something stands in the way.
    """
    with _plan(app, pipeline) as steps:
        states = [_state(step) for step in steps]
        wrong = "problem" in states
        if yes and not wrong:
            for number, step in enumerate(steps):
                if not step.exists:
                    step.apply()
                    states[number] = "created"
    if as_json:
        print_json([_row(step, state) for step, state in zip(steps, states, strict=True)])
    else:
        print_table(
            ["what", "state", "problem"],
            [[step.what, (state, _STYLES[state]), step.problem] for step, state in zip(steps, states, strict=True)],
        )
    if wrong:
        nothing = " Nothing was created." if yes else ""
        click.echo(f"There are problems that setup must not repair on its own.{nothing}", err=True)
        return ConfigError.exit_code
    if "to create" in states:
        click.echo(
            "This was a dry run; nothing was changed. Run it again with --yes to create what is missing.", err=True
        )
    return 0


@contextlib.contextmanager
def _plan(app: App, path: Path) -> Iterator[Sequence[SetupStep]]:
    """The steps of both sides; what both sides need, such as the dead letter topic, once."""
    loaded = load(path, app.plugins)
    sides = administrations(
        resolve(loaded.pipeline, app.plugins),
        app.plugins,
        registry=loaded.registry,
        storage=loaded.project.storage_path,
    )
    try:
        steps: dict[str, SetupStep] = {}
        for side in sides.values():
            for step in side.plan():
                steps.setdefault(step.what, step)
        yield list(steps.values())
    finally:
        for side in sides.values():
            side.close()


def _state(step: SetupStep) -> str:
    if step.problem:
        return "problem"
    return "exists" if step.exists else "to create"


def _row(step: SetupStep, state: str) -> dict[str, str]:
    return {"what": step.what, "state": state.replace(" ", "_"), "problem": step.problem}
