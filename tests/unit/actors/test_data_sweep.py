from __future__ import annotations

from pathlib import Path

import pytest

from jobx.actors import data_sweep
from jobx.actors.janitor import Janitor
from jobx.actors.upkeep import SWEEP_S
from jobx.errors import StoreRefused, StoreUnavailable
from jobx.handlers.authoring.library import Library
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import kept_requests
from jobx.kv.store import Put
from jobx.payload import STAGE_DATA


def wanted_gone(folder: Path, *names: str) -> tuple[MemoryStore, BlobFolder, Path]:
    """Return a store, folders, and the folder of a request whose stages' data nobody wants."""
    store, blobs = MemoryStore(), BlobFolder(folder)
    of = blobs.create("w", "r1")
    for name in names:
        (of / name).write_bytes(b"x")
    store.commit([kept_requests.drop_data_write("w", "r1")])
    return store, blobs, of


def test_only_the_data_of_stages_goes(tmp_path: Path) -> None:
    store, blobs, of = wanted_gone(tmp_path, f"a-1{STAGE_DATA}", "a-1-0")
    assert data_sweep.sweep(store, blobs, lambda: True) == 1
    assert [path.name for path in of.iterdir()] == ["a-1-0"]
    assert store.range(keys.UNWANTED) == []


def test_a_folder_with_nothing_else_goes_too_and_one_that_is_gone_is_fine(tmp_path: Path) -> None:
    store, blobs, of = wanted_gone(tmp_path, f"a-1{STAGE_DATA}")
    data_sweep.sweep(store, blobs, lambda: True)
    assert not of.exists()
    store.commit([kept_requests.drop_data_write("w", "r1")])
    assert data_sweep.sweep(store, blobs, lambda: True) == 1


@pytest.mark.parametrize(("is_chosen", "is_stopping"), [(False, False), (True, True)])
def test_a_node_that_is_not_chosen_or_stops_removes_nothing(
    tmp_path: Path, *, is_chosen: bool, is_stopping: bool
) -> None:
    store, blobs, of = wanted_gone(tmp_path, f"a-1{STAGE_DATA}")
    assert data_sweep.sweep(store, blobs, lambda: is_chosen, lambda: is_stopping) == 0
    assert list(of.iterdir())


def test_what_cannot_be_removed_is_in_no_other_ones_way(tmp_path: Path) -> None:
    store, blobs, of = wanted_gone(tmp_path)
    (of / f"a-1{STAGE_DATA}").mkdir()  # no file
    store.commit([kept_requests.drop_data_write("w", "r2")])
    (blobs.create("w", "r2") / f"a-1{STAGE_DATA}").write_bytes(b"x")
    assert data_sweep.sweep(store, blobs, lambda: True) == 1
    assert [entry.key for entry in store.range(keys.UNWANTED)] == [keys.unwanted("w", "r1")]


def test_nobody_waits_for_a_place_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, blobs, _ = wanted_gone(tmp_path)
    store.commit([kept_requests.drop_data_write("w", "r2")])
    asked: list[str] = []

    def hang(_: str, request_id: str) -> None:
        asked.append(request_id)
        raise StoreUnavailable("blobs", 1.0)

    monkeypatch.setattr(blobs, "remove_stage_data", hang)
    assert data_sweep.sweep(store, blobs, lambda: True) == 0
    assert asked == ["r1"]


def test_what_cannot_be_removed_now_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, blobs, _ = wanted_gone(tmp_path, f"a-1{STAGE_DATA}")
    with monkeypatch.context() as patched:
        patched.setattr(blobs, "remove_stage_data", _refuse)
        assert data_sweep.sweep(store, blobs, lambda: True) == 0
    assert data_sweep.sweep(store, blobs, lambda: True) == 1


def test_a_round_removes_more_than_a_piece_past_what_stays_but_not_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_sweep, "PIECE", 5)
    monkeypatch.setattr(data_sweep, "MOST", 20)
    store, blobs = MemoryStore(), BlobFolder(tmp_path)
    for number in range(30):
        store.commit([kept_requests.drop_data_write("w", f"r{number:02}")])
    for number in range(5):
        (blobs.create("w", f"r{number:02}") / f"a{STAGE_DATA}").mkdir()  # no file: it stays
    assert data_sweep.sweep(store, blobs, lambda: True) == 15
    assert data_sweep.sweep(store, blobs, lambda: True) == 10
    assert len(store.range(keys.UNWANTED)) == 5


def test_a_janitor_that_is_stopped_ends_a_round_after_the_request_that_it_is_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, blobs = MemoryStore(), BlobFolder(tmp_path)
    for number in range(9):
        store.commit([kept_requests.drop_data_write("w", f"r{number}")])
    janitor = Janitor(store, blobs, Library(store), retention_s=1.0, now_at=lambda: 0.0)
    monkeypatch.setattr(blobs, "remove_stage_data", lambda *_: janitor.stop())
    assert data_sweep.sweep(store, blobs, janitor.is_chosen, janitor.is_stopping) == 1


def test_a_round_removes_twice_what_500_requests_a_second_leave() -> None:
    assert data_sweep.MOST >= 2 * 500 * SWEEP_S


def _refuse(*_: str) -> None:
    raise StoreRefused("blobs", "it is read-only")


@pytest.mark.parametrize("key", ["unwanted/zz", "unwanted/a/b/c", "unwanted/w/"])
def test_a_foreign_key_is_in_no_other_ones_way(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, blobs, of = wanted_gone(tmp_path, f"a-1{STAGE_DATA}")
    store.commit([Put(key, b"")])
    assert data_sweep.sweep(store, blobs, lambda: True) == 1
    assert (of.exists(), key in caplog.text) == (False, True)
