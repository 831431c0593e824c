"""The programs that ``jobx serve`` runs: their words, and the settings in their environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from jobx.config import ENV_PREFIX, Settings, without_secrets
from jobx.tools.serving import systemd
from jobx.tools.serving.children import Child


def node_child(settings: Settings, heartbeat_fd: int) -> Child:
    """Return the node; it writes its heartbeat into a descriptor."""
    words = [sys.executable, "-P", "-m", "jobx.tools.cli", "node"]
    words += ["--heartbeat-fd", str(heartbeat_fd)]
    # Its log is durable and a new node needs its lock, so an orphaned node need not drain.
    return Child("node", words, environ_of(settings), signal.SIGKILL, (heartbeat_fd,))


def web_child(settings: Settings, listener: socket.socket) -> Child:
    """Return gunicorn, which inherits the socket that it takes connections from."""
    number = listener.fileno()
    words, environ = web_program(settings, number)
    # gunicorn imports from its working folder, so it gets one that nobody writes to.
    return Child("web server", words, environ, signal.SIGKILL, (number,), folder="/")


def web_program(settings: Settings, number: int) -> tuple[list[str], dict[str, str]]:
    """Return words and environment of gunicorn, which takes connections from a descriptor."""
    options = ["-c", "python:jobx.http.gunicorn_conf", "--bind", f"fd://{number}"]
    words = [sys.executable, "-P", "-m", "gunicorn", *options, "jobx.http.asgi:create()"]
    everything = environ_of(settings)
    # Web workers put arguments into the shared place of blobs, and fetch results from it.
    blobs = {k: v for k, v in everything.items() if k.startswith(f"{ENV_PREFIX}BLOBS_")}
    return words, without_secrets(settings, everything) | blobs


def variables(settings: Settings) -> dict[str, str]:
    """Return settings as ``JOBX_*`` variables, as ``config_loading.load`` reads them."""
    found = {}
    for section in settings.__struct_fields__:
        part = getattr(settings, section)
        for name in part.__struct_fields__:
            value = getattr(part, name)
            found[f"{ENV_PREFIX}{section}_{name}".upper()] = _text(value)
    found[f"{ENV_PREFIX}NODE_DATA_DIR"] = str(settings.data_dir)
    if settings.node.log_path:
        found[f"{ENV_PREFIX}NODE_LOG_PATH"] = str(Path(settings.node.log_path).absolute())
    return found


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def environ_of(settings: Settings) -> Mapping[str, str]:
    """Return the environment of a child: that of this process, with these settings."""
    own = {f"{ENV_PREFIX}CONFIG", *systemd.VARIABLES}
    inherited = {k: v for k, v in os.environ.items() if k not in own}
    return inherited | variables(settings)
