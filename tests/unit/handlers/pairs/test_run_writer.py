"""Runs hold what was yielded, whatever its size, packed once and written in pieces."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from jobx import values
from jobx.handlers.pairs import run_writer
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.payload import unpack_offsets

LARGE = run_writer.BUFFER_BYTES
RUNS: dict[str, list[tuple[Any, list[Any]]]] = {
    "one large value": [("k", ["x" * LARGE])],
    "large between small": [("a", [1]), ("b", [b"x" * LARGE]), ("c", [2])],
    "large in a key of many": [("a", [1]), ("b", ["x" * LARGE, 2, "y" * LARGE]), ("c", [3])],
    "small after large": [(n, ["x" * LARGE if n == 3 else n]) for n in range(600)],
}


@pytest.mark.parametrize("sections", [1, 4])
@pytest.mark.parametrize("items", RUNS.values(), ids=RUNS)
def test_a_large_value_is_written_as_it_was_yielded(
    tmp_path: Path, items: list[tuple[Any, list[Any]]], sections: int
) -> None:
    run = RunWriter(str(tmp_path), "r", 0, sections).run(items, in_sections=True)
    body = (tmp_path / str(run.blob)).read_bytes()
    assert (len(body), zlib.crc32(body)) == (run.size_bytes, run.checksum)
    found = values.unpacker()
    found.feed(body)
    read = sorted(found, key=lambda item: values.sort_key(item[0]))
    assert len(read) == run.count
    assert [(key, value) for key, listed in read for value in listed] == [
        (key, value) for key, listed in items for value in listed
    ]


def test_each_section_has_the_checksum_of_its_bytes(tmp_path: Path) -> None:
    items = [(n, ["x" * LARGE if n % 5 == 0 else n]) for n in range(12)]
    run = RunWriter(str(tmp_path), "r", 0, 4).run(items, in_sections=True)
    body, start, sums = (tmp_path / str(run.blob)).read_bytes(), 0, []
    for end in run.sections:
        sums.append(zlib.crc32(body[start:end]))
        start = end
    assert (sums, start) == (list(unpack_offsets(run.sums)), len(body))
