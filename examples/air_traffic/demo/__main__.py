"""``scripts/demo``: parses the options, picks the stage, and turns every end into an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from rich.console import Console

from examples.air_traffic.demo.story import DemoError, Stage, play
from prismlib.errors import PrismError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 done, 1 when a record is missing, 3 when it could not run."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Play the whole system on this machine: three producers, two pipelines, one index. By default on"
        " embedded storage, with no server; with --real on a real Kafka broker, schema registry and Elasticsearch node.",
    )
    parser.add_argument(
        "--real", action="store_true", help="on real servers, which are fetched (200 MB, once) and started"
    )
    parser.add_argument(
        "--once", action="store_true", help="with --real: end when everything is indexed, not on Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="print the totals as one JSON object, as the last line")
    options = parser.parse_args(arguments)
    screen = Console(stderr=options.json)
    try:
        with ExitStack() as stack:
            return play(_stage(real=options.real), screen, stack, once=options.once, as_json=options.json)
    except (PrismError, DemoError) as error:
        screen.print(f"demo: {error}", style="red", highlight=False)
        return 3
    except KeyboardInterrupt:
        screen.print("\nstopped")
        return 130


def _stage(*, real: bool) -> Stage:
    if real:
        from examples.air_traffic.demo.servers import RealServers  # noqa: PLC0415  # needs clients and Java

        return RealServers()
    from examples.air_traffic.demo.embedded import Embedded  # noqa: PLC0415  # needs none of them

    return Embedded()


if __name__ == "__main__":
    sys.exit(main())
