"""Polars: its own operators on columns in memory, no code of an author, nothing durable."""

from __future__ import annotations

import os
from collections.abc import Callable

import polars

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

_WORD = "[a-z']+"
#: A byte that the text does not have, so that a line is a column.
_NO_BYTE = "\x01"


class PolarsPeer(Peer):
    @property
    def root_pid(self) -> int:
        return os.getpid()

    def wordcount(self, path: str) -> dict[str, int]:
        lines = polars.scan_csv(
            path, has_header=False, new_columns=["line"], separator=_NO_BYTE, quote_char=None
        )
        found = polars.col("line").str.to_lowercase().str.extract_all(_WORD).alias("word")
        words = lines.select(found).explode("word").drop_nulls()
        counts = words.group_by("word").agg(polars.len()).collect(engine="streaming")
        return dict(counts.iter_rows())

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        number = polars.col("number")
        numbers = polars.concat(
            polars.LazyFrame().select(
                polars.int_range(child, children * keys, children).alias("number")
            )
            for child in range(children)
        )
        pairs = numbers.with_columns(number.cast(polars.String).str.zfill(8).alias("key"))
        sums = pairs.group_by("key").agg(number.sum()).sort("key").collect(engine="streaming")
        return lambda: work.check_keys(sums.iter_rows(), children * keys)


if __name__ == "__main__":
    os.environ["POLARS_MAX_THREADS"] = str(PROCESSES)
    measure.main("polars", PolarsPeer)
