"""The encoder ``protobuf``: bodies to messages of the subject's version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError, EncodeError

from prism_protobuf.building import REFUSALS, compile_arguments, culprit, may_be_deep
from prism_protobuf.indexes import header
from prism_protobuf.schema import SubjectMessage, message_class
from prism_protobuf.subjects import configured_message
from prismlib.errors import InvalidValueError, RecordError
from prismlib.records import Encoded

if TYPE_CHECKING:
    from prism_protobuf.plugin import ProtobufConfig
    from prismlib.plugin.hookspecs import BuildContext


class ProtobufEncoder:
    """Turns bodies into Protobuf, behind the registry header unless ``wire`` is ``bare``.

    A body is a dict of field names as in the ``.proto``; a field that is None or left out is not set. Values are those
    that the decoder makes of the same message (:mod:`prism_protobuf.picking`); enums also take numbers, and maps also
    take integer and bool keys. A name that the message has not got is an error and not dropped.
    """

    def __init__(self, message: SubjectMessage, *, framed: bool) -> None:
        """See :func:`build_encoder`."""
        self._descriptor = message.descriptor
        self._class = message_class(message.descriptor)
        self._serialize = self._class.SerializeToString
        self._arguments = compile_arguments(message.descriptor)
        self._check = self._class.FromString if may_be_deep(message.descriptor) else None
        self._header = header(message.registered.id, message.path) if framed else b""

    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        """Encode all bodies; a body of bytes is refused, since it is no dict."""
        values: list[bytes | None] = []
        errors: dict[int, RecordError] = {}
        check = self._check
        build, arguments, serialize, start = self._class, self._arguments, self._serialize, self._header
        remaining = iter(bodies)
        while len(values) < len(bodies):
            message = None
            body: Any = None
            try:
                for body in remaining:
                    if body is None:
                        values.append(None)
                        continue
                    message = None
                    message = build(**arguments(body))
                    payload = serialize(message)
                    if check is not None:
                        check(payload)
                    values.append(start + payload)
            except REFUSALS:
                errors[len(values)] = self._refused(body)
                values.append(None)
            except (EncodeError, DecodeError):
                errors[len(values)] = _incomplete(message)
                values.append(None)
        return Encoded(values, errors)

    def _refused(self, body: Any) -> InvalidValueError:
        name = self._descriptor.full_name
        try:
            found = culprit(self._descriptor, body)
        except RecursionError:
            return InvalidValueError(f"the body is nested too deeply for message {name}, or contains itself")
        if found is None:
            return InvalidValueError(f"the body does not fit message {name}")
        path, reason = found
        return InvalidValueError(f"{path}: {reason}" if path else reason, field=path or None)


def _incomplete(message: Any) -> InvalidValueError:
    missing: list[str] = [] if message is None else message.FindInitializationErrors()
    if missing:
        return InvalidValueError(f"{missing[0]}: the field is required and not set", field=missing[0])
    return InvalidValueError("the body is nested too deeply for a Protobuf message")


def build_encoder(config: ProtobufConfig, context: BuildContext) -> ProtobufEncoder:
    """Make the encoder of one sink.

    Raises:
        ConfigError: there is no registry, no such schema or message.
        SchemaParseError, RegistryUnavailableError: the schema cannot be had.
    """
    _, message = configured_message(config, context)
    return ProtobufEncoder(message, framed=config.wire == "confluent")
