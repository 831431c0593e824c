"""``multiprocessing.Pool``: nothing durable, no names, no doors; the measure of the possible."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

_BATCH = 64


class PoolPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pool = multiprocessing.get_context("fork").Pool(PROCESSES)

    @property
    def root_pid(self) -> int:
        return os.getpid()

    def one(self, number: int) -> dict[int, int]:
        return work.sum_groups([self._pool.apply(work.map_number, (number,))])

    def fanout(self, count: int) -> dict[int, int]:
        mapped = self._pool.imap_unordered(work.map_number, range(count), chunksize=_BATCH)
        return work.sum_groups(mapped)

    def wordcount(self, path: str) -> dict[str, int]:
        return self._count(work.count_chunk, path)

    def wordcount_pairs(self, path: str) -> dict[str, int]:
        return self._count(work.count_yields, path)

    def _count(self, count: Callable[..., dict[str, int]], path: str) -> dict[str, int]:
        ranges = [(count, path, *chunk) for chunk in work.chunks(path)]
        return work.add_counts(self._pool.imap_unordered(_call, ranges))

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        ranges = [(work.sum_keys, child, children, keys) for child in range(children)]
        in_order = sorted(work.add_counts(self._pool.imap_unordered(_call, ranges)).items())
        return lambda: work.check_keys(in_order, children * keys)

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


def _call(words: tuple[Callable[..., object], ...]) -> object:
    function, *arguments = words
    return function(*arguments)


if __name__ == "__main__":
    measure.main("pool", PoolPeer)
