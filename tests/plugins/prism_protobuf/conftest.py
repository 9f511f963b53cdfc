"""A schema folder to decode with, and a cache of descriptors that the whole run shares."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prism_protobuf.decoder import ProtobufDecoder, build_decoder
from prism_protobuf.encoder import ProtobufEncoder, build_encoder
from prism_protobuf.plugin import ProtobufConfig
from prism_protobuf.schema import message_class, parse_registered
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Decoded, Partition, RecordBatch


class Schemas:
    """Subjects of Protobuf in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry: Any = DirectoryRegistry(root)

    def release(self, subject: str, *versions: str, references: str = "") -> None:
        folder = self.root / subject
        folder.mkdir(exist_ok=True)
        (folder / "subject.toml").write_text(
            'format = "protobuf"\ncompatibility = "BACKWARD"\nowner = "o"\ncontact = "c"\n' + references
        )
        for number, text in enumerate(versions, 1):
            (folder / f"v{number}.proto").write_text(text)

    def context(self, *reads: str) -> BuildContext:
        return BuildContext("test", registry=self.registry, reads=frozenset(reads))

    def decoder(self, subject: str = "s", *reads: str, **config: Any) -> ProtobufDecoder:
        return build_decoder(ProtobufConfig(subject=subject, **config), self.context(*reads))

    def encoder(self, subject: str = "s", **config: Any) -> ProtobufEncoder:
        return build_encoder(ProtobufConfig(subject=subject, **config), self.context())

    def message(self, subject: str, version: int) -> Any:
        """The class of the first message of the file."""
        schema = parse_registered(self.registry, self.registry.version(subject, version))
        return message_class(next(iter(schema.file.message_types_by_name.values())))

    def id(self, subject: str, version: int = 1) -> int:
        number: int = self.registry.version(subject, version).id
        return number

    def value(self, subject: str, version: int, /, **fields: Any) -> bytes:
        """A value of the first message of the file."""
        return self.head(subject, version) + self.message(subject, version)(**fields).SerializeToString()

    def head(self, subject: str, version: int = 1, indexes: bytes = b"\0") -> bytes:
        return b"\0" + self.id(subject, version).to_bytes(4, "big") + indexes


@pytest.fixture(scope="session", autouse=True)
def _descriptor_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRISM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    return Schemas(tmp_path)


@pytest.fixture(scope="session")
def make_schemas(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Schemas]:
    return lambda: Schemas(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="session")
def decode() -> Callable[[Any, Sequence[bytes | None]], Decoded]:
    def run(decoder: Any, values: Sequence[bytes | None]) -> Decoded:
        n = len(values)
        decoded: Decoded = decoder.decode(
            RecordBatch(Partition("t", 0), list(range(n)), [-1] * n, [None] * n, list(values), [None] * n)
        )
        return decoded

    return run
