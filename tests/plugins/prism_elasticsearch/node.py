"""What tests do on the real node: an alias of their own, a sink for it, a look at what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prism_elasticsearch.administration import ElasticsearchAdministration
from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.connection import connect
from prism_elasticsearch.sink import ElasticsearchSink
from prismlib.records import Documents, Partition

SOURCE = Partition("flights", 3)


class Node:
    """One alias on the node, and a connection that goes around any proxy."""

    def __init__(self, url: str, alias: str) -> None:
        self.url = url
        self.alias = alias
        self.config = self.configured(url)
        self.connection = connect(self.config, Path())

    def configured(self, url: str, **more: Any) -> ElasticsearchConfig:
        ledger = f"{self.alias}.ledger"
        return ElasticsearchConfig(url=url, alias=self.alias, ledger_index=ledger, number_of_replicas=0, **more)

    def set_up(self) -> None:
        administration = ElasticsearchAdministration(self.connection, self.config)
        for step in administration.plan():
            assert not step.problem
            step.apply()

    def clear(self) -> None:
        """Delete everything of this alias, and disconnect."""
        for name in (self.alias, f"{self.alias}-000001", f"{self.alias}-000002", self.config.ledger_index):
            answer = self.connection.request("DELETE", f"/{name}")
            assert answer.status in {200, 400, 404}  # 400: it is an alias
            self.connection.json("DELETE", f"/_index_template/{name}")
        self.connection.close()

    def sink(self, url: str | None = None, **more: Any) -> ElasticsearchSink:
        return ElasticsearchSink(
            connect(self.configured(url or self.url, request_timeout="20s"), Path()),
            self.alias,
            pipeline="flights-index",
            ledger_index=self.config.ledger_index,
            **more,
        )

    def stored(self, id_: str) -> bytes | None:
        """The bytes of a document's source, read in real time."""
        answer = self.connection.request("GET", f"/{self.alias}/_source/{id_}")
        return answer.data if answer.status == 200 else None

    def all(self) -> dict[str, Any]:
        """Ids and sources of everything that a reader finds."""
        self.connection.json("POST", f"/{self.alias}/_refresh")
        found = self.connection.json("POST", f"/{self.alias}/_search", {"size": 1000})
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}


def documents(
    bodies: Sequence[bytes | None], ids: Sequence[str] | None = None, versions: Sequence[int] | None = None
) -> Documents:
    """Documents of one partition, with ids a, b, c ... and versions from 1."""
    count = len(bodies)
    return Documents(
        "any",
        [SOURCE] * count,
        list(range(count)),
        [None] * count,
        bodies,
        ids if ids is not None else [chr(ord("a") + number) for number in range(count)],
        versions if versions is not None else [number + 1 for number in range(count)],
    )
