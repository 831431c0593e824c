"""DuckDB: its own operators on columns in memory, no code of an author, nothing durable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

# The separator is a byte that the text does not have, so that a line is a column.
_WORDS = """
SELECT word, count(*)
FROM (SELECT unnest(regexp_extract_all(lower(line), '[a-z'']+')) AS word
      FROM read_csv(?, header = false, delim = chr(1), quote = '', escape = '',
                    columns = {'line': 'VARCHAR'}))
GROUP BY word
"""
_KEYS = """
CREATE TABLE sums AS
SELECT printf('%08d', number) AS key, sum(number)::BIGINT AS sum
FROM (SELECT unnest(range(child, $keys * $children, $children)) AS number
      FROM range($children) AS children(child))
GROUP BY key ORDER BY key
"""


class DuckdbPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        config = {"threads": PROCESSES, "temp_directory": str(folder)}
        self._connection = duckdb.connect(config=config)

    @property
    def root_pid(self) -> int:
        return os.getpid()

    def wordcount(self, path: str) -> dict[str, int]:
        return dict(self._connection.execute(_WORDS, [path]).fetchall())

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        self._connection.execute(_KEYS, {"children": children, "keys": keys})
        return lambda: work.check_keys(self._sums(), children * keys)

    def _sums(self) -> Iterator[tuple[str, int]]:
        rows = self._connection.execute("SELECT key, sum FROM sums")
        while some := rows.fetchmany(10_000):
            yield from some

    def close(self) -> None:
        self._connection.close()


if __name__ == "__main__":
    measure.main("duckdb", DuckdbPeer)
