"""What a node refuses about its data folder before it begins: by name, and with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from jobx import model
from jobx.errors import StoreRefused
from jobx.kv import data_folder
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Write


@pytest.fixture
def used(tmp_path: Path) -> MemoryStore:
    """The store of a folder that was used."""
    store = MemoryStore()
    data_folder.confirm_store(store, tmp_path)
    (tmp_path / "blobs" / "w" / "r").mkdir(parents=True)
    return store


class MetAtOnce(MemoryStore):
    """Another folder meets the new store just before this one writes to it."""

    def __init__(self, other: Path) -> None:
        super().__init__()
        self._others = [other]

    def commit(self, writes: Sequence[Write]) -> None:
        if self._others:
            data_folder.confirm_store(self, self._others.pop())
        super().commit(writes)


def test_two_folders_that_meet_a_new_store_at_once_get_its_id(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    store = MetAtOnce(other)
    data_folder.confirm_store(store, one)
    data_folder.confirm_store(store, other)
    assert (one / "store_id").read_bytes() == (other / "store_id").read_bytes()


def test_a_folder_can_be_used_again_with_its_store(used: MemoryStore, tmp_path: Path) -> None:
    data_folder.confirm_store(used, tmp_path)


def test_a_store_that_was_emptied_is_not_taken_for_a_new_one(
    used: MemoryStore, tmp_path: Path
) -> None:
    with pytest.raises(StoreRefused, match=f"{tmp_path}.*empty or new.*backup"):
        data_folder.confirm_store(MemoryStore(), tmp_path)
    data_folder.confirm_store(used, tmp_path)


def test_the_store_of_another_folder_is_refused(used: MemoryStore, tmp_path: Path) -> None:
    other = MemoryStore()
    data_folder.confirm_store(other, _folder(tmp_path / "other"))
    with pytest.raises(StoreRefused, match="another one"):
        data_folder.confirm_store(other, tmp_path)


def test_an_empty_store_beside_blobs_of_before_there_were_ids_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "w" / "r").mkdir(parents=True)
    with pytest.raises(StoreRefused):
        data_folder.confirm_store(MemoryStore(), tmp_path)
    store = MemoryStore()
    Entities(store).create(model.Workflow(workflow_name="w", description=""))
    data_folder.confirm_store(store, tmp_path)


def test_a_backup_without_the_folders_half_is_taken(used: MemoryStore, tmp_path: Path) -> None:
    restored = _folder(tmp_path / "restored")
    shutil.copytree(tmp_path / "blobs", restored / "blobs")
    data_folder.confirm_store(used, restored)
    with pytest.raises(StoreRefused):
        data_folder.confirm_store(MemoryStore(), restored)


def test_an_emptied_store_is_taken_when_blobs_and_id_were_moved_away(
    used: MemoryStore, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "blobs")
    (tmp_path / data_folder.ID_NAME).unlink()
    data_folder.confirm_store(MemoryStore(), tmp_path)


def test_a_folder_keeps_an_id_that_no_other_folder_has(tmp_path: Path) -> None:
    first, other = (_folder(tmp_path / name) for name in ("first", "other"))
    found = data_folder.own_id(first)
    assert data_folder.own_id(first) == found
    assert data_folder.own_id(other) != found


@pytest.mark.parametrize("name", ["tmp", "blobs/w", "jobx.sqlite", "running", "folder_id"])
def test_what_may_not_be_written_is_named_with_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.mkdir(parents=True)
    data_folder.check_usable(tmp_path)
    monkeypatch.setattr(os, "access", lambda asked, _: Path(asked) != path)
    with pytest.raises(StoreRefused, match=f"{path}.*chmod -R u"):
        data_folder.check_usable(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_another_user_wrote_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.touch()
    os.chown(path, 12345, 12345)
    monkeypatch.setattr(os, "access", lambda asked, _: Path(asked) != path)
    with pytest.raises(StoreRefused, match=f"{path}.*belongs to user 12345.*chown -R"):
        data_folder.check_usable(tmp_path)


def test_a_folder_that_this_user_may_not_enter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreRefused, match=f"{tmp_path}.*may not write it"):
        data_folder.check_usable(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be in the way of others")
def test_root_does_not_run_on_the_folder_of_another_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(StoreRefused, match="run it as user 12345"):
        data_folder.check_usable(tmp_path)


def test_a_folder_that_is_missing_is_fine(tmp_path: Path) -> None:
    data_folder.check_usable(tmp_path / "new")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("name", ["jobx.sqlite", "store_id", "lock"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_files_that_are_taken_from_a_running_node_are_missed(
    name: str, how: str, tmp_path: Path
) -> None:
    for kept in ("jobx.sqlite", "store_id", "lock"):
        (tmp_path / kept).write_bytes(b"1")
    files = data_folder.FolderFiles(tmp_path)
    (tmp_path / name).write_bytes(b"2")
    files.look()
    assert files.gone is None
    (tmp_path / name).rename(tmp_path / "elsewhere")
    if how == "replaced":
        (tmp_path / name).write_bytes(b"3")
    files.look()
    assert files.gone == tmp_path / name


def test_a_file_that_was_never_there_is_not_missed(tmp_path: Path) -> None:
    files = data_folder.FolderFiles(tmp_path)
    (tmp_path / "jobx.sqlite").write_bytes(b"1")
    files.look()
    assert files.gone is None
