"""Finds, loads and isolates plugins: a broken one costs its own stages and nothing else."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar, get_args

import click
import pluggy

from prismlib.config.model import Model
from prismlib.errors import ConfigError, PluginLoadError, PluginNotFoundError
from prismlib.plugin import hookspecs
from prismlib.plugin.hookspecs import GROUP, RegistrySpec, StageKind, StageSpec, StoreKind, StoreSpec

RESTRICT = "PRISM_PLUGINS"
"""Environment variable: names of the entry points to load, separated by commas; unset or empty loads all."""

T = TypeVar("T")
Spec = StageSpec | StoreSpec


@dataclass(frozen=True, slots=True)
class Installed:
    """Where a plugin comes from.

    Attributes:
        name: of its entry point, which ``PRISM_PLUGINS`` takes.
        distribution: the installed package that brings it.
        version: of that package.
        module: what the entry point names.
    """

    name: str
    distribution: str
    version: str
    module: str

    def __str__(self) -> str:
        return f"{self.name!r} (of {self.distribution} {self.version})"


@dataclass(frozen=True, slots=True)
class LoadedPlugin(Installed):
    """A plugin that is ready.

    Attributes:
        stages: what pipeline files can name.
        stores: dead letters, administrations and readers.
        registries: what ``[registry] url`` can name by its scheme.
        commands: what it adds to ``prism``.
    """

    stages: tuple[StageSpec, ...] = ()
    stores: tuple[StoreSpec, ...] = ()
    registries: tuple[RegistrySpec, ...] = ()
    commands: tuple[click.Command, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedPlugin(Installed):
    """A plugin that is installed and could not be loaded.

    Attributes:
        reason: one line: type and message of the exception, or what is wrong with its hooks.
        error: the exception, for ``prism --debug``.
    """

    reason: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Plugins:
    """What is installed. Build one with :func:`load_plugins` and pass it on.

    Attributes:
        loaded: plugins that are ready, by name.
        failed: plugins that are not, by name.
        left_out: names of installed plugins that ``PRISM_PLUGINS`` does not list.
    """

    loaded: tuple[LoadedPlugin, ...] = ()
    failed: tuple[FailedPlugin, ...] = ()
    left_out: tuple[str, ...] = ()

    def stage(self, kind: StageKind, name: str) -> StageSpec:
        """The stage that a pipeline file names.

        Raises:
            PluginNotFoundError: nobody offers it; names the nearest, or all there are.
            PluginLoadError: the plugin of that name failed to load, or two plugins offer the stage.
        """
        offers = [(s.name, p, s) for p in self.loaded for s in p.stages if s.kind == kind]
        return self._only(kind, name, offers)

    def store(self, kind: StoreKind, name: str) -> StoreSpec:
        """What is kept beside the data of a source or sink type. Raises like :meth:`stage`."""
        offers = [(s.name, p, s) for p in self.loaded for s in p.stores if s.kind == kind]
        return self._only(kind, name, offers)

    def registry(self, scheme: str) -> RegistrySpec:
        """The kind of registry for addresses of a scheme. Raises like :meth:`stage`."""
        offers = [(scheme, p, r) for p in self.loaded for r in p.registries for scheme in r.schemes]
        return self._only("registry", scheme, offers)

    def commands(self) -> Mapping[str, click.Command]:
        """Commands that plugins add to ``prism``, by name.

        Raises:
            PluginLoadError: two plugins offer a command of the same name.
        """
        offers = [(c.name or "", p, c) for p in self.loaded for c in p.commands]
        return {name: self._only("command", name, offers) for name, _, _ in offers}

    def owner(self, spec: Spec) -> str:
        """The plugin that a spec comes from, as errors name it."""
        return next((str(p) for p in self.loaded if spec in p.stages or spec in p.stores), "an unknown plugin")

    def _only(self, kind: str, name: str, offers: Sequence[tuple[str, LoadedPlugin, T]]) -> T:
        found = [(plugin, offer) for offered, plugin, offer in offers if offered == name]
        label = kind.replace("_", " ")
        if len(found) > 1:
            both = " and ".join(str(plugin) for plugin, _ in found)
            raise PluginLoadError(
                f"the {label} {name!r} is offered by the plugins {both}; uninstall one, or list the wanted ones in {RESTRICT}"
            )
        if found:
            return found[0][1]
        for failed in self.failed:
            if failed.name == name:
                raise PluginLoadError(
                    f"there is no {label} {name!r}, because the plugin {failed} failed to load: {failed.reason}"
                ) from failed.error
        raise PluginNotFoundError(self._nobody(label, name, sorted({offered for offered, _, _ in offers})))

    def _nobody(self, label: str, name: str, known: Sequence[str]) -> str:
        message = f"no installed plugin offers the {label} {name!r}"
        near = difflib.get_close_matches(name, known, n=1)
        if near:
            message += f"; did you mean {near[0]!r}?"
        else:
            message += f"; installed are {', '.join(known)}" if known else "; none of its kind is installed"
        if name in self.left_out:
            message += f"; the plugin {name!r} is installed and left out by {RESTRICT}"
        if len(self.failed) == 1:
            message += f"; the plugin {self.failed[0]} failed to load and may offer it: {self.failed[0].reason}"
        elif self.failed:
            names = ", ".join(failed.name for failed in self.failed)
            message += f"; these plugins failed to load and may offer it, see `prism plugins`: {names}"
        return message


def load_plugins() -> Plugins:
    """Load every installed plugin, each in a ``try`` of its own.

    The core's own entry points are always loaded, whatever ``PRISM_PLUGINS`` says.

    Raises:
        ConfigError: ``PRISM_PLUGINS`` names a plugin that is not installed.
    """
    entry_points = sorted(metadata.entry_points(group=GROUP), key=lambda e: (e.name, e.value))
    wanted = _wanted([e.name for e in entry_points])
    loaded: list[LoadedPlugin] = []
    failed: list[FailedPlugin] = []
    left_out: list[str] = []
    for entry_point in entry_points:
        own = entry_point.module.split(".")[0] == "prismlib"
        if wanted is not None and entry_point.name not in wanted and not own:
            left_out.append(entry_point.name)
            continue
        origin = (entry_point.name, *_distribution(entry_point), entry_point.module)
        try:
            loaded.append(_load(entry_point, origin))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's module can raise anything; it is kept and shown
            failed.append(FailedPlugin(*origin, _reason(error), error))
    return Plugins(tuple(loaded), tuple(failed), tuple(left_out))


def _wanted(installed: Sequence[str]) -> frozenset[str] | None:
    names = [name.strip() for name in os.environ.get(RESTRICT, "").split(",") if name.strip()]
    for name in names:
        if name not in installed:
            near = difflib.get_close_matches(name, installed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(sorted(set(installed)))}"
            raise ConfigError(f"{RESTRICT}: no plugin {name!r} is installed; {hint}")
    return frozenset(names) or None


def _distribution(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    dist = entry_point.dist
    if dist is None:
        return "an unknown distribution", "?"
    # A damaged installation has metadata without these lines, which importlib answers with None against its own types.
    fields: Any = dist.metadata
    return str(fields["Name"] or "an unnamed distribution"), str(fields["Version"] or "?")


def _load(entry_point: metadata.EntryPoint, origin: tuple[str, str, str, str]) -> LoadedPlugin:
    module = entry_point.load()
    # A manager of its own for each plugin: one hook that raises must not keep the others' results back.
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, entry_point.name)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        raise PluginLoadError(f"{entry_point.value} implements none of the hooks {', '.join(_hooks())}")
    plugin = LoadedPlugin(
        *origin,
        stages=_results("prism_stages", manager.hook.prism_stages(), StageSpec),
        stores=_results("prism_stores", manager.hook.prism_stores(), StoreSpec),
        registries=_results("prism_registries", manager.hook.prism_registries(), RegistrySpec),
        commands=_results("prism_commands", manager.hook.prism_commands(), click.Command),
    )
    for stage in plugin.stages:
        _check_kind("prism_stages", stage, get_args(StageKind))
        _check_model("prism_stages", f"the {stage.kind} {stage.name!r}", stage.config_model)
    for registry in plugin.registries:
        _check_callable("prism_registries", registry)
        _check_model("prism_registries", f"the registry {registry.name!r}", registry.config_model)
        if not registry.schemes or not all(isinstance(s, str) and s == s.lower() for s in registry.schemes):
            raise PluginLoadError(
                f"hook prism_registries: the schemes of {registry.name!r} must be a tuple of words in lower case"
            )
    for store in plugin.stores:
        _check_kind("prism_stores", store, get_args(StoreKind))
    for command in plugin.commands:
        if not command.name:
            raise PluginLoadError("hook prism_commands: a command has no name")
    return plugin


def _hooks() -> list[str]:
    return [name for name in vars(hookspecs) if name.startswith("prism_")]


def _results(hook: str, answers: Sequence[object], wanted: type[T]) -> tuple[T, ...]:
    results: list[T] = []
    for answer in answers:
        if not isinstance(answer, Iterable) or isinstance(answer, str | bytes | Mapping):
            raise PluginLoadError(f"hook {hook} must return a list of {wanted.__name__}, not {answer!r}")
        for item in answer:
            if not isinstance(item, wanted):
                raise PluginLoadError(f"hook {hook} must return {wanted.__name__} only, not {item!r}")
            results.append(item)
    return tuple(results)


def _check_kind(hook: str, spec: Spec, kinds: tuple[str, ...]) -> None:
    """What type checkers promise, and a plugin that was not checked does not keep."""
    _check_callable(hook, spec)
    if spec.kind not in kinds:
        raise PluginLoadError(f"hook {hook}: {spec.name!r} has the kind {spec.kind!r}; known are {', '.join(kinds)}")


def _check_callable(hook: str, spec: Spec | RegistrySpec) -> None:
    name: object = spec.name
    if not isinstance(name, str) or not name:
        raise PluginLoadError(f"hook {hook}: the name {name!r} must be a string that is not empty")
    if not callable(spec.factory):
        raise PluginLoadError(f"hook {hook}: the factory of {name!r} cannot be called")


def _check_model(hook: str, what: str, model: object) -> None:
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise PluginLoadError(
            f"hook {hook}: config_model of {what} must be a subclass of prismlib.config.model.Model, not {model!r}"
        )


def _reason(error: BaseException) -> str:
    """One line, for tables and messages."""
    text = " ".join(str(error).split())
    if isinstance(error, PluginLoadError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
