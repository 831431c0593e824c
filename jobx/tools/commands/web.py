"""``jobx web``: the web workers alone, beside a node that is started by itself."""

from __future__ import annotations

import os

import click

from jobx.tools.serving import checks, systemd
from jobx.tools.serving.listening import listen_for
from jobx.tools.serving.programs import web_program
from jobx.tools.shared.command import Call, command


@command(
    None,
    "web",
    example="web --bind 127.0.0.1:8080",
    flags={"bind": "http.bind"},
)
@click.option("--bind", metavar="ADDRESS", help="Where to listen: HOST:PORT or unix:PATH.")
def web(call: Call) -> None:
    """Run web workers alone, beside a node.

    They are for the node on the same data folder. Requests get 503 while it does not run.
    """
    checks.check(call.settings, os.environ)
    listener = listen_for(call.settings)
    listener.set_inheritable(True)
    words, environ = web_program(call.settings, listener.fileno())
    # gunicorn tells systemd by itself when it has started.
    environ |= {name: os.environ[name] for name in systemd.VARIABLES if name in os.environ}
    os.chdir("/")  # gunicorn imports from its working folder
    os.execve(words[0], words, environ)  # noqa: S606 - a program of our own
