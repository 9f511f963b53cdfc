"""The error codes of Confluent's interface."""

from __future__ import annotations

from typing import Final

from prismlib.serve.problems import Problem

SUBJECT_NOT_FOUND: Final = 40401
VERSION_NOT_FOUND: Final = 40402
SCHEMA_NOT_FOUND: Final = 40403
SUBJECT_SOFT_DELETED: Final = 40404
SUBJECT_NOT_SOFT_DELETED: Final = 40405
VERSION_SOFT_DELETED: Final = 40406
VERSION_NOT_SOFT_DELETED: Final = 40407
NO_SUBJECT_LEVEL: Final = 40408
NO_SUBJECT_MODE: Final = 40409
INCOMPATIBLE: Final = 409
INVALID_SCHEMA: Final = 42201
INVALID_VERSION: Final = 42202
INVALID_LEVEL: Final = 42203
INVALID_MODE: Final = 42204
NOT_PERMITTED: Final = 42205
REFERENCE_EXISTS: Final = 42206
ID_TAKEN: Final = 42207
INVALID_SUBJECT: Final = 42208
BUSY: Final = 503


def no_subject(subject: str) -> Problem:
    return Problem(SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")


def no_version(subject: str, version: int | str) -> Problem:
    return Problem(VERSION_NOT_FOUND, f"Version {version} of subject '{subject}' not found.")
