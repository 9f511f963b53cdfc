"""``prism run``: one worker, or several processes of one group."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from prismlib.cli import logs
from prismlib.cli.alerts import alerts_of, production_option
from prismlib.cli.app import App, pass_app
from prismlib.cli.project import load, pipeline_argument
from prismlib.cli.supervise import Supervisor, reload_on_hangup, stop_on_signals, stop_when_parent_ends
from prismlib.config.pipeline import PipelineConfig
from prismlib.config.values import is_name
from prismlib.records import Loss
from prismlib.runtime.assemble import assemble
from prismlib.runtime.resolve import resolve
from prismlib.watch.alerts import Alerts

log = logging.getLogger(__name__)


def _worker_name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not is_name(value):
        raise click.BadParameter("letters, digits, '.', '_' and '-' only, beginning with a letter or digit")
    return value


def _losses(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> frozenset[Loss]:
    try:
        return frozenset(map(Loss.parse, values))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog="Example: prism run pipelines/air-traffic.toml --workers 2 --log-format json")
@pipeline_argument
@click.option(
    "--worker",
    default="1",
    show_default=True,
    callback=_worker_name,
    help="Name of this worker, unique in the pipeline: of two with one name, the later one stops the earlier one.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of one group.")
@click.option(
    "--accept-loss",
    metavar="TOPIC[PARTITION]:FIRST-END",
    multiple=True,
    callback=_losses,
    help="Go on without exactly these records, as the refusal shows them; may be given several times.",
)
@click.option("--accept-recreated", metavar="TOPIC", multiple=True, help="Read this topic although it was re-created.")
@click.option(
    "--until-idle", type=click.FloatRange(0.1), metavar="SECONDS", help="End after this long without records."
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="One line an event."
)
@click.option(
    "--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="The least that is logged."
)
@production_option
@click.option("--alerts-tested", is_flag=True, hidden=True, help="Another process tests the alert addresses.")
@click.option("--stop-at-eof", is_flag=True, hidden=True, help="Stop when standard input closes.")
@pass_app
def run(
    app: App,
    pipeline: Path,
    worker: str,
    workers: int,
    accept_loss: frozenset[Loss],
    accept_recreated: tuple[str, ...],
    until_idle: float | None,
    log_format: logs.LogFormat,
    log_level: str,
    production: bool,  # noqa: FBT001  # click passes options by name
    alerts_tested: bool,  # noqa: FBT001  # as above
    stop_at_eof: bool,  # noqa: FBT001  # as above
) -> int:
    """Run a pipeline until it is stopped.

    The first SIGTERM or Ctrl-C finishes what is open, commits and ends with 0; the second ends at once with 130, which
    loses nothing: what is not committed is read again.

    A changed pipeline file or mapping is noticed within two seconds, checked, and used from the next batch on; a paused
    topic is tried again at once. SIGHUP does that without waiting, changed or not. Where a file is wrong, or the change
    needs a restart, that is logged, and everything goes on as it was.

    What ends it, and each pause, is told to the addresses of [alerts] in prism.toml. Ends with 2 when a file is wrong at the
    start, and with 3 when going on would lose records, or a server refuses, or does not answer at the start.
    """
    packages = {plugin.module.partition(".")[0] for plugin in app.plugins.loaded}
    logs.configure(log_format, log_level, worker if workers == 1 else "supervisor", packages)
    with alerts_of(pipeline, worker if workers == 1 else "supervisor") as alerts:
        if workers > 1:
            with alerts.telling():
                config = load(pipeline, app.plugins).pipeline
                _require_topics(config, accept_loss, accept_recreated)
                # What is wrong with the file is told once, not by every worker.
                resolve(config, app.plugins).require_all()
            alerts.begin(production=production)
            options = ["--log-format", log_format, "--log-level", log_level, "--stop-at-eof", "--alerts-tested"]
            options += [f"--accept-loss={loss}" for loss in sorted(accept_loss, key=str)]
            options += [f"--accept-recreated={topic}" for topic in accept_recreated]
            options += [] if until_idle is None else [f"--until-idle={until_idle}"]
            return _supervise(app, pipeline, worker, workers, options, alerts, may_end=until_idle is not None)
        with alerts.telling():
            loaded = load(pipeline, app.plugins)
            _require_topics(loaded.pipeline, accept_loss, accept_recreated)
            runner = assemble(
                loaded.pipeline,
                app.plugins,
                worker=worker,
                registry=loaded.registry,
                storage=loaded.project.storage_path,
                accept_recreated=frozenset(accept_recreated),
                accept_loss=accept_loss,
                until_idle=until_idle,
                watch=True,
            ).runner(alerts.tell)
        if not alerts_tested:
            alerts.begin(production=production)
        if stop_at_eof:
            stop_when_parent_ends(runner.stop)
        started = {"pipeline": loaded.pipeline.name, "topics": ",".join(loaded.pipeline.topics)}
        with stop_on_signals(runner.stop), reload_on_hangup(runner.reload, runner.stop):
            log.info("worker started", extra=started)
            try:
                runner.run()
            finally:
                log.info("worker ended", extra=asdict(runner.counters))
    return 0


def _require_topics(config: PipelineConfig, accept_loss: frozenset[Loss], accept_recreated: tuple[str, ...]) -> None:
    for loss in accept_loss:
        config.require_topic(loss.partition.stream, "--accept-loss")
    for topic in accept_recreated:
        config.require_topic(topic, "--accept-recreated")


def _supervise(
    app: App, pipeline: Path, worker: str, workers: int, options: Sequence[str], alerts: Alerts, *, may_end: bool
) -> int:
    debug = ["--debug"] if app.debug else []
    names = [str(n) if worker == "1" else f"{worker}-{n}" for n in range(1, workers + 1)]
    prism = [sys.executable, "-m", "prismlib.cli.main", *debug, "run", *options]
    # "--" because a file's name may begin with a dash.
    commands = {name: [*prism, f"--worker={name}", "--", str(pipeline)] for name in names}
    supervisor = Supervisor(commands, may_end=may_end, tell=alerts.tell)
    with stop_on_signals(supervisor.stop), reload_on_hangup(supervisor.reload, supervisor.stop):
        return supervisor.run()
