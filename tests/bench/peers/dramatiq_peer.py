"""Dramatiq with Redis, which keeps nothing on disk here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.peers.redis_server import RedisServer
from tests.bench.works import PROCESSES

_APP = "tests.bench.peers.dramatiq_app"
_STOP_S = 30.0
_ANSWER_MS = 300_000


class DramatiqPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis = RedisServer(folder)
        # It needs its broker when it is imported.
        os.environ["DRAMATIQ_URL"] = self._redis.url
        self._app = import_module(_APP)
        self._group = import_module("dramatiq").group
        options = f"--processes {PROCESSES} --threads 1 {_APP}"
        self._workers = subprocess.Popen([sys.executable, "-m", "dramatiq", *options.split()])

    def one(self, number: int) -> dict[int, int]:
        both = self._app.map_number.message(number) | self._app.reduce_one.message()
        return dict(both.run().get_result(block=True, timeout=_ANSWER_MS))

    def fanout(self, count: int) -> dict[int, int]:
        mapped = self._group(self._app.map_number.message(number) for number in range(count))
        return work.sum_groups(mapped.run().get_results(block=True, timeout=_ANSWER_MS))

    def wordcount(self, path: str) -> dict[str, int]:
        chunks = work.chunks(path)
        counts = self._group(self._app.count_chunk.message(path, *chunk) for chunk in chunks)
        return work.add_counts(counts.run().get_results(block=True, timeout=_ANSWER_MS))

    def close(self) -> None:
        self._workers.terminate()
        self._workers.wait(timeout=_STOP_S)
        self._redis.close()


if __name__ == "__main__":
    measure.main("dramatiq", DramatiqPeer)
