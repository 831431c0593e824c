"""The scripts of ``mr`` 0.3.5: each is a command of ``jobx`` under its old name.

All of them are this module's ``main``, which looks at its own name. They take the old arguments,
and the common options of ``jobx``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import redirect_stdout, suppress
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import click

from jobx import config_loading, meanings, printable
from jobx.config import Settings
from jobx.errors import JobxError
from jobx.tools import cli
from jobx.tools.serving import background
from jobx.tools.shared import reporting

Words: TypeAlias = list[str]
#: Takes the arguments of a script; returns the commands that do its work, one after the other.
Script: TypeAlias = Callable[[Words], list[Words]]

#: The socket of the original's web server, which old nginx settings use.
SOCKET: Final = "unix:/tmp/mr.gunicorn.sock"
#: The log file of the original's production script.
LOG_PATH: Final = "/var/log/jobx.log"


def main() -> None:
    """Run the script that this process was called as, and exit."""
    name = Path(sys.argv[0]).name
    try:
        commands = SCRIPTS[name](sys.argv[1:])
    except click.ClickException as error:
        click.echo(f"{name}: {printable.line(error.format_message())}", err=True)
        sys.exit(meanings.USAGE)
    for words in commands[:-1]:
        _run(words)
    cli.main(commands[-1])


def _run(words: Words) -> None:
    try:
        cli.main(words)
    except SystemExit as end:
        if end.code != meanings.OK:
            raise


def _same(*words: str, **options: str) -> Script:
    """Return a script that is a command, with some options under other names.

    As ``argparse`` did, it takes long options cut short, and short ones together.
    """
    names = {f"--{old}" if len(old) > 1 else f"-{old}": new for old, new in options.items()}
    return lambda given: [[*words, *chain.from_iterable(_new(word, names) for word in given)]]


def _new(word: str, names: Mapping[str, str]) -> Words:
    """Return a word of the command line with the new names of options."""
    if not word.startswith("--"):
        letters = [f"-{letter}" for letter in word[1:]] if word.startswith("-") else []
        known = letters and all(letter in names for letter in letters)
        return [names[letter] for letter in letters] if known else [word]
    name, equals, value = word.partition("=")
    old = [one for one in names if one.startswith(name)]
    return [f"{names[old[0]]}{equals}{value}"] if len(name) > 2 and len(old) == 1 else [word]


def _shown(noun: str) -> Script:
    """Return a script that writes an entity as mr wrote it: class, key, then all else, as JSON."""

    def show(given: Words) -> list[Words]:
        words = [noun, "get", *given]
        if {"--json", "--help", "-h"} & set(given):
            return [words]
        with redirect_stdout(StringIO()) as text:
            _run([*words, "--json"])
        data = json.loads(text.getvalue())
        data = _as_stored(data) if noun == "request" else data
        key = "request_id" if noun == "request" else f"{noun}_name"
        entity = {"entity_name": noun.title(), "primary_key": {key: data.pop(key)}, "data": data}
        click.echo(json.dumps(entity, indent=4))
        sys.exit(meanings.OK)

    return show


def _as_stored(view: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that mr kept of a request."""
    same = ("request_id", "workflow_name", "job_name", "is_blocking", "context")
    return {
        **{name: view[name] for name in same},
        "invocation_id": "m0",
        "is_done": view["state"] != "running",
        "failed_invocation_id": (view["failure"] or {}).get("invocation_id"),
    }


def _gone(instead: str) -> Script:
    def refuse(_: Words) -> list[Words]:
        raise click.UsageError(f"is gone; instead: {instead}")

    return refuse


def _list_steps(given: Words) -> list[Words]:
    orders = ("step_name", "map_handler_name", "combine_handler_name", "reduce_handler_name")
    return [["step", "list", *given, "--by", order] for order in orders]


def _create_request(given: Words) -> list[Words]:
    parser = argparse.ArgumentParser("mr_kv_request_create", add_help=False)
    parser.add_argument("-a", "--argument", nargs=2, action="append", default=[])
    parser.add_argument("-c", "--context")
    asked, others = parser.parse_known_args(given)
    names, options = _parted(others, "run")
    words = ["run", "/".join(names[:2]), *names[2:], *options]
    for name, value in asked.argument:
        # Values were always text; the handler's argument spec casts them.
        words += ["-a", f"{name}={json.dumps(value)}"]
    return [[*words, "--context", asked.context] if asked.context else words]


def _clean_up(given: Words) -> list[Words]:
    words = [
        *chain.from_iterable(
            _new(word, {"-s": "--simulate", "--simulate": "--simulate"}) for word in given
        )
    ]
    names, _ = _parted(words, "request", "cleanup")
    if len(names) == 1:  # the command would remove all that have ended
        raise click.UsageError(f"needs a request's id; all: jobx request cleanup {names[0]}")
    return [["request", "cleanup", *words]]


def _draw_graph(given: Words) -> list[Words]:
    names, _ = _parted(given, "request", "graph")
    output = ["-o", f"request-{names[1]}.dot"] if len(names) > 1 else []
    return [["request", "graph", *given, *output]]


