"""What the error codes of librdkafka and of brokers mean for a pipeline."""

# ruff: noqa: SLF001 - the leading underscore marks the codes of the client itself, beside those of brokers
from __future__ import annotations

import logging
import time
from typing import Final

from confluent_kafka import KafkaError, KafkaException

log = logging.getLogger("prism_kafka")

TRANSIENT: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._UNKNOWN_BROKER,
        KafkaError._NODE_UPDATE,
        KafkaError._RETRY,
        KafkaError._NOENT,  # no leader of a partition is known yet
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)
"""The client or a later call gets over it by itself."""

UNKNOWN_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
FORBIDDEN: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
BAD_LOGIN: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)
NOT_MEMBER: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""The group goes on without this member."""

DATA_GONE: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
BAD_RECORD: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.INVALID_RECORD,
    }
)
"""The broker refuses this record, and would refuse it again."""

TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

_QUIET_SECONDS: Final = 60.0


def kafka_error(exception: KafkaException) -> KafkaError:
    """The error inside the client's exception."""
    error: KafkaError = exception.args[0]
    return error


class _OnceAMinute:
    """Lets each kind of message pass once a minute, and counts the others."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}
        self._left_out: dict[object, int] = {}

    def left_out(self, kind: object) -> int | None:
        """How many of its kind were left out since the last one that passed; None when this one is to be left out."""
        now = time.monotonic()
        if now - self._since.get(kind, -_QUIET_SECONDS) < _QUIET_SECONDS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._since[kind] = now
        return self._left_out.pop(kind, 0)


class BrokerLog:
    """Logs each kind of client error at most once a minute: a broker that is down raises hundreds of them."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.seen: dict[int, KafkaError] = {}
        self._limit = _OnceAMinute()

    def __call__(self, error: KafkaError) -> None:
        """The client's ``error_cb``."""
        self.seen[error.code()] = error
        left_out = self._limit.left_out(error.code())
        if left_out is not None:
            facts = {"kind": error.name(), "reason": error.str(), "left_out": left_out}
            log.warning("Kafka client error, it goes on by itself", extra=facts)

    def bad_login(self) -> KafkaError | None:
        """An error that only another password or certificate can mend, if there was one."""
        return next((error for code, error in self.seen.items() if code in BAD_LOGIN), None)


class _ClientLines(logging.Filter):
    """The client's own lines, such as ``FAIL [prism-air-traffic-1#consumer-3] ...``, likewise."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = _OnceAMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        facility, _, rest = record.getMessage().partition(" ")
        return self._limit.left_out((facility, rest.partition("]")[0])) is not None


def client_logger() -> logging.Logger:
    """Where librdkafka's own lines go: one a minute of each kind and client."""
    logger = logging.getLogger("prism_kafka.librdkafka")
    if not logger.filters:
        logger.addFilter(_ClientLines())
    return logger
