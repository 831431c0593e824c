"""The scripts of ``mr`` 0.3.5: each is a command of ``jobx`` under its old name.

All of them are this module's ``main``, which looks at its own name. They take the old arguments,
and the common options of ``jobx``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import click

from jobx import meanings, printable
from jobx.tools import cli

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


def _same(*words: str) -> Script:
    """Return a script that is a command with the same arguments."""
    return lambda given: [[*words, *given]]


def _renamed(*words: str, **options: str) -> Script:
    """Return a script that is a command with some options under other names."""
    names = {f"--{old}" if len(old) > 1 else f"-{old}": new for old, new in options.items()}
    return lambda given: [[*words, *(names.get(word, word) for word in given)]]


def _gone(instead: str) -> Script:
    def refuse(_: Words) -> list[Words]:
        raise click.UsageError(f"is gone; instead: {instead}")

    return refuse


def _list_steps(given: Words) -> list[Words]:
    orders = ("step_name", "map_handler_name", "combine_handler_name", "reduce_handler_name")
    return [["step", "list", *given, "--by", order] for order in orders]


def _create_handler(given: Words) -> list[Words]:
    """Return the command; the original's word for any node was ``none``."""
    pairs = zip(["", *given], given, strict=False)
    options = ("-r", "--capability")
    words = ["general" if word == "none" and before in options else word for before, word in pairs]
    return [["handler", "create", *words]]


def _create_request(given: Words) -> list[Words]:
    parser = argparse.ArgumentParser("mr_kv_request_create", allow_abbrev=False)
    parser.add_argument("workflow")
    parser.add_argument("job")
    parser.add_argument("-a", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("-c", metavar="CONTEXT", help="a map, as JSON")
    asked, others = parser.parse_known_args(given)
    words = ["run", f"{asked.workflow}/{asked.job}", *others]
    for name, value in asked.a:
        # Values were always text; the handler's argument spec casts them.
        words += ["-a", f"{name}={json.dumps(value)}"]
    return [[*words, "--context", asked.c] if asked.c else words]


def _draw_graph(given: Words) -> list[Words]:
    if len(given) < 2:
        return [["request", "graph", *given]]
    return [["request", "graph", *given, "-o", f"request-{given[1]}.dot"]]


def _listen(given: Words) -> list[Words]:
    host = os.environ.get("HTTP_LISTEN_HOSTNAME") or "localhost"
    port = os.environ.get("HTTP_LISTEN_PORT") or "3333"
    return [["notify", "listen", "--host", host, "--port", port, *given]]


def _serve(log_path: str) -> Script:
    def serve(given: Words) -> list[Words]:
        set_defaults(os.environ, log_path)
        return [["serve", *given]]

    return serve


def set_defaults(environ: MutableMapping[str, str], log_path: str) -> None:
    """Set what the original's start scripts set, unless the settings have it."""
    if environ.get("JOBX_CONFIG"):
        return  # a file of new settings has everything
    environ.setdefault("JOBX_HTTP_BIND", SOCKET)
    if log_path and not environ.get("MR_LOG_FILEPATH"):
        environ.setdefault("JOBX_NODE_LOG_PATH", log_path)


_NO_INVOCATION: Final = "mr_kv_request_create; an invocation is part of a request, and never alone"
_MAPPED_STEPS: Final = "mappers say at run time which step they map to"

SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {
        "mr_kv_workflow_create": _same("workflow", "create"),
        "mr_kv_workflow_get": _same("workflow", "get"),
        "mr_kv_workflow_delete": _same("workflow", "delete"),
        "mr_kv_job_create": _same("job", "create"),
        "mr_kv_job_get": _same("job", "get"),
        "mr_kv_job_list": _same("job", "list"),
        "mr_kv_job_delete": _same("job", "delete"),
        "mr_kv_step_create": _same("step", "create"),
        "mr_kv_step_get": _same("step", "get"),
        "mr_kv_step_list": _list_steps,
        "mr_kv_step_delete": _same("step", "delete"),
        "mr_kv_step_set_handler": _same("step", "set-handler"),
        "mr_kv_step_update_handlers": _renamed(
            "step", "update-handlers", s="--simulate", **{"simulate-only": "--simulate"}
        ),
        "mr_kv_handler_create": _create_handler,
        "mr_kv_handler_get": _same("handler", "get"),
        "mr_kv_handler_list": _same("handler", "list"),
        "mr_kv_handler_delete": _same("handler", "delete"),
        "mr_kv_handler_store": _renamed(
            "handler",
            "sync",
            s="--simulate",
            simulate_only="--simulate",
            f="--force",
            force_update="--force",
        ),
        "mr_kv_request_create": _create_request,
        "mr_kv_request_get": _same("request", "get"),
        "mr_kv_request_cleanup": _renamed("request", "cleanup", s="--simulate"),
        "mr_kv_invocation_create": _gone(_NO_INVOCATION),
        "mr_kv_invocation_get": _same("invocation", "get"),
        "mr_get_invocation_flat_list": _same("request", "trace"),
        "mr_get_invocation_graph": _same("request", "trace", "--detail"),
        "mr_draw_invocation_graph": _draw_graph,
        "mr_get_request_sessions": _same("request", "sessions"),
        "mr_http_notification_listen": _listen,
        "mr_kv_t_mapped_steps_add": _gone(_MAPPED_STEPS),
        "mr_kv_t_mapped_steps_create.obs": _gone(_MAPPED_STEPS),
        "mr_kv_t_mapped_steps_get.obs": _gone(_MAPPED_STEPS),
        "mr_start_gunicorn_dev": _serve(""),
        "mr_start_gunicorn_prod": _serve(LOG_PATH),
    }
)