def _parted(given: Words, name: str, *path: str) -> tuple[Words, Words]:
    """Return the arguments among the words for a command, and its options with their values."""
    command = getattr(importlib.import_module(f"jobx.tools.commands.{name}"), name)
    for inner in path:
        command = command.commands[inner]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.is_flag]
    valued = {name for option in options for name in option.opts}
    parted: tuple[Words, Words] = ([], [])
    words = iter(given)
    for word in words:
        parted[word.startswith("-")].append(word)
        if word in valued:
            parted[1].extend(islice(words, 1))
    return parted


def _listen(given: Words) -> list[Words]:
    host = os.environ.get("HTTP_LISTEN_HOSTNAME") or "localhost"
    port = os.environ.get("HTTP_LISTEN_PORT") or "3333"
    return [["notify", "listen", "--host", host, "--port", port, *given]]


def _serve(given: Words) -> list[Words]:
    set_defaults(os.environ, "")
    with suppress(JobxError):  # the server says it
        make_folder(config_loading.load(None, os.environ))
    return [["serve", *given]]


def _serve_in_background(given: Words) -> list[Words]:
    """Start the server, whose script ended as soon as that was in the background."""
    set_defaults(os.environ, LOG_PATH)
    try:
        settings = config_loading.load(None, os.environ)
        make_folder(settings)
        log_path = settings.node.log_path
        process_id, code = background.serve(given, os.environ, log_path)
    except JobxError as error:
        sys.exit(reporting.report(error))
    if code == meanings.OK:
        told = f" and writes to {log_path}" if log_path else ""
        click.echo(f"process {process_id} serves{told}; kill {process_id} stops it")
    sys.exit(code)


def make_folder(settings: Settings) -> None:
    """Make the folder of results, as mr did; the server names one that cannot be used."""
    results = settings.results
    if results.writer == "file" and results.file_path:
        with suppress(OSError):
            Path(results.file_path).expanduser().mkdir(parents=True, exist_ok=True)


def set_defaults(environ: MutableMapping[str, str], log_path: str) -> None:
    """Set what the original's start scripts set, unless the settings have it."""
    if environ.get("JOBX_CONFIG"):
        return  # a file of new settings has everything
    environ.setdefault("JOBX_HTTP_BIND", SOCKET)
    if log_path and not environ.get("MR_LOG_FILEPATH"):
        environ.setdefault("JOBX_NODE_LOG_PATH", log_path)


_NO_INVOCATION: Final = "mr_kv_request_create; an invocation is part of a request, and never alone"
_MAPPED_STEPS: Final = "mappers say at run time which step they map to"

#: What a step binds, in the words of mr and of now.
_ROLES: Final = (("map", "mapper"), ("combine", "combiner"), ("reduce", "reducer"))

SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {
        "mr_kv_workflow_create": _same("workflow", "create"),
        "mr_kv_workflow_get": _shown("workflow"),
        "mr_kv_workflow_delete": _same("workflow", "delete"),
        "mr_kv_job_create": _same("job", "create"),
        "mr_kv_job_get": _shown("job"),
        "mr_kv_job_list": _same("job", "list"),
        "mr_kv_job_delete": _same("job", "delete"),
        "mr_kv_step_create": _same("step", "create"),
        "mr_kv_step_get": _shown("step"),
        "mr_kv_step_list": _list_steps,
        "mr_kv_step_delete": _same("step", "delete"),
        "mr_kv_step_set_handler": _same(
            *("step", "set-handler"),
            **{f"{old}-handler-name": f"--{new}" for old, new in _ROLES},
        ),
        "mr_kv_step_update_handlers": _same(
            "step", "update-handlers", s="--simulate", **{"simulate-only": "--simulate"}
        ),
        "mr_kv_handler_create": _same(
            "handler", "create", **{"required-capability": "--capability"}
        ),
        "mr_kv_handler_get": _shown("handler"),
        "mr_kv_handler_list": _same("handler", "list"),
        "mr_kv_handler_delete": _same("handler", "delete"),
        "mr_kv_handler_store": _same(
            "handler",
            "sync",
            s="--simulate",
            simulate_only="--simulate",
            f="--force",
            force_update="--force",
        ),
        "mr_kv_request_create": _create_request,
        "mr_kv_request_get": _shown("request"),
        "mr_kv_request_cleanup": _clean_up,
        "mr_kv_invocation_create": _gone(_NO_INVOCATION),
        "mr_kv_invocation_get": _same("invocation", "get"),
        "mr_get_invocation_flat_list": _same("request", "dump", "--flat"),
        "mr_get_invocation_graph": _same("request", "trace", "--detail"),
        "mr_draw_invocation_graph": _draw_graph,
        "mr_get_request_sessions": _same("request", "sessions"),
        "mr_http_notification_listen": _listen,
        "mr_kv_t_mapped_steps_add": _gone(_MAPPED_STEPS),
        "mr_kv_t_mapped_steps_create.obs": _gone(_MAPPED_STEPS),
        "mr_kv_t_mapped_steps_get.obs": _gone(_MAPPED_STEPS),
        "mr_start_gunicorn_dev": _serve,
        "mr_start_gunicorn_prod": _serve_in_background,
    }
)
