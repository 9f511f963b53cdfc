"""Kubernetes manifests on a page: the part of the API that the pages use, where an unknown key is an error.

The shapes follow the API reference of Kubernetes 1.31 to 1.34. What a schema cannot say is checked beside it: selectors that
match, and mounts, volumes and references that exist in the same manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from tests.docs.commands import PROGRAMS, parse


class Object(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class Metadata(Object):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Key(Object):
    name: str
    key: str


class FieldRef(Object):
    field_path: Literal["metadata.name", "metadata.namespace"]


class ValueFrom(Object):
    secret_key_ref: Key | None = None
    field_ref: FieldRef | None = None


class Env(Object):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class Mount(Object):
    name: str
    mount_path: str
    read_only: bool = False


class ContainerSecurity(Object):
    allow_privilege_escalation: bool
    read_only_root_filesystem: bool
    capabilities: dict[Literal["drop", "add"], list[str]]


class Resources(Object):
    requests: dict[Literal["cpu", "memory"], str]
    limits: dict[Literal["cpu", "memory"], str] = {}


class Container(Object):
    name: str
    image: str
    args: list[str]
    command: list[str] = []
    env: list[Env] = []
    volume_mounts: list[Mount] = []
    resources: Resources | None = None
    security_context: ContainerSecurity


class Item(Object):
    key: str
    path: str


class ConfigMapVolume(Object):
    name: str
    items: list[Item] = []


class SecretVolume(Object):
    secret_name: str


class Volume(Object):
    name: str
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    empty_dir: dict[str, str] | None = None


class PodSecurity(Object):
    run_as_non_root: bool
    run_as_user: int
    run_as_group: int | None = None
    seccomp_profile: dict[Literal["type"], Literal["RuntimeDefault"]]


class PodSpec(Object):
    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume] = []
    termination_grace_period_seconds: int = 30
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    security_context: PodSecurity
    automount_service_account_token: bool = True


class PodMetadata(Object):
    labels: dict[str, str] = {}


class Template(Object):
    metadata: PodMetadata = PodMetadata()
    spec: PodSpec


class Selector(Object):
    match_labels: dict[str, str]


class RollingUpdate(Object):
    max_unavailable: int | str
    max_surge: int | str


class Strategy(Object):
    type: Literal["RollingUpdate", "Recreate"]
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Object):
    replicas: int = 1
    selector: Selector
    strategy: Strategy | None = None
    template: Template


class JobSpec(Object):
    backoff_limit: int = 6
    template: Template


class Manifest(Object):
    metadata: Metadata


class Deployment(Manifest):
    api_version: Literal["apps/v1"]
    kind: Literal["Deployment"]
    spec: DeploymentSpec


class Job(Manifest):
    api_version: Literal["batch/v1"]
    kind: Literal["Job"]
    spec: JobSpec


class ConfigMap(Manifest):
    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    data: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")], str]


class Secret(Manifest):
    api_version: Literal["v1"]
    kind: Literal["Secret"]
    string_data: dict[str, str]


AnyManifest = Annotated[Deployment | Job | ConfigMap | Secret, Field(discriminator="kind")]
_ANY: TypeAdapter[Deployment | Job | ConfigMap | Secret] = TypeAdapter(AnyManifest)


def read_manifest(where: str, document: dict[str, Any]) -> Deployment | Job | ConfigMap | Secret:
    try:
        return _ANY.validate_python(document)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise AssertionError(f"{where}: {problems}") from error


def check_manifests(where: str, documents: Sequence[dict[str, Any]]) -> None:
    """Each document by itself, then what they say about one another."""
    manifests = [read_manifest(where, document) for document in documents]
    keys = {(type(one), one.metadata.name): set(_data(one)) for one in manifests}
    for one in manifests:
        if isinstance(one, Deployment):
            labels, wanted = one.spec.template.metadata.labels, one.spec.selector.match_labels
            assert wanted.items() <= labels.items(), f"{where}: the selector {wanted} does not match the pods' {labels}"
        if isinstance(one, Job):
            policy = one.spec.template.spec.restart_policy
            assert policy != "Always", f"{where}: a Job's restartPolicy is OnFailure or Never"
        if isinstance(one, Deployment | Job):
            _check_pod(where, one.spec.template.spec, keys)


def _data(manifest: Deployment | Job | ConfigMap | Secret) -> Sequence[str]:
    match manifest:
        case ConfigMap():
            return list(manifest.data)
        case Secret():
            return list(manifest.string_data)
    return []


def _check_pod(where: str, pod: PodSpec, keys: dict[tuple[type, str], set[str]]) -> None:
    volumes = {volume.name: volume for volume in pod.volumes}
    for volume in pod.volumes:
        if volume.config_map is not None and (ConfigMap, volume.config_map.name) in keys:
            held = keys[ConfigMap, volume.config_map.name]
            missing = {item.key for item in volume.config_map.items} - held
            assert not missing, f"{where}: the ConfigMap {volume.config_map.name} has no {', '.join(sorted(missing))}"
    for container in pod.containers:
        for mount in container.volume_mounts:
            assert mount.name in volumes, (
                f"{where}: {container.name} mounts {mount.name!r}, which is no volume of the pod"
            )
        variables = {env.name for env in container.env}
        arguments = []
        for argument in container.args:
            name = argument.removeprefix("$(").removesuffix(")")
            assert name == argument or name in variables, f"{where}: {argument}: the container has no variable {name}"
            arguments.append(argument if name == argument else "name-of-the-pod")
        command = container.command or ["prism"]
        assert command[0] in PROGRAMS, f"{where}: {container.name} runs {command[0]}, which is no command of Prism"
        parse(where, PROGRAMS[command[0]], [*command, *arguments])
