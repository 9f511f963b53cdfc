"""One Elasticsearch node without the distribution's modules: core and HTTP."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from prism_devservers.artifacts import locked
from prism_devservers.cache import build_once
from prism_devservers.download import fetch
from prism_devservers.java import compiled
from prism_devservers.ports import LOOPBACK
from prism_devservers.server import Launch, Server, http_status

_MODULES: Final = {
    "transport-netty4": "org.elasticsearch.transport.netty4.Netty4Plugin",
    "root": "RootPlugin",
}
# They say at length that native libraries are missing, which are not part of the published jars.
_SILENCED: Final = (
    "org.elasticsearch.nativeaccess",
    "org.apache.lucene.internal.vectorization",
    "org.elasticsearch.simdvec",
)
_LOGGING: Final = """\
status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=c
"""


class Elasticsearch(Server):
    """One node, HTTP without security.

    It lacks what is not published as a library: security, painless, ``_reindex`` and ``*_by_query``, ingest processors,
    lifecycle management, data streams, ES|QL and the language analyzers.
    """

    kind: ClassVar[str] = "elasticsearch"
    heap: ClassVar[str] = "512m"
    artifact_sets: ClassVar[Sequence[str]] = ("es", "es-http")
    main_class: ClassVar[str] = "EsNode"
    port_names: ClassVar[Sequence[str]] = ("http", "transport")

    def __init__(
        self,
        config: Mapping[str, object] | None = None,
        *,
        name: str | None = None,
        folder: Path | None = None,
        heap: str | None = None,
        jvm: Sequence[str] = (),
    ) -> None:
        """Choose ports; nothing runs yet.

        Args:
            config: overrides of the node's settings.
            name: as for Server, like the others.
            folder: as above.
            heap: as above.
            jvm: as above.
        """
        super().__init__(name=name, folder=folder, heap=heap, jvm=jvm)
        self._config = dict(config or {})

    @property
    def url(self) -> str:
        """Root of its HTTP interface."""
        return f"http://{LOOPBACK}:{self.ports['http']}"

    @property
    def address(self) -> str:
        return self.url

    def prepare(self) -> Launch:
        jars = fetch(*self.artifact_sets)
        core = [jars[artifact.file_name] for artifact in locked("es")]
        http = [jars[artifact.file_name] for artifact in locked("es-http")]
        home = _home(core, http)
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        silenced = "".join(f"logger.{n}.name={name}\nlogger.{n}.level=off\n" for n, name in enumerate(_SILENCED))
        (config / "log4j2.properties").write_text(_LOGGING + silenced, encoding="utf-8")
        settings: dict[str, object] = {
            "path.home": home,
            "path.data": self.folder / "data",
            "path.logs": self.folder / "logs",
            "cluster.name": "prism",
            "node.name": self.name,
            "discovery.type": "single-node",
            "network.host": LOOPBACK,
            "http.port": self.ports["http"],
            "transport.port": self.ports["transport"],
            "cluster.routing.allocation.disk.threshold_enabled": "false",  # a full laptop is no reason to refuse writes
            "node.store.allow_mmap": "false",  # needs no kernel setting
        }
        arguments = [f"{key}={value}" for key, value in (settings | self._config).items()]
        return Launch([home / "main", *core], [f"-Des.path.home={home}"], [str(config), *arguments])

    def answers(self) -> bool:
        return http_status(self.ports["http"], "GET", "/_cluster/health?wait_for_status=yellow&timeout=1s") == 200


def _home(core: Sequence[Path], http: Sequence[Path]) -> Path:
    """The folder that a node finds its modules in; their classes must not be on the server's own class path too."""
    classes = compiled("elasticsearch-classes", ["EsNode.java", "RootPlugin.java"], core, 21)
    version = next(artifact.version for artifact in locked("es") if artifact.artifact == "elasticsearch")

    def fill(home: Path) -> None:
        for module, class_name in _MODULES.items():
            folder = home / "modules" / module
            folder.mkdir(parents=True)
            (folder / "plugin-descriptor.properties").write_text(
                f"name={module}\ndescription={module}\nversion={version}\nelasticsearch.version={version}\n"
                f"java.version=21\nclassname={class_name}\n",
                encoding="utf-8",
            )
        for jar in http:
            shutil.copy(jar, home / "modules" / "transport-netty4")
        with zipfile.ZipFile(home / "modules" / "root" / "root.jar", "w") as root:
            for file in classes.glob("RootPlugin*.class"):
                root.write(file, file.name)
        (home / "main").mkdir()
        shutil.copy(classes / "EsNode.class", home / "main")

    return build_once(f"{classes.name.replace('classes', 'home')}", fill)
