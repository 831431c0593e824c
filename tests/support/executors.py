"""The node's side of a fork server, as small as it can be: for tests of real executors."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobx import values
from jobx.frames import FrameSocket
from jobx.handlers import launch
from jobx.handlers.execution.shared_page import SharedPage
from jobx.work import Leave

WAIT_S = 60.0


@dataclass
class Executor:
    """One executor process."""

    number: int
    pid: int
    frames: FrameSocket
    page: SharedPage

    def ask(self, *sent: object) -> dict[str, Any]:
        """Send frames and return the next answer."""
        for frame in sent:
            self.frames.send(frame)
        answer = self.hear()
        assert answer is not None, "the executor is gone"
        return answer

    def hear(self) -> dict[str, Any] | None:
        """Return the next answer; None if the executor is gone."""
        body = self.frames.receive_body()
        found: dict[str, Any] | None = None if body is None else values.unpack(body)
        return found

    def leaves(self) -> bool:
        """Tell whether it left by itself after the last answer; it has left afterwards."""
        with suppress(BrokenPipeError):
            self.frames.send(Leave())
        return self.hear() == {"t": "leaving"}

    def at_work_on(self) -> tuple[int, int]:
        """Return the work id and vertex in the shared page."""
        work_id, vertex, _ = self.page.at_work()
        return work_id, vertex


class ExecutorHost:
    """Starts a fork server; a context manager that ends it."""

    def __init__(self, temp_dir: Path, **config: Any) -> None:
        self._config = {
            "memory_bytes": 1 << 30,
            "output_bytes": 1 << 16,
            "spill_bytes": 64 << 20,
            "recycle_invocations": 1_000_000,
            "recycle_growth_bytes": 256 << 20,
            "environment": {"PATH": os.environ["PATH"]},
            "temp_dir": str(temp_dir),
            **config,
        }
        self._executors: list[Executor] = []

    def __enter__(self) -> ExecutorHost:
        self._control, self.process = launch.fork_server(self._config, os.environ)
        self._control.settimeout(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self.process.wait(WAIT_S)
        for executor in self._executors:
            executor.frames.close()
            executor.page.close()

    def spawn(self) -> Executor:
        """Return a new executor that is ready."""
        number = len(self._executors) + 1
        ours, page = launch.executor(self._control, number)
        ours.settimeout(WAIT_S)
        while (spawned := self.hear())["t"] == "exited":  # another one has left
            continue
        assert (spawned["t"], spawned["n"]) == ("spawned", number)
        executor = Executor(number, spawned["pid"], FrameSocket(ours), page)
        self._executors.append(executor)
        assert executor.hear() == {"t": "ready", "pid": executor.pid}
        return executor

    def hear(self) -> dict[str, Any]:
        """Return the next message of the fork server."""
        message: dict[str, Any] = values.unpack(self._control.recv(1 << 12))
        return message
