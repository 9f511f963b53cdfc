"""Bring events of many Kafka topics into one standard shape, and from there into Elasticsearch, losing none.

    pipeline = prismlib.load_pipeline("pipeline.toml")
    runner = prismlib.build_runner(pipeline, sink=MySink())
    runner.run()

What ``__all__`` lists is public, and so is :mod:`prismlib.testing`, for tests of plugins; nothing else is. Names are imported
when they are first used, so that ``import prismlib`` and what checks schemas start without the libraries of pipelines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prismlib import lazy

if TYPE_CHECKING:
    from prismlib.config.model import Model, Secret
    from prismlib.config.pipeline import PipelineConfig, load_pipeline, pipeline_from
    from prismlib.config.values import Duration
    from prismlib.contracts.registry import Reference, RegisteredSchema, Registry
    from prismlib.errors import (
        ConfigError,
        ContractError,
        DataLossError,
        DecodeError,
        FatalError,
        FencedError,
        IncompatibleSchemaError,
        InvalidValueError,
        PluginLoadError,
        PluginNotFoundError,
        PrismError,
        RecordError,
        RegistryUnavailableError,
        RetryableError,
        SchemaDriftError,
        SchemaNotFoundError,
        SchemaParseError,
        StageContractError,
        StageError,
        TooManyRejectedError,
        UnknownFieldError,
        UnreachableError,
        UnwritableError,
    )
    from prismlib.mapping.normalizer import PythonNormalizer
    from prismlib.plugin.hookspecs import (
        Administration,
        BuildContext,
        Check,
        RegistrySpec,
        SetupStep,
        StageSpec,
        StoreSpec,
        StreamReader,
        hookimpl,
    )
    from prismlib.records import (
        Decoded,
        Documents,
        Encoded,
        Explanation,
        Headers,
        LedgerNote,
        LedgerRow,
        Loss,
        Normalized,
        Partition,
        RecordBatch,
        Retry,
        Row,
        WriteResult,
    )
    from prismlib.runtime.build import build_runner
    from prismlib.runtime.delivery import Counters
    from prismlib.runtime.notices import Notice, NoticeKind, Tell
    from prismlib.runtime.runner import Runner, RunnerState
    from prismlib.stages import (
        AssignmentListener,
        ClaimsWorker,
        Committed,
        Decoder,
        Encoder,
        Explains,
        FieldSet,
        FindsTimes,
        HasReader,
        Horizon,
        IdentifiesSchema,
        IdentifiesTopics,
        InGroup,
        KeepsLedger,
        Normalizer,
        Pausable,
        Seekable,
        Sink,
        Source,
        StartPosition,
        Transactional,
        WritePolicy,
    )
    from prismlib.watch.alerts import open_alerts

__all__ = [
    "Administration",
    "AssignmentListener",
    "BuildContext",
    "Check",
    "ClaimsWorker",
    "Committed",
    "ConfigError",
    "ContractError",
    "Counters",
    "DataLossError",
    "DecodeError",
    "Decoded",
    "Decoder",
    "Documents",
    "Duration",
    "Encoded",
    "Encoder",
    "Explains",
    "Explanation",
    "FatalError",
    "FencedError",
    "FieldSet",
    "FindsTimes",
    "HasReader",
    "Headers",
    "Horizon",
    "IdentifiesSchema",
    "IdentifiesTopics",
    "InGroup",
    "IncompatibleSchemaError",
    "InvalidValueError",
    "KeepsLedger",
    "LedgerNote",
    "LedgerRow",
    "Loss",
    "Model",
    "Normalized",
    "Normalizer",
    "Notice",
    "NoticeKind",
    "Partition",
    "Pausable",
    "PipelineConfig",
    "PluginLoadError",
    "PluginNotFoundError",
    "PrismError",
    "PythonNormalizer",
    "RecordBatch",
    "RecordError",
    "Reference",
    "RegisteredSchema",
    "Registry",
    "RegistrySpec",
    "RegistryUnavailableError",
    "Retry",
    "RetryableError",
    "Row",
    "Runner",
    "RunnerState",
    "SchemaDriftError",
    "SchemaNotFoundError",
    "SchemaParseError",
    "Secret",
    "Seekable",
    "SetupStep",
    "Sink",
    "Source",
    "StageContractError",
    "StageError",
    "StageSpec",
    "StartPosition",
    "StoreSpec",
    "StreamReader",
    "Tell",
    "TooManyRejectedError",
    "Transactional",
    "UnknownFieldError",
    "UnreachableError",
    "UnwritableError",
    "WritePolicy",
    "WriteResult",
    "build_runner",
    "hookimpl",
    "load_pipeline",
    "open_alerts",
    "pipeline_from",
]

_HOMES = {
    "prismlib.config.model": "Model Secret",
    "prismlib.config.pipeline": "PipelineConfig load_pipeline pipeline_from",
    "prismlib.config.values": "Duration",
    "prismlib.contracts.registry": "Reference RegisteredSchema Registry",
    "prismlib.errors": "ConfigError ContractError DataLossError DecodeError FatalError FencedError IncompatibleSchemaError InvalidValueError PluginLoadError PluginNotFoundError PrismError RecordError RegistryUnavailableError RetryableError SchemaDriftError SchemaNotFoundError SchemaParseError StageContractError StageError TooManyRejectedError UnknownFieldError UnreachableError UnwritableError",
    "prismlib.mapping.normalizer": "PythonNormalizer",
    "prismlib.plugin.hookspecs": "Administration BuildContext Check RegistrySpec SetupStep StageSpec StoreSpec StreamReader hookimpl",
    "prismlib.records": "Decoded Documents Encoded Explanation Headers LedgerNote LedgerRow Loss Normalized Partition RecordBatch Retry Row WriteResult",
    "prismlib.runtime.build": "build_runner",
    "prismlib.runtime.delivery": "Counters",
    "prismlib.runtime.notices": "Notice NoticeKind Tell",
    "prismlib.runtime.runner": "Runner RunnerState",
    "prismlib.stages": "AssignmentListener ClaimsWorker Committed Decoder Encoder Explains FieldSet FindsTimes HasReader Horizon IdentifiesSchema IdentifiesTopics InGroup KeepsLedger Normalizer Pausable Seekable Sink Source StartPosition Transactional WritePolicy",
    "prismlib.watch.alerts": "open_alerts",
}
"""Names by the module that they are imported from; the same as for type checkers above."""

_HOME_OF = lazy.home_of(_HOMES)

if not TYPE_CHECKING:  # a type checker would take any name for public
    __getattr__ = lazy.importer(__name__, _HOME_OF)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
