from __future__ import annotations

import errno
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import BlobDamaged, InvalidInput, StoreFull, StoreRefused, StoreUnavailable
from jobx.kv.blobs import BlobFolder


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def test_path_creates_nothing(blobs: BlobFolder, tmp_path: Path) -> None:
    assert blobs.path("flow", "r1") == tmp_path / "blobs" / "flow" / "r1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a..b", "A", "a\0", "-a"])
def test_a_name_that_could_leave_the_root_is_refused(blobs: BlobFolder, name: str) -> None:
    for names in ((name, "r1"), ("flow", name)):
        with pytest.raises(InvalidInput):
            blobs.path(*names)


def test_create_twice_is_fine(blobs: BlobFolder) -> None:
    assert blobs.create("flow", "r1") == blobs.create("flow", "r1")
    assert blobs.path("flow", "r1").is_dir()


def test_remove_takes_the_folder_with_all_in_it_and_no_other(blobs: BlobFolder) -> None:
    (blobs.create("flow", "r1") / "blob").write_bytes(b"x")
    blobs.create("flow", "r2")
    blobs.remove("flow", "r1")
    assert list(blobs.requests()) == [("flow", "r2")]


def test_remove_of_a_missing_folder_is_fine(blobs: BlobFolder) -> None:
    blobs.remove("flow", "r1")


def test_remove_does_not_follow_a_link(blobs: BlobFolder, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    blobs.create("flow", "r1").rmdir()
    blobs.path("flow", "r1").symlink_to(kept)
    with pytest.raises(StoreRefused):
        blobs.remove("flow", "r1")
    assert kept.is_dir()


def test_requests_lists_folders_with_names_only(blobs: BlobFolder, tmp_path: Path) -> None:
    blobs.create("flow", "r2")
    blobs.create("flow", "r1")
    blobs.create("another", "r1")
    (tmp_path / "blobs" / "flow" / "file").write_bytes(b"")
    (tmp_path / "blobs" / "lost+FOUND").mkdir()
    assert sorted(blobs.requests()) == [("another", "r1"), ("flow", "r1"), ("flow", "r2")]


def test_a_root_that_does_not_exist_is_empty(blobs: BlobFolder) -> None:
    assert list(blobs.requests()) == []
    assert blobs.size_bytes() == 0


def test_size_is_that_of_all_files(blobs: BlobFolder) -> None:
    (blobs.create("flow", "r1") / "a").write_bytes(b"x" * 10)
    (blobs.create("flow", "r2") / "b").write_bytes(b"x" * 5)
    assert blobs.size_bytes() == 15


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(StoreRefused):
        BlobFolder(tmp_path / "blobs").create("flow", "r1")


def test_a_blob_comes_back_as_it_was_put(tmp_path: Path) -> None:
    blobs = BlobFolder(tmp_path)
    for body in (b"first", b"second"):
        blobs.put("flow", "r1", "b", body)
        assert blobs.get("flow", "r1", "b", len(body), zlib.crc32(body)) == body
    assert [path.name for path in blobs.path("flow", "r1").iterdir()] == ["b"]


def test_a_blob_that_is_missing_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(BlobDamaged, match="b: No such file"):
        BlobFolder(tmp_path).get("flow", "r1", "b", 4, 0)


def test_a_blob_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    blobs = BlobFolder(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull):
        blobs.put("flow", "r1", "b", b"body")
    assert [*blobs.path("flow", "r1").iterdir()] == []


class Place:
    """A shared place that is one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir()

    def put(self, path: str, name: str, size_bytes: int, checksum: int | None = None) -> None:
        shutil.copy(Path(path, name), self._root)

    def fetch(self, path: str, name: str, size_bytes: int, checksum: int) -> None:
        shutil.copy(self._root / name, path)


@pytest.mark.parametrize("damaged", [b"", b"bo", b"bodY", None])
def test_a_copy_that_is_not_what_was_written_is_fetched_again(
    damaged: bytes | None, tmp_path: Path
) -> None:
    place: Any = Place(tmp_path / "place")
    blobs = BlobFolder(tmp_path / "blobs", place)
    blobs.put("flow", "r1", "b", b"body")
    copy = blobs.path("flow", "r1") / "b"
    copy.unlink()
    if damaged is not None:
        copy.write_bytes(damaged)
    assert blobs.get("flow", "r1", "b", 4, zlib.crc32(b"body")) == b"body"


@pytest.fixture
def unsynced(blobs: BlobFolder) -> Path:
    """A blob of a request that was written without a sync."""
    path = blobs.create("flow", "r1") / "b"
    path.write_bytes(b"body")
    return path


def test_what_is_made_durable_later_is_synced_as_a_file_and_by_its_folders(
    blobs: BlobFolder, unsynced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(_path_of(number)))
    blobs.make_durable("flow", "r1", "b")
    assert synced == [str(unsynced), *map(str, list(unsynced.parents)[:3])]


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_blob_that_cannot_be_synced_later_is_removed(
    blobs: BlobFolder, unsynced: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    synced: list[int] = []

    def fail(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == fails_at:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreRefused):
        blobs.make_durable("flow", "r1", "b")
    assert not unsynced.exists()


@pytest.mark.parametrize("is_folder", [False, True], ids=["blob", "folder"])
def test_a_blob_that_a_lack_of_descriptors_keeps_from_a_sync_stays(
    blobs: BlobFolder, unsynced: Path, monkeypatch: pytest.MonkeyPatch, *, is_folder: bool
) -> None:
    real, lacking = os.open, str(unsynced.parent if is_folder else unsynced)

    def open_unless_lacking(path: str, *rest: int) -> int:
        if str(path) == lacking:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_unless_lacking)
        with pytest.raises(StoreUnavailable):
            blobs.make_durable("flow", "r1", "b")
    assert unsynced.read_bytes() == b"body"


def test_a_blob_that_is_gone_cannot_be_made_durable(blobs: BlobFolder) -> None:
    with pytest.raises(StoreRefused):
        blobs.make_durable("flow", "r1", "b")
