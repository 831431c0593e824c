"""A server that a benchmark asks, and how long its answers take."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from jobx import config_loading
from tests.bench import work
from tests.bench.peers.jobx_peer import WORKFLOW
from tests.bench.works import CLIENTS

_START_S = 120.0


class Server:
    """``jobx serve`` on a data folder, stopped at the end; a context manager.

    Attributes:
        started_s: How long it took until it answered.
    """

    def __init__(self, folder: Path, environ: dict[str, str], *flags: str) -> None:
        self.settings = config_loading.load(None, {}, {"node.data_dir": str(folder)})
        command = [sys.executable, "-m", "jobx.tools.cli", "serve", "--executors", "2"]
        command += ["--data", str(folder), "--bind", "127.0.0.1:0", *flags]
        env = {**os.environ, "JOBX_NODE_LOG_LEVEL": "error", **environ}
        began = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._port = int(line.split("//")[1].split()[0].rpartition(":")[2])
        self.connection = self.connect()
        self.ask("GET", "/health/ready")
        self.started_s = time.perf_counter() - began

    @property
    def pid(self) -> int:
        """The process that was started, above all others of it."""
        return self._process.pid

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        connection: http.client.HTTPConnection | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON of a good answer."""
        connection = connection or self.connection
        sent = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 202):
            raise work.WrongResultError(text.decode())
        return json.loads(text)

    def post(self, connection: http.client.HTTPConnection | None = None) -> None:
        """Have one small request done."""
        body = {"arguments": {"number": 7}}
        self.ask("POST", f"/job/{WORKFLOW}/one", body, connection)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.wait(timeout=60)


def percentiles(times: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds."""
    times = sorted(times)
    return {"p50_ms": 1e3 * times[len(times) // 2], "p99_ms": 1e3 * times[len(times) * 99 // 100]}


@contextmanager
def load(server: Server) -> Iterator[Callable[[], int]]:
    """Have clients post one request after the other; give what returns how many were done."""
    stopping = threading.Event()
    done = [0] * CLIENTS

    def run(number: int) -> None:
        with closing(server.connect()) as connection:
            while not stopping.is_set():
                server.post(connection)
                done[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(done)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
