"""Something else stands where a blob was, or is to be: nobody waits for it, or follows it."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from jobx import values
from jobx.errors import BlobDamaged, StoreRefused
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.blobs.shared import SharedBlobs, SharedFolder
from jobx.handlers.execution.inputs import items
from jobx.handlers.files.local import Local
from jobx.handlers.pairs import run_merger, run_reader
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload, pack_offsets
from jobx.work import BlobPart
from tests.support.work import map_work

NAME = "blob"
BODY = values.pack(["key", ["value" * 20]])
SUM = zlib.crc32(BODY)
RUN = Payload(1, len(BODY), None, NAME, SUM)
PART = BlobPart(NAME, len(BODY), SUM, 0, len(BODY), pack_offsets([len(BODY)]), pack_offsets([SUM]))


def _link(place: Path) -> None:
    (place.parent / "whole").write_bytes(BODY)
    place.symlink_to(place.parent / "whole")


def _long_name(place: Path) -> None:
    place.symlink_to("x" * len(BODY))  # its own size is that of the blob


def _socket(place: Path) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(socket.socket(socket.AF_UNIX))
        here = os.open(place.parent, os.O_RDONLY)
        stack.callback(os.close, here)
        one.bind(f"/proc/self/fd/{here}/{place.name}")  # whose path may be too long for it


#: What a handler may put there.
KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": _link,
    "a link to a device": lambda place: place.symlink_to("/dev/zero"),
    "a link to nothing": _long_name,
    "a socket": _socket,
}
READERS: dict[str, Callable[[Path], object]] = {
    "pairs": lambda folder: list(run_merger.pairs([RUN], str(folder))),
    "whole": lambda folder: run_reader.whole(RUN, str(folder)),
    "verify": lambda folder: run_reader.verify([RUN], str(folder)),
    "items": lambda folder: items(map_work(blob=PART), str(folder)),
    "get": lambda folder: BlobFolder(folder.parents[1]).get(
        folder.parent.name, folder.name, NAME, len(BODY), SUM
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "blobs" / "flow" / "request"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedBlobs]:
    (tmp_path / "place" / "blobs").mkdir(parents=True)
    place = SharedBlobs("a place", lambda: Local(str(tmp_path / "place")), 10.0, 0.0)
    yield place
    place.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_damage_to_its_readers(folder: Path, reader: str, kind: str) -> None:
    KINDS[kind](folder / NAME)
    with pytest.raises(BlobDamaged):
        READERS[reader](folder)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_put_into_the_shared_place(
    folder: Path, shared: SharedBlobs, kind: str
) -> None:
    KINDS[kind](folder / NAME)
    with pytest.raises(BlobDamaged):
        shared.put(str(folder), NAME, len(BODY), SUM)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a folder"}))
def test_a_shared_blob_is_fetched_into_the_place_of_what_is_no_file(
    folder: Path, shared: SharedBlobs, kind: str
) -> None:
    (folder / NAME).write_bytes(BODY)
    shared.put(str(folder), NAME, len(BODY), SUM)
    (folder / NAME).unlink()
    KINDS[kind](folder / NAME)
    assert run_reader.whole(RUN, SharedFolder(shared, str(folder))) == BODY
    assert (folder / NAME).read_bytes() == BODY


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_to_what_is_no_file(folder: Path, kind: str) -> None:
    KINDS[kind](folder / f"{NAME}.part")
    with pytest.raises(StoreRefused), BlobFile(str(folder), NAME) as blob:
        blob.write(b"other")
    with suppress(FileNotFoundError):
        assert (folder / "whole").read_bytes() == BODY


def test_nothing_is_written_to_a_fifo_that_somebody_reads(folder: Path) -> None:
    fifo = folder / f"{NAME}.part"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(StoreRefused), BlobFile(str(folder), NAME) as blob:
            blob.write(b"other")
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("body", [BODY + BODY, BODY + b"\xc1", BODY[:-1]], ids=len)
def test_an_inline_run_has_its_size(body: bytes) -> None:
    run = Payload(1, len(BODY), body)
    with pytest.raises(BlobDamaged, match="its size is wrong"):
        list(run_merger.pairs([run], ""))


def test_an_inline_run_that_is_much_longer_than_its_size_is_damage() -> None:
    run = Payload(1, 1, BODY * 10_000)
    with pytest.raises(BlobDamaged, match="its size is wrong"):
        list(run_merger.pairs([run], ""))
