"""``prism serve``: one web server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from prismlib.cli.app import App, pass_app
from prismlib.cli.logs import LEVELS, LogFormat, configure
from prismlib.config.model import Secret
from prismlib.config.project import ProjectConfig, load_project
from prismlib.errors import ConfigError

if TYPE_CHECKING:
    from prismlib.serve.application import Part


def _registry(project: ProjectConfig) -> Part:
    from prismlib.serve.registry.part import registry_part  # noqa: PLC0415  # needs the extra

    return registry_part(project.storage_path)


_PARTS: Final[dict[str, Callable[[ProjectConfig], Part]]] = {"registry": _registry}
"""What there is to serve; each new part has a line here."""


@click.command(epilog="Example: prism serve --only registry")
@click.option("--only", type=click.Choice(sorted(_PARTS)), multiple=True, help="Serve this alone.")
@click.option("--host", metavar="ADDRESS", help="Instead of [serve] host of prism.toml.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Instead of [serve] port of prism.toml; 0 takes a free one."
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line an event.",
)
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="The least that is logged."
)
@pass_app
def serve(
    app: App, only: Sequence[str], host: str | None, port: int | None, log_format: LogFormat, log_level: str
) -> None:
    """Serve the schema registry for existing Confluent clients, in one process, until it is told to stop.

    Schemas are kept in registry.db in [storage] path of prism.toml. Settings are in [serve] there.
    """
    project = load_project(Path.cwd())
    try:
        from prismlib.serve.access import Access, check_host  # noqa: PLC0415  # needs the extra
        from prismlib.serve.application import build_application  # noqa: PLC0415  # as above
        from prismlib.serve.server import address_of, listen, run  # noqa: PLC0415  # as above
    except ImportError as error:
        raise ConfigError(f"the server needs {error.name}: install prism-pipeline[serve]") from error
    settings = project.serve
    access = Access(_revealed(settings.read_token), _revealed(settings.write_token))
    host = settings.host if host is None else host
    check_host(host, access)
    configure(log_format, "debug" if app.debug else log_level, str(os.getpid()))
    names = sorted(only or _PARTS)
    with listen(host, settings.port if port is None else port) as listener:
        parts = [_PARTS[name](project) for name in names]
        click.echo(f"serving {', '.join(names)} at {address_of(listener, host)}", err=True)
        run(build_application(parts, access), listener)


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
