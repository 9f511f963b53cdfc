"""Every exception of Prism, classed by what to do about it.

    PrismError                        catch this to catch everything below
    ├── ConfigError                   the user must change something                      exit 2
    │   ├── UnknownFieldError         something reads a field that the reader schema does not have
    │   ├── PluginNotFoundError       no installed plugin has that name
    │   └── PluginLoadError           a plugin is installed and cannot be loaded
    ├── UnreachableError              a server did not answer while a command needed it   exit 3
    ├── StageError                    a whole call to a stage failed
    │   ├── RetryableError            try the same call again; the runner backs off
    │   └── FatalError                the pipeline stops, nothing more is committed       exit 3
    │       ├── DataLossError         going on would skip records
    │       ├── FencedError           another process has taken this worker's place
    │       ├── StageContractError    a stage broke the contract of its interface
    │       └── TooManyRejectedError  most records are bad: the code is wrong, not the data
    ├── RecordError                   one record; returned, never raised across stages
    │   ├── DecodeError               its bytes cannot be read
    │   ├── InvalidValueError         its values cannot be normalized
    │   └── UnwritableError           the sink refuses it for good
    ├── SchemaDriftError              a route cannot go on with this schema; returned as `Decoded.stop`
    └── ContractError                 a check could not be made                           exit 3
        ├── SchemaParseError          a schema that is not one
        ├── SchemaNotFoundError       the registry answers that there is no such schema
        ├── IncompatibleSchemaError   a registry refused to register a schema
        └── RegistryUnavailableError  the registry does not answer

Incompatibility is a report, not an exception, save where a registry refuses (exit 1). A message is one sentence that names the setting, file, record or server
at fault and what to do next; a client library's exception is kept as ``__cause__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prismlib.contracts.drift import SchemaDrift
    from prismlib.records import Loss

DriftCause: TypeAlias = Literal["schema", "registry", "unknown-id"]


class PrismError(Exception):
    """Base of all errors of Prism."""

    exit_code = 3


class ConfigError(PrismError):
    """The user must change a file, a setting or an option."""

    exit_code = 2


class UnknownFieldError(ConfigError):
    """A normalizer reads a field that the reader schema of its topic does not have.

    Attributes:
        path: the dotted path that is read.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class PluginNotFoundError(ConfigError):
    """No installed plugin offers the named stage, store or command."""


class PluginLoadError(ConfigError):
    """A plugin is installed, and importing it or calling its hooks failed."""


class UnreachableError(PrismError):
    """A server did not answer a command that cannot go on without it."""


class StageError(PrismError):
    """A whole call to a stage failed; nothing is known about its records."""


class RetryableError(StageError):
    """The same call may succeed later.

    Attributes:
        retry_after: seconds the server asked to wait, or None to leave the backoff to the runner.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FatalError(StageError):
    """The pipeline cannot go on; what is not committed will be read again after a restart."""


class DataLossError(FatalError):
    """Going on would skip records; the message says which partitions, offsets and hours.

    Attributes:
        losses: exactly what is gone, where that is known: by partition.
        command: what to run once somebody has decided to go on without it; "" where nothing of that kind helps.
    """

    def __init__(self, message: str, *, losses: Sequence[Loss] = (), command: str = "") -> None:
        super().__init__(message)
        self.losses = losses
        self.command = command


class FencedError(FatalError):
    """A successor with the same name has taken over; this process must not write any more."""


class StageContractError(FatalError):
    """A stage returned something that its interface does not allow, such as a result of another length."""


class TooManyRejectedError(FatalError):
    """The share of rejected records passed the pipeline's limit ``dead_letters.stop_above``."""


class RecordError(PrismError):
    """Why one record cannot go on. Stages return it; only code inside one stage raises it.

    Attributes:
        reason: the sentence for people, without the record's values.
        code: a short stable word to group by, such as ``"truncated"`` or ``"unknown-schema-id"``.
        field: path of the field at fault, such as ``"lines[2].sku"``, or None.
    """

    default_code = "record"

    def __init__(self, reason: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code or self.default_code
        self.field = field


class DecodeError(RecordError):
    """The bytes of a record cannot be decoded."""

    default_code = "decode"


class InvalidValueError(RecordError):
    """A value of a decoded record cannot be normalized or encoded."""

    default_code = "invalid-value"


class UnwritableError(RecordError):
    """The sink refuses the document for good, for instance because it does not fit the index mapping."""

    default_code = "unwritable"


class SchemaDriftError(PrismError):
    """A route cannot read what is written now, although the records may be sound: pause, do not skip.

    Attributes:
        cause: ``schema``: what is written does not fit what is read. ``registry``: it cannot be told now, for the registry
            does not answer; a route waits for it, whatever ``on_drift`` says. ``unknown-id``: so many records have ids that the
            registry does not know that they are no broken records any more.
        drift: what changed, for the report; None where that is not known.
    """

    def __init__(self, message: str, *, cause: DriftCause = "schema", drift: SchemaDrift | None = None) -> None:
        super().__init__(message)
        self.cause: DriftCause = cause
        self.drift = drift


class ContractError(PrismError):
    """A question about schemas could not be decided, which is never a pass."""


class SchemaParseError(ContractError):
    """A schema text that cannot be parsed."""


class SchemaNotFoundError(ContractError):
    """The registry answered, and knows no such subject, version or id."""


class IncompatibleSchemaError(ContractError):
    """A registry refused a new version by its own rule of compatibility: the finding of somebody else, so exit 1."""

    exit_code = 1


class RegistryUnavailableError(ContractError):
    """The registry did not answer, or answered with an error of its own."""
