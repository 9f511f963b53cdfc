"""``prism plugins``: what is installed, and what failed to load."""

from __future__ import annotations

from typing import Any

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.plugin.manager import LoadedPlugin, Plugins


@click.command(epilog="Example: prism plugins --json")
@json_option
@pass_app
def plugins(app: App, as_json: bool) -> None:  # noqa: FBT001  # click passes options by name
    """List the installed plugins, their stages, and why any of them failed to load.

    PRISM_PLUGINS=avro,kafka restricts which ones are loaded.
    """
    if as_json:
        print_json(_document(app.plugins))
        return
    rows: list[list[tuple[str, str] | str]] = [
        [one.name, one.distribution, one.version, _offers(one)] for one in app.plugins.loaded
    ]
    rows += [
        [one.name, one.distribution, one.version, (f"failed to load: {one.reason}", "red")]
        for one in app.plugins.failed
    ]
    rows += [[name, "", "", ("left out by PRISM_PLUGINS", "dim")] for name in app.plugins.left_out]
    print_table(["plugin", "distribution", "version", "offers"], rows)


def _offers(plugin: LoadedPlugin) -> str:
    kinds: dict[str, list[str]] = {}
    for stage in plugin.stages:
        kinds.setdefault(stage.kind, []).append(stage.name)
    for store in plugin.stores:
        kinds.setdefault(store.kind.replace("_", " "), []).append(store.name)
    for registry in plugin.registries:
        kinds.setdefault("registry", []).append(registry.name)
    for command in plugin.commands:
        kinds.setdefault("command", []).append(f"prism {command.name}")
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())


def _document(found: Plugins) -> dict[str, Any]:
    return {
        "loaded": [
            {
                "name": one.name,
                "distribution": one.distribution,
                "version": one.version,
                "stages": [{"kind": s.kind, "name": s.name, "summary": s.summary} for s in one.stages],
                "stores": [{"kind": s.kind, "name": s.name} for s in one.stores],
                "registries": [
                    {"name": r.name, "schemes": list(r.schemes), "summary": r.summary} for r in one.registries
                ],
                "commands": [c.name for c in one.commands],
            }
            for one in found.loaded
        ],
        "failed": [
            {"name": one.name, "distribution": one.distribution, "version": one.version, "reason": one.reason}
            for one in found.failed
        ],
        "left_out": list(found.left_out),
    }
