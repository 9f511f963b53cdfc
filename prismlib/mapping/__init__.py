"""The declarative normalizer: a mapping file, compiled to one Python function over a batch of rows.

    mapping file -> model (typed tables) -> compiler (Python source, once) -> normalizer -> events

What it reads is known without importing a user's function.
"""

from prismlib.mapping.model import Mapping, load_mapping, mapping_from
from prismlib.mapping.normalizer import MappingNormalizer, PythonNormalizer
from prismlib.mapping.reads import Use

__all__ = [
    "Mapping",
    "MappingNormalizer",
    "PythonNormalizer",
    "Use",
    "load_mapping",
    "mapping_from",
]
