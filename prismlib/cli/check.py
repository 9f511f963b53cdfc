"""``prism check``: a preflight of one pipeline that lists everything, not just the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from prismlib.cli.alerts import alert_checks, production_option
from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.cli.project import pipeline_argument
from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.config.project import load_project
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError, PrismError, RegistryUnavailableError, UnreachableError
from prismlib.plugin.hookspecs import Check
from prismlib.plugin.manager import Plugins
from prismlib.plugin.registries import open_project_registry
from prismlib.runtime.assemble import administrations, assemble
from prismlib.runtime.resolve import ResolvedPipeline, ResolvedStage, resolve

_STYLES = {"ok": "green", "warning": "yellow", "wrong": "red", "unreachable": "red"}


@click.command(epilog="Example: prism check pipelines/air-traffic.toml --json")
@pipeline_argument
@production_option
@json_option
@pass_app
def check(app: App, pipeline: Path, production: bool, as_json: bool) -> int:  # noqa: FBT001  # click passes options by name
    """Look at a pipeline's file, plugins, schemas, servers and alert addresses without changing, reading or sending anything.

    Ends with 0 when it can run, 2 when something is wrong, 3 when a server cannot be reached.
    """
    found = list(_checks(pipeline, app.plugins, production=production))
    if as_json:
        print_json([{"what": one.what, "state": one.state, "detail": one.detail} for one in found])
    else:
        print_table(
            ["what", "state", "detail"], [[one.what, (one.state, _STYLES[one.state]), one.detail] for one in found]
        )
    return exit_code(found)


def exit_code(found: Sequence[Check]) -> int:
    """2 comes before 3: what is wrong in a file can be mended while a server is away."""
    states = {one.state for one in found}
    if "wrong" in states:
        return ConfigError.exit_code
    return UnreachableError.exit_code if "unreachable" in states else 0


def _checks(path: Path, plugins: Plugins, *, production: bool) -> Iterator[Check]:
    for failed in plugins.failed:
        yield Check(f"plugin {failed.name}", "warning", f"failed to load: {failed.reason}")
    try:
        config = load_pipeline(path)
    except ConfigError as error:
        yield from _failures("pipeline file", error)
        return
    yield Check("pipeline file", "ok", f"{path}: {config.name}, of {config.owner} ({config.contact})")
    registry = storage = None
    buildable = True  # stages are built from the project and its schemas; what is wrong with those is told once
    try:
        project = load_project(config.base)
        storage = project.storage_path
        registry = open_project_registry(project, plugins)
        yield Check("project", "ok", str(project.path or "no prism.toml above the pipeline file; defaults apply"))
        yield from alert_checks(project, production=production)
    except PrismError as error:
        yield from _failures("project", error)
        buildable = False
    try:
        resolved = resolve(config, plugins)
    except ConfigError as error:
        yield from _failures("stages", error)
        return
    yield Check("stages", "ok", ", ".join(dict.fromkeys(_types(resolved))))
    yield from _environment(resolved)
    if registry is not None:
        answer = _registry(registry, project.registry.url)
        yield from answer
        buildable = all(one.state == "ok" for one in answer)
        if buildable:
            yield from _schemas(resolved, registry)
    try:
        resolved.require_all()
    except ConfigError as error:
        yield from _failures("stages", error)
        buildable = False
    if buildable:
        yield from _built(config, plugins, registry, storage)
    yield from _servers(resolved, plugins, registry, storage)


def _failures(what: str, error: PrismError) -> Iterator[Check]:
    unreachable = isinstance(error, UnreachableError | RegistryUnavailableError)
    for line in str(error).splitlines():
        yield Check(what, "unreachable" if unreachable else "wrong", line)


def _types(resolved: ResolvedPipeline) -> Iterator[str]:
    for stage in _stages(resolved):
        yield f"{stage.spec.kind} {stage.spec.name}"


def _stages(resolved: ResolvedPipeline) -> Iterator[ResolvedStage]:
    """Those that the file names, in the order of the route."""
    routes = [stage for route in resolved.routes for stage in (route.decode, route.normalizer)]
    stages = [resolved.sides.get("source"), *routes, resolved.sides.get("sink"), resolved.encoder]
    yield from (stage for stage in stages if stage is not None)


def _environment(resolved: ResolvedPipeline) -> Iterator[Check]:
    for variable in resolved.applied:
        yield Check("environment", "ok", f"{variable} replaces a key of the file")
    for variable in resolved.passed_over:
        yield Check("environment", "warning", f"{variable} is set, and no stage of this pipeline has such a key")


def _registry(registry: Registry, url: str) -> Sequence[Check]:
    """Whether it answers."""
    try:
        count = len(registry.subjects())
    except PrismError as error:
        return list(_failures("registry", error))
    return [Check("registry", "ok", f"{url}: {count} subject{'' if count == 1 else 's'}")]


def _schemas(resolved: ResolvedPipeline, registry: Registry) -> Iterator[Check]:
    """Whether each subject that a stage names has a released version."""
    subjects = {getattr(stage.settings, "subject", None): stage.where for stage in _stages(resolved)}
    for subject, where in subjects.items():
        if not isinstance(subject, str):
            continue
        try:
            latest = registry.latest(subject)
        except PrismError as error:
            for one in _failures(f"subject {subject}", error):
                yield Check(one.what, one.state, f"{where}: {one.detail}")
        else:
            yield Check(f"subject {subject}", "ok", f"version {latest.version}, {latest.format}, id {latest.id}")


def _built(
    config: PipelineConfig, plugins: Plugins, registry: Registry | None, storage: Path | None
) -> Iterator[Check]:
    """Build every stage, which reads mappings, schemas and client libraries, and connects to nothing."""
    try:
        assemble(config, plugins, worker="check", registry=registry, storage=storage)
    except PrismError as error:
        yield from _failures("route", error)
    else:
        yield Check("route", "ok", "all stages can be built and fit together")


def _servers(
    resolved: ResolvedPipeline, plugins: Plugins, registry: Registry | None, storage: Path | None
) -> Iterator[Check]:
    try:
        sides = administrations(resolved, plugins, registry=registry, storage=storage)
    except PrismError as error:
        yield from _failures("servers", error)
        return
    for side in sides.values():
        try:
            yield from side.preflight()
        except PrismError as error:
            yield from _failures("servers", error)
        finally:
            side.close()
