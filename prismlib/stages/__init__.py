"""The route: source -> decode -> normalize -> encode -> sink. One interface a stage, in the order that records take.

    Source.poll -> RecordBatch -> Decoder.decode -> rows -> Normalizer.normalize -> events
                -> Encoder.encode -> Documents -> Sink.write -> settled

Plugins implement these; :mod:`prismlib.runtime.runner` calls them. A plugin never computes an offset, never sleeps, never
retries and never commits on its own.
"""

from prismlib.stages.decoder import Decoder, Explains, HasReader, IdentifiesSchema
from prismlib.stages.encoder import Encoder
from prismlib.stages.normalizer import FieldSet, Normalizer
from prismlib.stages.sink import ClaimsWorker, KeepsLedger, Sink, Transactional, WritePolicy
from prismlib.stages.source import (
    AssignmentListener,
    Committed,
    FindsTimes,
    Horizon,
    IdentifiesTopics,
    InGroup,
    Pausable,
    Seekable,
    Source,
    StartPosition,
)

__all__ = [
    "AssignmentListener",
    "ClaimsWorker",
    "Committed",
    "Decoder",
    "Encoder",
    "Explains",
    "FieldSet",
    "FindsTimes",
    "HasReader",
    "Horizon",
    "IdentifiesSchema",
    "IdentifiesTopics",
    "InGroup",
    "KeepsLedger",
    "Normalizer",
    "Pausable",
    "Seekable",
    "Sink",
    "Source",
    "StartPosition",
    "Transactional",
    "WritePolicy",
]
