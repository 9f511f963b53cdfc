"""The development servers as a plugin: ``prism dev``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prismlib.plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def prism_commands() -> Sequence[click.Command]:
    """The group ``dev``."""
    from prism_devservers.commands import dev  # noqa: PLC0415 - other commands must not wait for its imports

    return [dev]
