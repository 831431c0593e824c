"""``jobx config``: the settings that hold, and where each comes from."""

from __future__ import annotations

import os

import click

from jobx import meanings
from jobx.config import Settings
from jobx.config_sections import is_secret
from jobx.tools.serving import checks
from jobx.tools.shared import render, setting_sources
from jobx.tools.shared.command import Call, command


@click.group("config")
def config() -> None:
    """Settings: what holds, and whether it can work."""


@command(config, "check", example="config check --config conf/jobx.toml")
@click.option("--changed", is_flag=True, help="Show only what is not a default.")
def check(call: Call, changed: bool) -> int:
    """Show every setting with its source, and check all of them.

    The source is default, a line of the file, a variable, or an option. Wrong settings are named on
    stderr, and the exit code is 5.
    """
    found = call.sources()
    rows = [
        {"setting": name, "value": value, "source": found.get(name, setting_sources.DEFAULT)}
        for name, value in _values(call.settings)
        if not changed or name in found
    ]
    wrong = checks.found(call.settings, os.environ)
    if call.as_json:
        texts = [{"setting": one.args[0], "detail": str(one)} for one in wrong]
        render.say_json({"settings": rows, "wrong": texts})
    else:
        render.say_table(("setting", "value", "source"), [tuple(row.values()) for row in rows])
        for one in wrong:
            render.complain(str(one))
    return meanings.INVALID if wrong else meanings.OK


def _values(settings: Settings) -> list[tuple[str, object]]:
    """Return names and values; of a secret only whether it is set."""
    found: list[tuple[str, object]] = []
    for section in settings.__struct_fields__:
        part = getattr(settings, section)
        for name in part.__struct_fields__:
            value = checks.shown_of(getattr(part, name))
            shown = "(a secret)" if is_secret(name) and value else value
            found.append((f"{section}.{name}", list(shown) if isinstance(shown, tuple) else shown))
    return found
