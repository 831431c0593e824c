from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobx.actors import orphans as module
from jobx.actors.orphans import PIECE, ROUNDS, Orphans, RequestNames
from jobx.errors import EntryDamaged, StoreRefused, StoreUnavailable
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put


class Bench:
    """Folders, requests, and what looks for those without."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.blobs = BlobFolder(folder)
        self.open: set[RequestNames] = set()
        self.orphans = Orphans(self.store, self.blobs, self.open.__contains__)

    def accept(self, request_id: str) -> None:
        """Have a request in the store."""
        self.store.commit([Put(keys.entity("request", "flow", request_id), b"{}")])

    def rounds(self, count: int) -> int:
        """Do rounds; return how many folders they removed."""
        return sum(self.orphans.sweep(lambda: False) for _ in range(count))

    def left(self) -> set[str]:
        """Return the requests that have a folder."""
        return {request_id for _, request_id in self.blobs.requests()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "blobs")
    bench.accept("known")
    for request_id in ("known", "orphan"):
        bench.blobs.create("flow", request_id)
    return bench


def test_a_folder_goes_once_it_had_no_request_for_long(bench: Bench) -> None:
    assert bench.rounds(ROUNDS) == 0
    assert bench.rounds(3) == 1
    assert bench.left() == {"known"}


def test_a_folder_that_appears_after_a_pass_goes_too(bench: Bench) -> None:
    bench.rounds(2 * ROUNDS)
    bench.blobs.create("flow", "late")
    assert bench.rounds(ROUNDS + 3) == 1
    assert bench.left() == {"known"}


def test_the_folder_of_a_request_that_is_accepted_meanwhile_stays(bench: Bench) -> None:
    bench.rounds(ROUNDS)
    bench.accept("orphan")
    assert bench.rounds(2 * ROUNDS) == 0


def test_the_folder_of_a_request_that_the_node_works_at_stays_until_it_does_not(
    bench: Bench,
) -> None:
    bench.rounds(ROUNDS)
    bench.open.add(("flow", "orphan"))
    assert bench.rounds(2 * ROUNDS) == 0
    bench.open.clear()
    assert bench.rounds(ROUNDS + 3) == 1


def test_a_folder_whose_request_is_damaged_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(key: str) -> None:
        raise EntryDamaged(key, "a bit")

    monkeypatch.setattr(bench.store, "get", get)
    assert bench.rounds(2 * ROUNDS) == 0
    assert bench.left() == {"known", "orphan"}


def test_a_round_looks_at_one_piece_and_each_pass_comes_to_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    get = bench.store.get

    def counted(key: str) -> Any:
        seen.append(key)
        return get(key)

    for number in range(2 * PIECE):
        bench.accept(f"r{number}")
        bench.blobs.create("flow", f"r{number}")
    monkeypatch.setattr(bench.store, "get", counted)
    bench.rounds(1)  # opens the first pass
    bench.rounds(1)
    assert len(seen) == PIECE
    bench.rounds(2)
    assert len(set(seen)) == 2 * PIECE + 2


def test_more_orphans_than_are_remembered_go_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(5):
        bench.blobs.create("flow", f"o{number}")
    assert bench.rounds(4 * ROUNDS) == 6


def test_a_folder_that_stays_is_in_no_other_ones_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remove = bench.blobs.remove

    def fail(workflow: str, request_id: str, *more: Any) -> bool:
        if request_id == "stuck":
            raise StoreRefused("blobs/flow/stuck", "it is somebody else's")
        return remove(workflow, request_id, *more)

    bench.blobs.create("flow", "stuck")
    monkeypatch.setattr(bench.blobs, "remove", fail)
    assert bench.rounds(ROUNDS + 3) == 1
    assert bench.left() == {"known", "stuck"}
    assert "blobs/flow/stuck" in caplog.text


def test_a_store_that_does_not_answer_ends_the_round_and_no_folder_is_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def get(key: str) -> None:
        asked.append(key)
        raise StoreUnavailable("it is deaf")

    bench.blobs.create("flow", "orphan2")
    bench.rounds(ROUNDS + 1)
    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "get", get)
        with pytest.raises(StoreUnavailable):
            bench.rounds(1)
    assert len(asked) == 1
    assert bench.rounds(1) == 2


def test_a_pass_that_the_disk_ended_is_begun_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise StoreRefused("blobs", "Input/output error")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(bench.blobs, "requests", refuse)
        bench.rounds(1)
        with pytest.raises(StoreRefused):
            bench.rounds(1)
    assert bench.rounds(ROUNDS + 3) == 1
