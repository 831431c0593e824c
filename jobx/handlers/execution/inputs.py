"""The items that a map frame brings."""

from __future__ import annotations

import os
import zlib
from typing import Any

from jobx import values
from jobx.errors import BlobDamaged, InvalidInput
from jobx.frames import Frame
from jobx.handlers.blobs.shared import Folder, distrust, open_blob
from jobx.handlers.pairs import sequences
from jobx.handlers.scope.arguments import Arguments
from jobx.payload import unpack_offsets
from jobx.system.errors import translate_read


def items(frame: Frame, folder: Folder) -> list[Any]:
    """Return the items of a map frame, one for each vertex; ``folder`` has their blob.

    Raises:
        BlobDamaged: Their blob is missing or has other content.
        BlobUnreadable: Their blob exists but cannot be read.
    """
    where = "the frame"
    body = frame.get("pairs")
    if body is None:
        blob = frame["blob"]
        where = blob["name"]
        body = _read(folder, blob)
    count = frame["count"]
    try:
        found = sequences.unpack(body, count)
    except InvalidInput as error:
        raise BlobDamaged(where, f"it does not hold {count} items: {error}") from error
    if not set(map(type, found)) <= {list}:
        raise BlobDamaged(where, "it contains something that is not an item")
    return found


def _read(folder: Folder, blob: Frame) -> bytes:
    """Return the part of a blob that a frame names, after checking each piece."""
    name, start, stop = blob["name"], blob["start"], blob["stop"]
    try:
        opened = open_blob(folder, name, blob["size"], blob["checksum"])
        try:
            body = os.pread(opened, stop - start, start)
        finally:
            os.close(opened)
    except OSError as error:
        raise translate_read(error, name) from error
    at = 0
    for end, checksum in zip(
        unpack_offsets(blob["ends"]), unpack_offsets(blob["sums"]), strict=True
    ):
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
