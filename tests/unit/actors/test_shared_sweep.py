"""What goes from the shared place of blobs, and from the copies of a node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx.actors.orphans import ROUNDS, RequestNames
from jobx.actors.shared_sweep import SharedSweep
from jobx.config_sections import BlobSettings
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put
from tests.support.blob_places import Side, create


class Bench:
    """A node, a place, and what sweeps them."""

    def __init__(self, folder: Path) -> None:
        (folder / "place").mkdir()
        self.shared = create(BlobSettings(url=f"file://{folder / 'place'}"))
        self.store = MemoryStore()
        self.open: set[RequestNames] = set()
        self.is_chosen = self.is_there = True
        self.side = Side(folder / "here", self.shared)
        self.sweep = SharedSweep(
            self.store,
            self.shared,
            self.side.blobs,
            self.open.__contains__,
            lambda: self.is_chosen,
            is_there=lambda: self.is_there,
        )

    def rounds(self, count: int) -> int:
        return sum(self.sweep.sweep() for _ in range(count))

    def unload(self, unused_s: float = 0.0) -> int:
        return sum(self.sweep.unload(unused_s) for _ in range(2))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.store.commit([Put(keys.entity("request", "flow", "known"), b"{}")])
    for request_id in ("known", "orphan"):
        bench.side.write(request_id, "b", b"body")
    yield bench
    bench.sweep.stop()


def test_nothing_is_asked_of_a_place_that_is_away(bench: Bench, tmp_path: Path) -> None:
    bench.is_there = False
    (tmp_path / "place").rename(tmp_path / "away")
    assert [bench.rounds(ROUNDS), bench.unload(), bench.sweep.clean(0.0)] == [0, 0, 0]


def test_a_folder_in_the_place_goes_once_it_had_no_request_for_long(bench: Bench) -> None:
    assert bench.rounds(ROUNDS) == 0
    assert bench.rounds(3) == 1
    assert list(bench.shared.requests()) == [("flow", "known")]


def test_a_node_that_is_not_chosen_removes_nothing_from_the_place(bench: Bench) -> None:
    bench.is_chosen = False
    assert bench.rounds(ROUNDS + 9) == 0


def test_copies_go_when_they_are_unused_but_for_those_of_open_requests(bench: Bench) -> None:
    bench.open.add(("flow", "known"))
    assert bench.unload() == 1
    assert os.path.exists(bench.side.path("known", "b"))
    assert not os.path.exists(bench.side.path("orphan", "b"))


def test_copies_in_use_stay(bench: Bench) -> None:
    assert bench.unload(3600.0) == 0


def test_copies_stay_while_the_place_cannot_be_asked(bench: Bench) -> None:
    bench.shared.close()
    bench.shared._connect = _fail
    bench.shared._connected = None
    assert bench.unload() == 0
    assert os.path.exists(bench.side.path("known", "b"))


def test_what_writers_left_unfinished_goes_when_it_is_old(bench: Bench, tmp_path: Path) -> None:
    left = tmp_path / "place" / "temporary" / "left"
    left.write_bytes(b"bo")
    assert bench.sweep.clean(left.stat().st_mtime) == 0
    assert bench.sweep.clean(left.stat().st_mtime + 1) == 1


def _fail() -> None:
    raise OSError(111, "Connection refused")
