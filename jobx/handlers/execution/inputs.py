"""The items of a batch."""

from __future__ import annotations

import os
import zlib
from typing import Any

from jobx import values
from jobx.errors import BlobDamaged, InvalidInput
from jobx.handlers.blobs.shared import Folder, distrust, open_blob
from jobx.handlers.pairs import sequences
from jobx.handlers.scope.arguments import Arguments
from jobx.payload import unpack_offsets
from jobx.system.errors import translate_read
from jobx.work import BlobPart, MapWork


def items(work: MapWork, folder: Folder) -> list[Any]:
    """Return the items of a batch, one for each vertex; ``folder`` has their blob.

    Raises:
        BlobDamaged: Their blob is missing or has other content.
        BlobUnreadable: Their blob exists but cannot be read.
    """
    where, body, count = "the frame", work.pairs, work.count
    if body is None:
        if work.blob is None:
            raise BlobDamaged(where, "it has neither items nor a blob of them")
        where = work.blob.name
        body = _read(folder, work.blob)
    try:
        found = sequences.unpack(body, count)
    except InvalidInput as error:
        raise BlobDamaged(where, f"it does not hold {count} items: {error}") from error
    if not set(map(type, found)) <= {list}:
        raise BlobDamaged(where, "it contains something that is not an item")
    return found


def _read(folder: Folder, part: BlobPart) -> bytes:
    """Return a part of a blob, after checking each piece."""
    name, start = part.name, part.start
    try:
        opened = open_blob(folder, name, part.size_bytes, part.checksum)
        try:
            body = os.pread(opened, part.stop - start, start)
        finally:
            os.close(opened)
    except OSError as error:
        raise translate_read(error, name) from error
    at = 0
    for end, checksum in zip(unpack_offsets(part.ends), unpack_offsets(part.sums), strict=True):
        if zlib.crc32(body[at : end - start]) != checksum:
            distrust(folder, name)
            raise BlobDamaged(name, "its checksum is wrong")
        at = end - start
    return body


def arguments(item: list[Any], is_root: bool) -> Arguments:
    """Return the arguments of an item's mapper."""
    if is_root:
        return Arguments({values.freeze(name): value for name, value in item}, True)
    key, value = item
    if type(key) is list:
        key = values.freeze(key)
    return Arguments({key: value})
