"""Apicurio Registry, which speaks the REST interface of Confluent's schema registry."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from prism_devservers.cache import build_once
from prism_devservers.download import fetch
from prism_devservers.ports import LOOPBACK
from prism_devservers.server import Launch, Server, http_status
from prismlib.errors import UnreachableError

_CONFLUENT_API: Final = "/apis/ccompat/v7"


class SchemaRegistry(Server):
    """One registry; its schemas are kept in its folder, and its compatibility starts as BACKWARD."""

    kind: ClassVar[str] = "registry"
    heap: ClassVar[str] = "384m"
    artifact_sets: ClassVar[Sequence[str]] = ("registry",)
    main_class: ClassVar[str] = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"

    def __init__(
        self,
        config: Mapping[str, object] | None = None,
        *,
        name: str | None = None,
        folder: Path | None = None,
        heap: str | None = None,
        jvm: Sequence[str] = (),
    ) -> None:
        """Choose a port; nothing runs yet.

        Args:
            config: overrides of the registry's settings.
            name: as for Server, like the others.
            folder: as above.
            heap: as above.
            jvm: as above.
        """
        # Its pool of threads resets thread locals by reflection; without the right a thread dies with an error.
        opened = ("--add-opens=java.base/java.lang=ALL-UNNAMED",)
        super().__init__(name=name, folder=folder, heap=heap, jvm=(*opened, *jvm))
        self._config = dict(config or {})

    @property
    def url(self) -> str:
        """Root of the interface for Confluent's clients."""
        return f"http://{LOOPBACK}:{self.ports['http']}{_CONFLUENT_API}"

    @property
    def address(self) -> str:
        return self.url

    def prepare(self) -> Launch:
        (archive,) = fetch(*self.artifact_sets).values()

        def extract(folder: Path) -> None:
            with tarfile.open(archive) as members:
                members.extractall(folder, filter="data")

        application = build_once(archive.name.removesuffix(".tar.gz"), extract)
        database = (self.folder / "data" / "registry").as_posix()
        settings: dict[str, object] = {
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": self.ports["http"],
            # Its second interface would listen on port 9000 of every network, and keep a second registry from starting.
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": 0,
            "quarkus.log.level": "WARN",
            # Without the delay of half a second that H2 has by default, kill -9 loses nothing that was acknowledged.
            "apicurio.datasource.url": f"jdbc:h2:file:{database};WRITE_DELAY=0",
        }
        properties = [f"-D{key}={value}" for key, value in (settings | self._config).items()]
        return Launch([application / "quarkus-run.jar"], properties)

    def answers(self) -> bool:
        return http_status(self.ports["http"], "GET", f"{_CONFLUENT_API}/subjects") == 200

    def set_up(self) -> None:
        level = {"compatibility": "BACKWARD"}  # as in Confluent's registry; Apicurio starts with NONE
        status = http_status(self.ports["http"], "PUT", f"{_CONFLUENT_API}/config", level)
        if status != 200:
            raise UnreachableError(
                f"{self.name} did not accept its compatibility level (status {status}):\n{self.tail()}"
            )
