"""``jobx completion``: what makes a shell complete the commands and the names in the store."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command

_VARIABLE = "_JOBX_COMPLETE"


@command(
    None, "completion", example="completion bash > ~/.local/share/bash-completion/completions/jobx"
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(call: Call, shell: str) -> None:
    """Write a script with which a shell completes words."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    script = kind(click.get_current_context().find_root().command, {}, "jobx", _VARIABLE).source()
    if call.as_json:
        render.say_json({"shell": shell, "script": script})
    else:
        click.echo(script)
