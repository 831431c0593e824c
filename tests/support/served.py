"""``jobx serve`` as a real process: asked over HTTP, looked into by /proc, killed and restarted."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from tests.support.authoring import WORKFLOW, store_variables
from tests.support.ports import free_port
from tests.support.processes import (
    ProcessIdentity,
    alive,
    children,
    descendants,
    identity,
    words,
)
from tests.support.waiting import eventually

START_S = 60.0
#: Longer than anybody asks to wait.
_PATIENCE_S: Final = 90.0
_FORK_SERVER: Final = "jobx.handlers.execution.fork_server"
#: The module that runs the command line.
LAUNCH = ("jobx.tools.cli",)


class Answer(NamedTuple):
    """An answer over HTTP; ``body`` is what its JSON says."""

    status: int
    headers: http.client.HTTPMessage
    body: Any

    @property
    def pairs(self) -> list[Any]:
        """The result in it."""
        assert self.status == 200, self
        pairs: list[Any] = self.body["result"]["pairs"]
        return pairs

    @property
    def request_id(self) -> str:
        """The request that it is about."""
        return str(self.headers["X-MR-REQUEST-ID"])


class Served:
    """A serving process; the processes below it by what they do."""

    def __init__(
        self,
        data_dir: Path,
        environ: dict[str, str],
        stderr: IO[str] | None = None,
        launch: Sequence[str] = LAUNCH,
    ) -> None:
        self._launch = launch
        self._data_dir = data_dir
        self._stderr = stderr
        # Variables of tests themselves are no settings, and would be refused.
        around = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
        around |= store_variables()
        self._environ = {**around, "JOBX_NODE_LOG_LEVEL": "error", **environ}
        self._seen: set[ProcessIdentity] = set()
        self.port = free_port()
        self.process: subprocess.Popen[str]

    def start(self) -> None:
        """Start it, always on the same port, and wait until it answers."""
        command = [sys.executable, "-m", *self._launch, "serve", "--executors", "2"]
        command += ["--data", str(self._data_dir), "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=self._environ,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(f"serving http://127.0.0.1:{self.port}"), line
        self.note()

    def note(self) -> None:
        """Remember the processes there are, to see later that they are gone."""
        self._seen |= {one for pid in descendants(self.process.pid) if (one := identity(pid))}

    def stop(self) -> int:
        """Stop it; return its exit code. Nothing of it is left."""
        self.note()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.expect_gone()
        return code

    def kill_all(self) -> None:
        """Kill every process of it at once."""
        self.note()
        self.process.kill()
        for one in self._seen:
            if one.goes_on:
                kill(one.pid)
        self.process.wait(60)
        self.expect_gone()

    def expect_gone(self) -> None:
        """Wait until no process is left that was ever seen."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._seen = {one for one in self._seen if one.goes_on}
        eventually(lambda: not any(one.goes_on for one in self._seen), timeout_s=60)

    def node(self) -> int:
        """Return the node's process; wait for it while one is started again."""
        return eventually(self._nodes)[0]

    def fork_server(self) -> int:
        """Return the fork server; wait for it, as ``node`` does."""
        return eventually(self._fork_servers)[0]

    def executors(self) -> list[int]:
        """Return the executors that there are now."""
        return [pid for one in self._fork_servers() for pid in self._below(one, _FORK_SERVER)]

    def web_workers(self) -> list[int]:
        """Return the web workers that there are now."""
        return [pid for one in self._web_servers() for pid in self._below(one, "gunicorn")]

    def web_server(self) -> int:
        """Return the process above the web workers; wait for it, as ``node`` does."""
        return eventually(self._web_servers)[0]

    def _nodes(self) -> list[int]:
        return self._below(self.process.pid, "node")

    def _fork_servers(self) -> list[int]:
        return [pid for one in self._nodes() for pid in self._below(one, _FORK_SERVER)]

    def _web_servers(self) -> list[int]:
        return self._below(self.process.pid, "gunicorn")

    def _below(self, pid: int, word: str) -> list[int]:
        return [child for child in sorted(children(pid)) if word in words(child)]

    def post(
        self, job: str, arguments: dict[str, Any], *, timeout_s: float = _PATIENCE_S, **headers: str
    ) -> Answer:
        """Post a job; ``Idempotency_Key`` is the header Idempotency-Key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(
            "POST", f"/job/{WORKFLOW}/{job}", {"arguments": arguments}, timeout_s, named
        )

    def get(self, request_id: str, part: str = "", **headers: str) -> Answer:
        """Get a request, or a part of it such as ``/result``."""
        return self.ask(
            "GET", f"/request/{WORKFLOW}/{request_id}{part}", None, _PATIENCE_S, headers
        )

    def ask(
        self, method: str, path: str, body: Any, timeout_s: float, headers: dict[str, str]
    ) -> Answer:
        """Return the answer to a request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, json.loads(answer.read() or b"null"))


def kill(pid: int) -> None:
    """Kill a process that may be gone; when this returns, it does nothing any more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))


@contextmanager
def served(data_dir: Path, launch: Sequence[str] = LAUNCH, **environ: str) -> Iterator[Served]:
    """Serve a data folder; in the end no process is left, whatever happened."""
    serving = Served(data_dir, environ, launch=launch)
    serving.start()
    try:
        yield serving
        if serving.process.poll() is None:
            assert serving.stop() == 0
    finally:
        if serving.process.poll() is None:
            serving.kill_all()
