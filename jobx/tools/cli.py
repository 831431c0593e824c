"""``jobx``: the command line's entry, where every error becomes one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

import jobx
from jobx import meanings, printable
from jobx.errors import JobxError

#: Each is a module of this package with a command of the same name.
COMMANDS: Final = (
    *("init", "apply", "run", "serve", "workflow", "job", "step", "handler", "cluster", "web"),
    *("request", "invocation", "notify", "fs", "actors", "node"),
)
_BUILD: Final = " (compiled)" if jobx.is_compiled() else ""


class Cli(click.Group):
    """A group that imports a command when it is asked for, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"jobx.tools.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command to its last byte of output; a closed reader is no error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_the_pipe()
            return meanings.OK
        return code

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command of ``args`` (default: those of the process), and exit."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, prog_name or "jobx", complete_var, False, **extra)
        except Exception as error:  # noqa: BLE001 - the one place where every error ends
            if "--debug" in words:
                click.echo(printable.lines(traceback.format_exc()), err=True)
            code = report(error)
        sys.exit(code or meanings.OK)


def report(error: Exception) -> int:
    """Write an error to stderr as one line; return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return meanings.USAGE
    line, code = _judge(error)
    click.echo(f"jobx: {printable.line(' '.join(line.split()))}", err=True)
    return code


def _judge(error: Exception) -> tuple[str, int]:
    if isinstance(error, JobxError):
        return str(error), meanings.meaning_of(type(error)).exit_code
    if isinstance(error, click.Abort):
        return "interrupted", meanings.INTERRUPTED
    if isinstance(error, click.ClickException):
        return error.format_message(), meanings.USAGE
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}", meanings.INTERNAL
    fault = f"{type(error).__name__}: {error} (--debug shows where)"
    return f"a fault of JobX: {fault}", meanings.INTERNAL


def _leave_the_pipe() -> None:
    # The reader of our output has closed it; the interpreter's last flush must not complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(jobx.__version__, prog_name="jobx", message=f"%(prog)s %(version)s{_BUILD}")
def main() -> None:
    """JobX runs map/reduce jobs, over HTTP or right here.

    Every command takes --data, --config, --json and --help; the exit codes are in
    docs/commands.md.
    """


if __name__ == "__main__":
    main()
