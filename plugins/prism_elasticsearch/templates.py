"""How indices are made: the template for generations of standard events, and the ledger's.

Both forbid Elasticsearch to create a matching index by itself, alias name included. ``require_alias`` alone does not stop a
versioned delete from doing that, nor any other program, and an index with the alias's name keeps the alias from existing.
"""

from __future__ import annotations

from typing import Any

from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.ledger import MAPPINGS as LEDGER_MAPPINGS

MADE_BY = {"made_by": "prism"}

FIRST_LEDGER_FIELDS = frozenset({"pipeline", "topic", "partition", "generation", "index_uuid", "next_offset"})
"""Of every ledger index that any version of Prism has made."""

_SCALARS = ["string", "long", "double", "boolean", "date"]
_KEYWORD = {"type": "keyword", "ignore_above": 1024}


def first_generation(alias: str) -> str:
    """Name of the first index behind an alias."""
    return f"{alias}-000001"


def events(config: ElasticsearchConfig) -> dict[str, Any]:
    """The index template for the generations of an alias, in the form in which Elasticsearch gives it back.

    A field beyond the limits makes Elasticsearch refuse its document, which is then a dead letter: an event that is stored
    but not indexed would be missing from every statistic without a word.
    """
    alias = config.alias
    return {
        "index_patterns": [alias, f"{alias}-*"],
        # Of two aliases, one beginning with the other's name and a hyphen, the longer one's template has to win.
        "priority": 200 + len(alias),
        "allow_auto_create": False,
        "_meta": MADE_BY,
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": str(config.number_of_shards),
                    "number_of_replicas": str(config.number_of_replicas),
                    # For so long a delete holds back an older document that is still being retried.
                    "gc_deletes": "5m",
                    "mapping": {"total_fields": {"limit": "1000"}, "depth": {"limit": "20"}},
                }
            },
            "mappings": {
                "dynamic": True,
                "date_detection": False,
                "numeric_detection": False,
                "dynamic_templates": [
                    {
                        "measures": {
                            "path_match": "measures.*",
                            "match_mapping_type": _SCALARS,
                            "mapping": {"type": "double"},
                        }
                    },
                    {"attributes": {"path_match": "attributes.*", "match_mapping_type": _SCALARS, "mapping": _KEYWORD}},
                    {"strings": {"match_mapping_type": "string", "mapping": _KEYWORD}},
                ],
                "properties": {
                    "id": {"type": "keyword"},
                    "kind": {"type": "keyword"},
                    config.time_field: {"type": "date"},
                    "_origin": {
                        "dynamic": "strict",
                        "properties": {"p": {"type": "integer"}, "o": {"type": "long"}, "t": {"type": "keyword"}},
                    },
                },
            },
        },
    }


def ledger(config: ElasticsearchConfig) -> dict[str, Any]:
    """The index template of the ledger, whose one index is small and on every cluster as safe as it can be."""
    return {
        "index_patterns": [config.ledger_index],
        "priority": 1_000,
        "allow_auto_create": False,
        "_meta": MADE_BY,
        "template": {
            "settings": {"index": {"number_of_shards": "1", "auto_expand_replicas": "0-1"}},
            "mappings": LEDGER_MAPPINGS,
        },
    }


def is_same(expected: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether a template on the server says what it should; the server adds keys of its own at the top."""
    return all(found.get(key) == value for key, value in expected.items())
