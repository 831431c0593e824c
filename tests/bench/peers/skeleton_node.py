"""The node of the skeleton: a loop, executors that say what they hear, and a thread that commits.

``python -m tests.bench.peers.skeleton_node FOLDER`` listens on the socket ``node`` there.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
from pathlib import Path

import uvloop

from tests.bench.peers.frames import Frames
from tests.bench.peers.rows import Rows
from tests.bench.works import PROCESSES


class Node:
    """Sends each request to an executor, commits when it is back, and answers.

    Requests that come during a commit share the next one.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._executors: list[Frames] = []
        self._asked: dict[int, tuple[Frames, int]] = {}
        self._numbers = itertools.count()
        self._done: list[tuple[Frames, int, int]] = []
        self._committing = False

    async def run(self, path: Path, executors: list[socket.socket]) -> None:
        """Serve web workers until the process ends."""
        self._loop = asyncio.get_running_loop()
        for executor in executors:
            _, frames = await self._loop.create_unix_connection(
                lambda: Frames(self._executed), sock=executor
            )
            self._executors.append(frames)
        server = await self._loop.create_unix_server(lambda: Frames(self._ask), str(path))
        await server.serve_forever()

    def _ask(self, web: Frames, request: int, number: int) -> None:
        own = next(self._numbers)
        self._asked[own] = web, request
        self._executors[own % len(self._executors)].send(own, number)

    def _executed(self, _executor: Frames, own: int, number: int) -> None:
        web, request = self._asked.pop(own)
        self._done.append((web, request, number))
        if not self._committing:
            self._committing = True
            self._writing = self._loop.create_task(self._commit())

    async def _commit(self) -> None:
        while self._done:
            group, self._done = self._done, []
            await self._loop.run_in_executor(None, self._rows.commit, len(group))
            for web, request, number in group:
                web.send(request, number)
        self._committing = False


def _fork_executor() -> socket.socket:
    """Return the end of a socket whose other end a process of its own repeats."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    while heard := theirs.recv(1 << 16):
        theirs.sendall(heard)
    os._exit(0)


def main(folder: Path) -> None:
    executors = [_fork_executor() for _ in range(PROCESSES)]
    node = Node(Rows(folder / "rows.sqlite"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(node.run(folder / "node", executors))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
