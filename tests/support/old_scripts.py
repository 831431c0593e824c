"""The scripts of mr on the PATH of a shell, as somebody's deployment notes call them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from jobx.tools.mr import SCRIPTS

Shell = Callable[[str], CompletedProcess[str]]


def install(folder: Path) -> None:
    """Make the folders ``home`` and ``bin``, with the scripts in the latter."""
    (folder / "home").mkdir()
    (folder / "bin").mkdir()
    for name in SCRIPTS:
        path = folder / "bin" / name
        path.write_text(f"#!{sys.executable}\nfrom jobx.tools.mr import main\nmain()\n")
        path.chmod(0o755)


def shell(folder: Path) -> Shell:
    """Return what runs lines of a shell that finds the scripts, in the folder ``home``."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("MR_", "JOBX_"))}
    environ = {
        **kept,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        # Several runs of a test may share a machine, so not at the one address of the scripts.
        "JOBX_HTTP_BIND": f"unix:{folder / 'mr.sock'}",
        "JOBX_NODE_EXECUTORS": "1",
    }

    def run(lines: str) -> CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", lines]
        return subprocess.run(
            command,
            cwd=folder / "home",
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def ask(path: Path, method: str, url: str, body: object = None) -> tuple[int, str | None, bytes]:
    """Return the status, the request's id and the body of an answer on a Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(path))
    try:
        connection.request(method, url, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers["X-MR-REQUEST-ID"], answer.read()
    finally:
        connection.close()
