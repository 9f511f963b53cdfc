"""A broker, a source, a reader and sinks in memory: honest enough to pass the same suites as the real ones.

    broker = MemoryBroker()
    broker.create_topic("orders", partitions=3)
    broker.append("orders", b"key", b"value")
    source = MemorySource(broker, "group", ["orders"], "1")

Bad days on demand: ``broker.reachable = False``, ``broker.lose``, ``broker.expire_offsets``, ``broker.delete_before``,
``broker.remove``, ``broker.delete_topic``, ``broker.add_partitions``, ``broker.expire_transaction``, ``store.busy``.
"""

from prismlib.testing.memory.broker import MemoryBroker
from prismlib.testing.memory.group import MemberToken
from prismlib.testing.memory.ledger import LedgerTable
from prismlib.testing.memory.log import StoredRecord
from prismlib.testing.memory.reader import MemoryReader
from prismlib.testing.memory.sinks import MemoryLog, MemorySink, MemoryStore, MemoryTransactionalSink
from prismlib.testing.memory.source import MemorySource

__all__ = [
    "LedgerTable",
    "MemberToken",
    "MemoryBroker",
    "MemoryLog",
    "MemoryReader",
    "MemorySink",
    "MemorySource",
    "MemoryStore",
    "MemoryTransactionalSink",
    "StoredRecord",
]
