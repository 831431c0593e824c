"""Celery with Redis, which keeps nothing on disk here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from celery import group

from tests.bench import measure, work
from tests.bench.peers import celery_app
from tests.bench.peers.base import Peer
from tests.bench.peers.redis_server import RedisServer
from tests.bench.works import PROCESSES
from tests.support.waiting import eventually

_START_S = 30.0
_ANSWER_S = 300.0


class CeleryPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis = RedisServer(folder)
        url = self._redis.url
        celery_app.app.conf.update(broker_url=url, result_backend=url)
        application = f"celery -A {celery_app.__name__} -b {url} --result-backend {url}"
        options = f"worker -c {PROCESSES} --without-gossip --without-mingle -l WARNING"
        self._celery = subprocess.Popen([sys.executable, "-m", *f"{application} {options}".split()])
        eventually(lambda: celery_app.app.control.ping(timeout=0.5), _START_S)

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
        self._celery.terminate()
        self._celery.wait(timeout=_START_S)
        self._redis.close()


if __name__ == "__main__":
    measure.main("celery", CeleryPeer)
