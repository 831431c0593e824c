"""Blobs that cannot be written: nothing is left of them, and no file is synced twice."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import pytest

from jobx.errors import StoreFull, StoreRefused, StoreUnavailable
from jobx.handlers.blobs.blob_file import BlobFile, make_durable
from jobx.handlers.failures import describe
from jobx.system.disk import PIECE_BYTES

OUTCOMES = [
    (errno.ENOSPC, StoreFull, "full"),
    (errno.EDQUOT, StoreFull, "full"),
    (errno.EIO, StoreRefused, "disk"),
    (errno.EROFS, StoreRefused, "disk"),
    (errno.EACCES, StoreRefused, "disk"),
    (errno.EMFILE, StoreUnavailable, "disk"),
]


def _fail(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda row: errno.errorcode[row[0]])
@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
def test_a_blob_that_the_disk_does_not_take_leaves_nothing_and_its_attempt_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, outcome: tuple[int, type, str]
) -> None:
    number, kind, told = outcome
    with monkeypatch.context() as patch:
        _fail(patch, call, number)
        with pytest.raises(kind) as caught, BlobFile(str(tmp_path), "b", sync=True) as blob:
            blob.write(b"body")
    assert describe(caught.value)["kind"] == told
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_cannot_be_written_again_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BlobFile(str(tmp_path), "b") as blob:
        blob.write(b"body")
    _fail(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(StoreRefused), BlobFile(str(tmp_path), "b", sync=True) as blob:
        blob.write(b"other")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("b", b"body")]


def test_a_blob_whose_folder_cannot_be_synced_is_not_left_as_if_it_were_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fail_at_second(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail_at_second)
    with pytest.raises(StoreRefused), BlobFile(str(tmp_path), "b", sync=True) as blob:
        blob.write(b"body")
    assert list(tmp_path.iterdir()) == []


def test_a_blob_of_many_pieces_holds_what_was_written_and_knows_its_checksum(
    tmp_path: Path,
) -> None:
    bodies = [b"head", bytearray(os.urandom(2 * PIECE_BYTES + 3)), memoryview(b"tail")]
    whole = b"".join(bodies)
    with BlobFile(str(tmp_path), "b") as blob:
        for body in bodies:
            blob.write(body)
    assert (tmp_path / "b").read_bytes() == whole
    assert (blob.size_bytes, blob.checksum) == (len(whole), zlib.crc32(whole))


def test_what_is_made_durable_later_is_synced_as_a_file_and_by_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "blobs" / "w" / "r"
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(_path_of(number)))
    with BlobFile(str(folder), "b") as blob:
        blob.write(b"body")
    assert synced == []
    make_durable(str(folder), "b")
    assert synced == [str(folder / "b"), str(folder), *map(str, list(folder.parents)[:2])]


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_blob_that_cannot_be_synced_later_is_removed_and_its_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    synced: list[int] = []

    def fail(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == fails_at:
            raise OSError(errno.EIO, "Input/output error")

    with BlobFile(str(tmp_path / "r"), "b") as blob:
        blob.write(b"body")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreRefused):
        make_durable(str(tmp_path / "r"), "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", ["b", ""], ids=["blob", "folder"])
def test_a_blob_that_a_lack_of_descriptors_keeps_from_a_sync_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    real, lacking = os.open, str(tmp_path / named)

    def open_unless_lacking(path: str, *rest: int) -> int:
        if str(path) == lacking:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, *rest)

    with BlobFile(str(tmp_path), "b") as blob:
        blob.write(b"body")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_unless_lacking)
        with pytest.raises(StoreUnavailable):
            make_durable(str(tmp_path), "b")
    assert (tmp_path / "b").read_bytes() == b"body"


def test_a_blob_that_is_gone_cannot_be_made_durable(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused):
        make_durable(str(tmp_path), "b")
