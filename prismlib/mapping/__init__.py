"""The declarative normalizer: a mapping file, compiled to one Python function over a batch of rows.

    mapping file -> model (typed tables) -> compiler (Python source, once) -> normalizer -> events

What it reads is known without importing a user's function, and can be held against a schema: :func:`check_against`.
"""

from prismlib.mapping.model import Mapping, load_mapping, mapping_from
from prismlib.mapping.normalizer import MappingNormalizer, PythonNormalizer
from prismlib.mapping.reads import Use, check_against

__all__ = [
    "Mapping",
    "MappingNormalizer",
    "PythonNormalizer",
    "Use",
    "check_against",
    "load_mapping",
    "mapping_from",
]
