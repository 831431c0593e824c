"""Items of a map frame that are in a shared place."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from jobx import values
from jobx.errors import BlobDamaged
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.execution import inputs
from jobx.handlers.files.local import Local
from jobx.payload import pack_offsets
from jobx.work import BlobPart
from tests.support.work import map_work


def test_a_damaged_copy_of_items_is_fetched_again_for_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / "place" / "blobs").mkdir(parents=True)
    here = tmp_path / "flow" / "r1"
    here.mkdir(parents=True)
    body = values.pack(["k", 1])
    (here / "b").write_bytes(body)
    shared = SharedBlobs("place:", lambda: Local(str(tmp_path / "place")), 60.0, 0.0)
    shared.put(str(here), "b", len(body))
    (here / "b").write_bytes(b"\0" * len(body))
    checksum = zlib.crc32(body)
    ends, sums = pack_offsets([len(body)]), pack_offsets([checksum])
    work = map_work(blob=BlobPart("b", len(body), checksum, 0, len(body), ends, sums))
    with pytest.raises(BlobDamaged, match="checksum"):
        inputs.items(work, shared.folder(str(here)))
    assert inputs.items(work, shared.folder(str(here))) == [["k", 1]]
