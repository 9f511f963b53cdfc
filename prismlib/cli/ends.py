"""Every end of a command becomes one exit code and, where something is wrong, one sentence on standard error.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | a finding: incompatible, stale, lagging |
| 2 | wrong usage or configuration |
| 3 | could not decide, could not reach, refused, fatal or internal error |
| 130 | interrupted |
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from prismlib.cli.app import App, print_error
from prismlib.errors import ConfigError, PrismError

INTERRUPTED = 130


def run_to_its_end(command: click.Command, name: str, arguments: Sequence[str], app: App, *, broken_pipe: int) -> int:
    """Run a command.

    Args:
        command: what to run.
        name: of the program, for usage errors.
        arguments: of the command line.
        app: state of this invocation.
        broken_pipe: the exit code when the reader of the output, such as `head`, has seen enough.

    Returns:
        The exit code, as in the table of this module.
    """
    try:
        # Not command.main, which would take a broken pipe for exit code 1, a finding.
        with command.make_context(name, list(arguments), obj=app) as context:
            result: Any = command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return ConfigError.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except PrismError as error:
        _traceback(app)
        print_error(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return broken_pipe
    except Exception as error:  # noqa: BLE001  # the last resort: nobody else will tell the user
        _traceback(app)
        text = " ".join(str(error).split())
        how = "`prism --debug ...`" if name == "prism" else "PRISM_DEBUG=1"
        hint = "" if app.debug else f"; {how} shows where"
        print_error(f"internal error, please report it: {type(error).__name__}: {text}{hint}")
        return PrismError.exit_code
    return result if isinstance(result, int) else 0


def _traceback(app: App) -> None:
    if app.debug:
        import traceback  # noqa: PLC0415  # only who looks for a bug pays for it

        traceback.print_exc()
