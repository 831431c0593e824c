"""Ray, on this machine alone."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

# Ray reads these when it is imported. The second makes it listen on the loopback address only:
# what keeps it from other machines elsewhere works here as well.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray

_STORE_BYTES = 512 << 20


class RayPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ray.init(
            num_cpus=PROCESSES,
            include_dashboard=False,
            logging_level="ERROR",
            object_store_memory=_STORE_BYTES,
        )
        self._map = ray.remote(work.map_number)
        self._reduce = ray.remote(_reduce)
        self._count = ray.remote(work.count_chunk)
        self._add = ray.remote(_add)

    def one(self, number: int) -> dict[int, int]:
        return ray.get(self._reduce.remote(self._map.remote(number)))

    def fanout(self, count: int) -> dict[int, int]:
        return work.sum_groups(ray.get([self._map.remote(number) for number in range(count)]))

    def wordcount(self, path: str) -> dict[str, int]:
        counts = [self._count.remote(path, *chunk) for chunk in work.chunks(path)]
        return ray.get(self._add.remote(*counts))

    def close(self) -> None:
        ray.shutdown()


def _reduce(*mapped: list[tuple[int, list[int]]]) -> dict[int, int]:
    return work.sum_groups(mapped)


def _add(*counts: dict[str, int]) -> dict[str, int]:
    return work.add_counts(counts)


if __name__ == "__main__":
    measure.main("ray", RayPeer)
