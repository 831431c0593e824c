"""A node and its web workers as services of their own, as systemd runs them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import eventually

START_S = 60.0


@contextmanager
def service(folder: Path, command: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until it tells the service manager that it is ready."""
    place = folder / f"{command}.notify"
    environ = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
    environ |= {"NOTIFY_SOCKET": str(place), "JOBX_NODE_DATA_DIR": str(folder / "d")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(place))
        heard.settimeout(START_S)
        line = [sys.executable, "-m", "jobx.tools.cli", command, *words]
        with subprocess.Popen(line, env=environ) as process:
            try:
                while b"READY=1" not in heard.recv(4096):
                    pass
                yield process
            finally:
                process.terminate()
                assert process.wait(60) == 0


def ready(port: int) -> int:
    """Return the status of ``/health/ready``."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_web_workers_answer_for_a_node_that_comes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    with service(tmp_path, "web", "--bind", f"127.0.0.1:{port}"):
        eventually(lambda: ready(port) == 503)
        with service(tmp_path, "node", "--executors", "1"):
            eventually(lambda: ready(port) == 200)
        eventually(lambda: ready(port) == 503)
