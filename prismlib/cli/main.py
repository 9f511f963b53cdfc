"""The ``prism`` command: finds subcommands."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

import click

from prismlib.cli.app import App, pass_app
from prismlib.cli.ends import run_to_its_end

COMMANDS = {
    "alerts": "prismlib.cli.alerts:alerts",
    "check": "prismlib.cli.check:check",
    "dead-letters": "prismlib.cli.dead_letters:dead_letters",
    "offsets": "prismlib.cli.offsets:offsets",
    "plugins": "prismlib.cli.plugins:plugins",
    "run": "prismlib.cli.run:run",
    "schema": "prismlib.cli.schema:schema",
    "serve": "prismlib.cli.serve:serve",
    "setup": "prismlib.cli.setup:setup",
    "status": "prismlib.cli.status:status",
}
"""The core's own commands, imported when they are asked for. Plugins add theirs with the hook ``prism_commands``."""


class PrismGroup(click.Group):
    """The core's commands first, then those of plugins, which are loaded only when one is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_app(ctx).plugins.commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            command = getattr(importlib.import_module(module), attribute)
            if not isinstance(command, click.Command):
                raise TypeError(f"{COMMANDS[cmd_name]} is no command")
            return command
        return _app(ctx).plugins.commands().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(self._unknown(ctx, name), ctx)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        failed = [plugin.name for plugin in _app(ctx).plugins.failed]
        if failed:
            formatter.write_paragraph()
            formatter.write_text(f"Plugins that failed to load: {', '.join(failed)}. See: prism plugins")

    def _unknown(self, ctx: click.Context, name: str) -> str:
        near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
        message = f"There is no command {name!r}{f'; did you mean {near[0]!r}?' if near else '.'}"
        for failed in _app(ctx).plugins.failed:
            if failed.name == name:
                message += f" The plugin {failed} failed to load: {failed.reason}"
        return message


def _app(ctx: click.Context) -> App:
    return ctx.ensure_object(App)


def _version() -> str:
    try:
        return metadata.version("prism-pipeline")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's signature
    if value:
        click.echo(f"prism {_version()}")
        ctx.exit()


@click.group(
    cls=PrismGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: prism check pipelines/air-traffic.toml",
)
@click.option("--debug", is_flag=True, envvar="PRISM_DEBUG", help="Show the traceback of an error. Also PRISM_DEBUG=1.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Print the version."
)
@pass_app
def prism(app: App, debug: bool) -> None:  # noqa: FBT001  # click passes options by name
    """Bring events of many Kafka topics into one standard shape, and from there into Elasticsearch, losing none."""
    app.debug = debug
    # Commands tell with their result what went wrong; libraries' logs beside it are for finding bugs.
    # `prism run` has logs of its own.
    if debug:
        logging.basicConfig(level=logging.DEBUG)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


def execute(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code, as in the table of :mod:`prismlib.cli.ends`.
    """
    return run_to_its_end(prism, "prism", arguments, App(), broken_pipe=0)


def main() -> NoReturn:
    """The entry point of the ``prism`` script."""
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
