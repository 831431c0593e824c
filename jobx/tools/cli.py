"""``jobx``: the command line's entry, where every error becomes one line and an exit code."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import click

import jobx
from jobx import meanings, printable
from jobx.system import kernel
from jobx.tools.shared import reporting, streams

#: Each is a module of this package with a command of the same name.
COMMANDS: Final = (
    *("init", "apply", "run", "serve", "workflow", "job", "step", "handler", "cluster", "web"),
    *("request", "invocation", "notify", "fs", "actors", "node", "top"),
    *("config", "completion"),
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names.

        Raises:
            click.UsageError: There is none; it says which there are, or the most similar one.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and name[:1] != "-" and not ctx.resilient_parsing:
            raise reporting.unknown_command(name, self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *words: Any, **extra: Any) -> click.Context:
        """Read the words of a call; ``--help`` writes here, and a closed reader is no error."""
        try:
            return super().make_context(*words, **extra)
        except BrokenPipeError:
            streams.leave()
            raise click.exceptions.Exit(meanings.OK) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command to its last byte of output; a closed reader is no error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            streams.leave()
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
        kernel.reset_signals()
        streams.prepare()
        try:
            code = super().main(words, prog_name or "jobx", complete_var, False, **extra)
            sys.stdout.flush()  # after --help as well
        except BrokenPipeError:
            streams.leave()
            code = meanings.OK
        except Exception as error:  # noqa: BLE001 - the one place where every error ends
            if "--debug" in words:
                click.echo(printable.lines(traceback.format_exc()), err=True)
            code = reporting.report(error, as_json="--json" in words)
            streams.leave()
        sys.exit(code or meanings.OK)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(jobx.__version__, prog_name="jobx", message=f"%(prog)s %(version)s{_BUILD}")
def main() -> None:
    """JobX runs map/reduce jobs, over HTTP or right here.

    Every command takes --data, --config, --json and --help; the exit codes are in
    docs/commands.md.
    """


if __name__ == "__main__":
    main()
