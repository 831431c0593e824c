"""``jobx serve`` with stand-ins for the node and the web server, to see how it treats them.

Run as ``python -m tests.support.serve_stubs MODE serve …``; the stand-ins are this module too.
MODE: ``good``; ``deaf`` (the node ignores SIGTERM); ``frail`` (the node dies, again and again);
``refused`` (the node exits with 4); ``broken`` (the web server exits with 3); ``late`` (each is
killed at its first start, and notes that in the folder ``STUB_MARKS``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec

from jobx import questions
from jobx.config import Settings
from jobx.frames import FrameSocket
from jobx.questions import PROTOCOL, Hello, Question
from jobx.tools.cli import main
from jobx.tools.commands import serve
from jobx.tools.serving.children import Child, _tie
from jobx.views import Greeting, NodeView, View


def node(mode: str, data_dir: Path) -> None:
    """Answer at the gateway; keep an executor in a process group of its own."""
    _die_once(mode, "node")
    if mode == "refused":
        sys.stderr.write("jobx: data folder d is used by process 1 (node)\n")
        sys.exit(4)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "deaf" else _leave)
    executor = [sys.executable, "-c", "import time; time.sleep(600)"]
    tie = _tie(os.getpid(), signal.SIGKILL)
    subprocess.Popen(executor, process_group=0, preexec_fn=tie)  # noqa: PLW1509 - no threads here
    data_dir.mkdir(exist_ok=True)
    path = data_dir / "gateway.sock"
    if mode == "frail" and path.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "changed" and path.exists():
        sys.stderr.write("jobx: setting node.id: it is another one now\n")
        sys.exit(5)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        while True:
            _attend(listener.accept()[0])
            if mode in ("frail", "changed"):
                os.kill(os.getpid(), signal.SIGKILL)


def web(mode: str, number: int) -> None:
    """Answer every GET on an inherited socket."""
    _die_once(mode, "web")
    if mode == "broken":
        sys.exit(3)
    signal.signal(signal.SIGTERM, _leave)
    server = HTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=number)
    server.serve_forever()


def _die_once(mode: str, part: str) -> None:
    if mode == "late":
        mark = Path(os.environ["STUB_MARKS"]) / f"{part} was killed"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def _leave(*_: object) -> None:
    os._exit(0)


def _attend(peer: socket.socket) -> None:
    frames = FrameSocket(peer)
    while (body := frames.receive_body()) is not None:
        number, question = questions.decode_call(body)
        frames.send_bytes(questions.encode_answer(number, _answer(question)))
    frames.close()


def _answer(question: Question[Any]) -> View:
    if isinstance(question, Hello):
        return Greeting(protocol=PROTOCOL)
    numbers = ("uptime_s", "open_requests", "queued_batches", "dead_letters", "rss_bytes")
    texts = dict.fromkeys(("node_id", "version", "state", "data_dir"), "")
    fields = {**dict.fromkeys(numbers, 0), **texts, "capabilities": [], "executors": []}
    return msgspec.convert({**fields, "pid": os.getpid()}, NodeView)


def _stub(part: str, settings: Settings, argument: str, **more: Any) -> Child:
    words = [sys.executable, "-m", __spec__.name, mode, part, argument]
    environ: Mapping[str, str] = dict(os.environ)
    return Child(part, words, environ, signal.SIGKILL, **more)


if __name__ == "__main__":
    mode, part, *rest = sys.argv[1:]
    if part == "node":
        node(mode, Path(rest[0]))
    elif part == "web":
        web(mode, int(rest[0]))
    else:
        serve.node_child = lambda settings, _: _stub("node", settings, str(settings.data_dir))
        serve.web_child = lambda settings, listener: _stub(
            "web", settings, str(listener.fileno()), pass_fds=(listener.fileno(),)
        )
        main([part, *rest])
