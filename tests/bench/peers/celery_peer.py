"""Celery with Redis, which keeps nothing on disk here."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import group

from tests.bench import measure, work
from tests.bench.peers import celery_app
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

_START_S = 30.0
_ANSWER_S = 300.0


class CeleryPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        port = _free_port()
        url = f"redis://127.0.0.1:{port}/0"
        celery_app.app.conf.update(broker_url=url, result_backend=url)
        redis = f"redis-server --bind 127.0.0.1 --port {port} --appendonly no --dir {folder}"
        self._redis = subprocess.Popen([*redis.split(), "--save", ""])
        _until("redis-server", lambda: _listens(port))
        application = f"celery -A {celery_app.__name__} -b {url} --result-backend {url}"
        options = f"worker -c {PROCESSES} --without-gossip --without-mingle -l WARNING"
        self._celery = subprocess.Popen([sys.executable, "-m", *f"{application} {options}".split()])
        _until("celery", lambda: celery_app.app.control.ping(timeout=0.5))

    def one(self, number: int) -> dict[int, int]:
        both = celery_app.map_number.s(number) | celery_app.reduce_one.s()
        return dict(both.apply_async().get(timeout=_ANSWER_S))

    def fanout(self, count: int) -> dict[int, int]:
        # A chord, which would reduce at the other end, takes several times as long.
        mapped = group(celery_app.map_number.s(number) for number in range(count))
        return work.sum_groups(mapped.apply_async().get(timeout=_ANSWER_S))

    def wordcount(self, path: str) -> dict[str, int]:
        counts = group(celery_app.count_chunk.s(path, *chunk) for chunk in work.chunks(path))
        return work.add_counts(counts.apply_async().get(timeout=_ANSWER_S))

    def close(self) -> None:
        for process in (self._celery, self._redis):
            process.terminate()
            process.wait(timeout=_START_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _until(name: str, answers: Callable[[], object]) -> None:
    deadline = time.monotonic() + _START_S
    while not answers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not start within {_START_S:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    measure.main("celery", CeleryPeer)
