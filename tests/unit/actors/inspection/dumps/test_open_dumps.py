from __future__ import annotations

from pathlib import Path

import pytest

from jobx.actors.inspection.dumps import open_dumps
from jobx.actors.inspection.dumps import text as dump_text
from jobx.actors.inspection.dumps.open_dumps import OpenDumps
from jobx.errors import InvalidInput, NotFound, Overloaded
from jobx.questions import GetDump, ReadDump
from jobx.views import DumpChunk
from tests.unit.actors.inspection.dumps.samples import WHOLE, Sample

ASKED = GetDump(workflow="w", request_id="r1")


class Bench:
    """Open dumps with a clock, of a request that comes in several chunks."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dump_text, "CHUNK_BYTES", 200)
        self.sample = Sample(folder, *WHOLE)
        self.now = 0.0
        self.dumps = OpenDumps(lambda: self.now)

    def begin(self) -> DumpChunk:
        return self.dumps.begin(self.sample.store, self.sample.blobs, ASKED)

    def read(self, first: DumpChunk, number: int) -> DumpChunk:
        return self.dumps.read(ReadDump(dump_id=first.dump_id, number=number))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_chunk_after_chunk_is_the_whole_dump(bench: Bench) -> None:
    chunk = first = bench.begin()
    body, number = first.data, 0
    while not chunk.is_last:
        number += 1
        chunk = bench.read(first, number)
        body += chunk.data
    assert number > 2
    assert body == bench.sample.text()
    with pytest.raises(NotFound):
        bench.read(first, number)


def test_the_last_chunk_may_be_asked_for_again_and_no_other(bench: Bench) -> None:
    first = bench.begin()
    assert bench.read(first, 0) == first
    assert bench.read(first, 1) == bench.read(first, 1)
    for number in (0, 3):
        with pytest.raises(InvalidInput, match="the next chunk is 2"):
            bench.read(first, number)
    assert bench.read(first, 2).data


def test_those_that_nobody_reads_make_room(bench: Bench) -> None:
    first = [bench.begin() for _ in range(open_dumps.MOST)]
    with pytest.raises(Overloaded):
        bench.begin()
    bench.now = 30.0
    bench.read(first[0], 1)
    bench.now = open_dumps.IDLE_S + 1
    bench.begin()
    with pytest.raises(NotFound):
        bench.read(first[1], 1)
    bench.read(first[0], 2)


def test_a_log_that_cannot_be_read_on_ends_its_dump(bench: Bench) -> None:
    first = bench.begin()
    bench.sample.store.close()
    bench.now = 0.0
    with pytest.raises(NotFound):
        bench.read(DumpChunk(dump_id="absent", data=b"", is_last=False), 1)
    assert bench.read(first, 1).data  # its page was read before


def test_a_dump_that_is_refused_takes_no_room(bench: Bench) -> None:
    asked = GetDump(workflow="w", request_id="r1", steps=("nosuch",))
    for _ in range(open_dumps.MOST + 1):
        with pytest.raises(InvalidInput, match="nosuch"):
            bench.dumps.begin(bench.sample.store, bench.sample.blobs, asked)
