"""Dask's distributed scheduler, on this machine alone."""

from __future__ import annotations

from pathlib import Path

from dask.distributed import Client, LocalCluster

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES


class DaskPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cluster = LocalCluster(
            host="127.0.0.1",
            n_workers=PROCESSES,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
        )
        self._client = Client(self._cluster)

    def one(self, number: int) -> dict[int, int]:
        mapped = self._client.submit(work.map_number, number, pure=False)
        return self._client.submit(_reduce, mapped, pure=False).result()

    def fanout(self, count: int) -> dict[int, int]:
        mapped = self._client.map(work.map_number, range(count), pure=False)
        return self._client.submit(work.sum_groups, mapped, pure=False).result()

    def wordcount(self, path: str) -> dict[str, int]:
        submit = self._client.submit
        counts = [submit(work.count_chunk, path, *c, pure=False) for c in work.chunks(path)]
        return submit(work.add_counts, counts, pure=False).result()

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


def _reduce(mapped: list[tuple[int, list[int]]]) -> dict[int, int]:
    return work.sum_groups([mapped])


if __name__ == "__main__":
    measure.main("dask", DaskPeer)
