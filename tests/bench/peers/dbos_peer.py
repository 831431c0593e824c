"""DBOS on SQLite as it sets it up: the durable peer.

A request is a workflow, each invocation a step of it. Workflows of their own, started or from a
queue, took six times as long as steps, and steps in threads twice as long.
"""

from __future__ import annotations

from pathlib import Path

from dbos import DBOS

from tests.bench import measure, work
from tests.bench.peers.base import Peer


class DbosPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        DBOS(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
                "log_level": "WARNING",
            }
        )
        DBOS.launch()

    def one(self, number: int) -> dict[int, int]:
        return map_and_reduce(number)

    def fanout(self, count: int) -> dict[int, int]:
        return map_all(count)

    def wordcount(self, path: str) -> dict[str, int]:
        return count_words(path)

    def close(self) -> None:
        DBOS.destroy()


map_number = DBOS.step()(work.map_number)
sum_groups = DBOS.step()(work.sum_groups)
count_chunk = DBOS.step()(work.count_chunk)
add_counts = DBOS.step()(work.add_counts)


@DBOS.workflow()
def map_and_reduce(number: int) -> dict[int, int]:
    return sum_groups([map_number(number)])


@DBOS.workflow()
def map_all(count: int) -> dict[int, int]:
    return sum_groups([map_number(number) for number in range(count)])


@DBOS.workflow()
def count_words(path: str) -> dict[str, int]:
    return add_counts([count_chunk(path, *chunk) for chunk in work.chunks(path)])


if __name__ == "__main__":
    measure.main("dbos", DbosPeer)
