"""Blobs that cannot be written: nothing is left of them, and no file is synced twice."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import pytest

from jobx.errors import StoreFull, StoreRefused, StoreUnavailable
from jobx.handlers.blobs.blob_file import BlobFile
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
