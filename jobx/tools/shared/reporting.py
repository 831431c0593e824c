"""Reports errors of commands: a line for people or an object for programs, and an exit code."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import click

from jobx import meanings, printable
from jobx.errors import JobxError, SettingsRefused, WorkflowRefused
from jobx.tools.shared import streams


def report(error: Exception, *, as_json: bool = False) -> int:
    """Write an error to stderr; return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        error.show()
        return meanings.USAGE
    lines, slug, code = _judge(error)
    lines = [printable.line(" ".join(line.split())) for line in lines]
    text = "\n".join(f"jobx: {line}" for line in lines)
    if as_json:
        problem = {"code": slug, "detail": "; ".join(lines), "exit_code": code}
        text = json.dumps({"error": problem}, ensure_ascii=False)
    with suppress(OSError):  # stderr may be closed as well
        click.echo(text, err=True)
    return code


def unknown_command(name: str, known: Iterable[str], ctx: click.Context) -> click.UsageError:
    """Return the error for a command that does not exist, with those that do."""
    words = list(known)
    near = difflib.get_close_matches(name, words, 1)
    more = f" Did you mean {near[0]!r}?" if near else ""
    return click.UsageError(f"No such command {name!r}.{more}", ctx)


def _judge(error: Exception) -> tuple[list[str], str, int]:
    """Return the lines, the slug and the exit code of an error."""
    if isinstance(error, JobxError):
        has_lines = isinstance(error, SettingsRefused | WorkflowRefused)
        lines = str(error).split("\n") if has_lines else [str(error)]
        return lines, error.code, meanings.meaning_of(type(error)).exit_code
    if isinstance(error, click.Abort):
        return ["interrupted"], "interrupted", meanings.INTERRUPTED
    if isinstance(error, click.ClickException):
        return [_with_usage(error)], "usage", meanings.USAGE
    if streams.is_refusal(error):
        reason = getattr(error, "strerror", None) or str(error)
        return [f"the answer cannot be written: {reason}"], "output", meanings.STORE
    if isinstance(error, OSError):
        line = f"{error.filename or 'the system'}: {error.strerror or error}"
        return [line], "system", meanings.INTERNAL
    fault = f"a fault of JobX: {type(error).__name__}: {error} (--debug shows where)"
    return [fault], "internal", meanings.INTERNAL


def _with_usage(error: click.ClickException) -> str:
    """Return the message of a wrong call, with what the command takes, or with its help."""
    message = error.format_message()
    for words, better in _WORDS.items():
        message = message.replace(words, better)
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return message
    if isinstance(error, click.MissingParameter):
        return f"{message} {ctx.get_usage()}"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"Missing command. {ctx.get_usage()}"
    if isinstance(error, click.NoSuchOption) and error.option_name in _EVERYWHERE:
        return f"Write {error.option_name} after the command: {ctx.command_path} COMMAND …"
    if message.startswith("No such command") and isinstance(ctx.command, click.Group):
        known = ", ".join(ctx.command.list_commands(ctx))
        return message if "?" in message else f"{message} The commands are {known}."
    return message if message.endswith("?") else f"{message} See {ctx.command_path} --help."


#: Words of click that name its types, and what they mean.
_WORDS: Final = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid integer": "is not a whole number",
    "is not a valid float range": "is not a number",
}
#: Options of every command, which groups do not take.
_EVERYWHERE: Final = ("--data", "--config", "--json", "--debug")
