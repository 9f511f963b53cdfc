"""S3Proxy: the S3 interface over a local folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from prism_devservers.download import fetch
from prism_devservers.ports import LOOPBACK
from prism_devservers.server import Launch, Server, http_status


class ObjectStore(Server):
    """One store that checks signatures, their expiry, checksums and conditions of writes; no versions, no tags."""

    kind: ClassVar[str] = "object-store"
    artifact_sets: ClassVar[Sequence[str]] = ("s3",)
    main_class: ClassVar[str] = "org.gaul.s3proxy.Main"
    access_key: ClassVar[str] = "prism"
    secret_key: ClassVar[str] = "prism-secret"  # noqa: S105 - the same for everybody, for a store on loopback

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
            config: overrides of the store's settings.
            name: as for Server, like the others.
            folder: as above.
            heap: as above.
            jvm: as above.
        """
        super().__init__(name=name, folder=folder, heap=heap, jvm=jvm)
        self._config = dict(config or {})

    @property
    def url(self) -> str:
        """Its endpoint; buckets are path segments below it."""
        return f"http://{LOOPBACK}:{self.ports['http']}"

    @property
    def address(self) -> str:
        return self.url

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"access_key": self.access_key, "secret_key": self.secret_key}

    def prepare(self) -> Launch:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        settings: dict[str, object] = {
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.endpoint": self.url,
            "s3proxy.identity": self.access_key,
            "s3proxy.credential": self.secret_key,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": data.as_posix(),
        }
        file = self.folder / "s3proxy.conf"
        lines = [f"{key}={value}\n" for key, value in (settings | self._config).items()]
        file.write_text("".join(lines), encoding="utf-8")
        return Launch(list(fetch(*self.artifact_sets).values()), ["-DLOG_LEVEL=warn"], ["--properties", str(file)])

    def answers(self) -> bool:
        return http_status(self.ports["http"], "GET", "/") is not None  # 403: it asks for a signature
