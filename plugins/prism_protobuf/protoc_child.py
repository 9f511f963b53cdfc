"""Runs protoc many times in one process: the child of :mod:`prism_protobuf.protoc`, started by its path.

Standard input has one job a line, a JSON array: a file for what protoc prints, then protoc's arguments. Standard output
gets ``ready``, and then the exit code of each job, a line each. protoc prints to the descriptor 2 of the process, past
Python, so that descriptor is turned to the job's file.
"""

from __future__ import annotations

import json
import os
import sys

MOST_MEMORY = 3 << 30
"""Bytes of address space; protoc that needs more for a schema of a few megabytes is stopped."""


def main() -> None:
    """Take jobs until standard input ends."""
    # so that a missing library is known before the first job
    from grpc_tools import protoc  # type: ignore[import-untyped]  # noqa: PLC0415  # only the child imports it

    _limit_memory()
    bundled = os.path.join(os.path.dirname(protoc.__file__), "_proto")  # noqa: PTH118, PTH120  # starts faster
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        printed, *arguments = json.loads(line)
        file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 2)
        os.close(file)
        code = protoc.main(["protoc", *arguments, f"-I{bundled}"])
        answers.write(f"{code}\n")
        answers.flush()


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415  # not on every system
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
