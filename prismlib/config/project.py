"""``prism.toml``, one per repository: where schemas come from, who is told, and what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from prismlib.config.model import Model, Secret, read_toml, validate
from prismlib.config.values import Name, OpenTable, Text
from prismlib.contracts.registry_url import registry_scheme

FILE_NAME = "prism.toml"


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError):
        raise ValueError("is no time zone; write one such as 'Europe/Berlin' or 'UTC'") from None
    return value


class RegistryConfig(OpenTable):
    """Where schemas come from; other keys are those of the plugin that serves the address.

    Attributes:
        url: a folder, relative to ``prism.toml``, or an address whose scheme an installed plugin serves.
        token: for a registry that asks for one.
    """

    url: Text = "schemas"
    token: Secret | None = None

    @property
    def scheme(self) -> str | None:
        """That of ``url`` in lower case; None for a folder."""
        return registry_scheme(self.url)


class _FolderRegistry(Model):
    url: Text = "schemas"
    token: Secret | None = None


class StorageConfig(Model):
    """Where what is embedded keeps its files.

    Attributes:
        path: a folder, relative to ``prism.toml``.
    """

    path: Text = ".prism"


class AlertsConfig(Model):
    """Who is told when a pipeline refuses to start, pauses or stops.

    Attributes:
        to: addresses in Apprise's notation, one a person or channel; secrets, since most of them hold a password or token.
        heartbeat: an address that is pinged while the sentinel lives. This version checks this key and pings nothing yet.
    """

    to: Annotated[tuple[Secret, ...], Field(strict=False)] = ()
    heartbeat: Secret | None = None


class PipelineEntry(Model):
    """A pipeline of this repository.

    Attributes:
        file: its pipeline file, relative to ``prism.toml``.
    """

    file: Text


class SubjectEntry(Model):
    """A subject that this repository produces or consumes.

    Attributes:
        name: of the subject.
        schema_: file of the proposed schema, relative to ``prism.toml``; released versions stay as they are.
    """

    name: Name
    schema_: Annotated[Text, Field(alias="schema")]


class Measure(Model):
    """One measure; exactly one key, whose value is the path of a field.

    Attributes:
        sum: the sum of its values.
        mean: their mean.
        min: the smallest.
        max: the largest.
    """

    sum: Text | None = None
    mean: Text | None = None
    min: Text | None = None
    max: Text | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError('must have one key, as in { mean = "measures.delay" }')
        return self


class StatisticsEntry(Model):
    """A daily aggregation of the events of one pipeline. This version checks these keys and computes nothing yet.

    Attributes:
        name: of the statistic.
        pipeline: name of the pipeline whose events are counted.
        time: path of the event's time.
        time_zone: in which days begin and end.
        group_by: paths of the fields with a result of their own for each value.
        where: field and value that an event must have to be counted.
        measures: what is computed, by name: ``"count"``, or a table.
    """

    name: Name
    pipeline: Name
    time: Text
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    group_by: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    where: Annotated[dict[str, str | int | bool | float], Field(default_factory=dict)]
    measures: dict[str, Literal["count"] | Measure]


class ObjectStoreConfig(Model):
    """Where computed days are kept. This version checks this key and keeps nothing there yet.

    Attributes:
        url: ``file:PATH``, ``s3://BUCKET/PREFIX`` or ``oss://BUCKET/PREFIX``.
    """

    url: Text = "file:.prism/objects"


class ServeConfig(Model):
    """The server of ``prism serve``. Without tokens it serves this machine alone.

    Attributes:
        host: address to listen on; another one than a loopback address needs ``read_token`` or ``write_token``.
        port: to listen on; 0 takes any that is free.
        read_token: for whoever may read; also what workers report what they read with.
        write_token: for whoever may read, register, delete, and change levels and modes. Without it, and with
            ``read_token``, nobody may.
    """

    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8081
    read_token: Secret | None = None
    write_token: Secret | None = None


class ProjectConfig(Model):
    """One per repository, in its root; without one, the defaults apply. Relative paths start at its folder.

    Attributes:
        registry: where schemas come from.
        storage: where what is embedded keeps its files.
        alerts: who is told.
        pipelines: the pipelines of this repository.
        subjects: what this repository produces or consumes.
        statistics: daily aggregations.
        object_store: where computed days are kept.
        serve: the server of ``prism serve``.
    """

    registry: RegistryConfig = RegistryConfig()
    storage: StorageConfig = StorageConfig()
    alerts: AlertsConfig = AlertsConfig()
    pipelines: Annotated[tuple[PipelineEntry, ...], Field(alias="pipeline", strict=False)] = ()
    subjects: Annotated[tuple[SubjectEntry, ...], Field(alias="subject", strict=False)] = ()
    statistics: Annotated[tuple[StatisticsEntry, ...], Field(strict=False)] = ()
    object_store: ObjectStoreConfig = ObjectStoreConfig()
    serve: ServeConfig = ServeConfig()
    _base: Path = PrivateAttr(default=Path())
    _path: Path | None = PrivateAttr(default=None)

    @property
    def base(self) -> Path:
        """The folder that relative paths start from."""
        return self._base

    @property
    def storage_path(self) -> Path:
        """The folder of what is embedded."""
        return self._base / self.storage.path

    @property
    def path(self) -> Path | None:
        """The file, or None where there is none."""
        return self._path


def find_project(folder: Path) -> Path | None:
    """The nearest ``prism.toml`` in ``folder`` or above it."""
    folder = folder.resolve()
    return next((f / FILE_NAME for f in (folder, *folder.parents) if (f / FILE_NAME).is_file()), None)


def load_project(folder: Path, environ: Mapping[str, str] | None = None) -> ProjectConfig:
    """The project that ``folder`` belongs to, with the environment's overrides; defaults where there is no file.

    ``PRISM_REGISTRY_URL``, ``PRISM_REGISTRY_TOKEN``, ``PRISM_STORAGE_PATH`` and ``PRISM_OBJECT_STORE_URL`` come before
    the keys of the file.

    Args:
        folder: in the repository.
        environ: the environment; None for the process's own.

    Raises:
        ConfigError: one line for everything that is wrong with it.
    """
    environ = os.environ if environ is None else environ
    path = find_project(folder)
    data = read_toml(path) if path else {}
    _replace_registry(data, environ)
    for table, key in (("registry", "url"), ("registry", "token"), ("storage", "path"), ("object_store", "url")):
        _override(data, table, key, environ)
    where = str(path or "the environment")
    project = validate(ProjectConfig, data, where)
    if project.registry.scheme is None:
        validate(_FolderRegistry, data.get("registry", {}), f"{where}: [registry]")
    project._base = path.parent if path else folder  # noqa: SLF001  # set once, here: no key of the file
    project._path = path  # noqa: SLF001  # as above
    return project


def _replace_registry(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Take out the keys that belong to the registry of the file, where the environment names a folder instead of it."""
    table, url = data.get("registry"), environ.get("PRISM_REGISTRY_URL")
    if url and registry_scheme(url) is None and isinstance(table, dict) and registry_scheme(str(table.get("url", ""))):
        data["registry"] = {key: value for key, value in table.items() if key in _FolderRegistry.model_fields}


def _override(data: dict[str, Any], table: str, key: str, environ: Mapping[str, str]) -> None:
    value = environ.get(f"PRISM_{table}_{key}".upper())
    if value and isinstance(data.setdefault(table, {}), dict):
        data[table][key] = value
