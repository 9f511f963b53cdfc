"""``prism-check-schema``: the gate for CI, for producers and consumers alike.

It starts often and must start fast: this module imports neither pydantic nor rich nor the plugins' stages.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import click

from prismlib.cli.app import App
from prismlib.cli.ends import run_to_its_end
from prismlib.contracts.gate import answer
from prismlib.contracts.report import exit_code
from prismlib.errors import PrismError

_OBJECTS: Final = 50_000
FORMATS = ("text", "json", "github", "junit")
_EPILOG = """\b
Examples:
  prism-check-schema                              # everything in this repository
  prism-check-schema --against git:origin/main    # what this branch changes
  prism-check-schema orders.avsc --subject orders-value --registry https://registry.example.org
  prism-check-schema --consumer schemas/orders-value/consumers/billing.avsc --window 7d
\b
Exit codes: 0 compatible, 1 a finding, 2 wrong usage or configuration, 3 could not be decided.
"""


@click.command(
    "prism-check-schema",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("schema", required=False, type=click.Path(path_type=Path))
@click.option("--subject", metavar="NAME", help="What SCHEMA is proposed for; the folder's name where it is in one.")
@click.option("--registry", metavar="URL|FOLDER", help="Where released versions are.  [default: that of prism.toml]")
@click.option("--against", metavar="git:REVISION", help="What counts as released: the folder at a git revision.")
@click.option(
    "--consumer", type=click.Path(path_type=Path), metavar="FILE", help="Check one contract, against every version."
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="NAME=SUBJECT:VERSION",
    help="What SCHEMA imports under NAME; repeat for several.",
)
@click.option("--window", metavar="DURATION", help="Only versions whose records can still be there, such as 7d.")
@click.option(
    "--format",
    "output",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="For people, for programs, as annotations of GitHub, or as a report that GitLab and others show.",
)
def command(
    schema: Path | None,
    subject: str | None,
    registry: str | None,
    against: str | None,
    consumer: Path | None,
    references: tuple[str, ...],
    window: str | None,
    output: str,
) -> int:
    """Check proposed schemas against released versions and against every consumer's contract.

    Without arguments, in a repository with a prism.toml or a folder schemas/, everything that is there.
    """
    from prismlib.cli.schema_questions import Asked, questions  # noqa: PLC0415  # --help needs none of it

    asked = Asked(schema, subject, registry, against, consumer, references, window)
    now = datetime.now(UTC)
    with questions(asked, now) as found:
        reports = list(answer(found, now.date()))
    from prismlib.cli.schema_reports import show  # noqa: PLC0415  # as above

    show(reports, output)
    return exit_code(reports)


def main() -> NoReturn:
    """The entry point of the script."""
    # What a check makes lives about as long as the check. Looking for cycles in it again and again took a tenth of the time.
    gc.set_threshold(_OBJECTS)
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run it.

    Returns:
        The exit code: 0 compatible, 1 a finding, 2 wrong usage or configuration, 3 could not be decided, or be told.
    """
    app = App(debug=bool(os.environ.get("PRISM_DEBUG")))
    return run_to_its_end(command, "prism-check-schema", arguments, app, broken_pipe=PrismError.exit_code)


if __name__ == "__main__":
    main()
