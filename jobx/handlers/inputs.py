"""The items that a map frame brings."""

from __future__ import annotations

import os
from typing import Any

from jobx import values
from jobx.errors import BlobDamaged, InvalidInput
from jobx.frames import Frame
from jobx.handlers import sequences
from jobx.handlers.arguments import Arguments


def items(frame: Frame) -> list[Any]:
    """Return the items of a map frame, one for each vertex.

    Raises:
        BlobDamaged: The blob they are in is missing, or holds something else.
    """
    where = "the frame"
    body = frame.get("pairs")
    if body is None:
        blob = frame["blob"]
        where = blob["name"]
        body = _read(os.path.join(frame["blob_dir"], where), blob["start"], blob["stop"])
    count = frame["count"]
    try:
        found = sequences.unpack(body, count)
    except InvalidInput as error:
        raise BlobDamaged(where, f"it does not hold {count} items: {error}") from error
    if not set(map(type, found)) <= {list}:
        raise BlobDamaged(where, "it holds what is not an item")
    return found


def _read(path: str, start: int, stop: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as blob:
            return os.pread(blob.fileno(), stop - start, start)
    except OSError as error:
        raise BlobDamaged(os.path.basename(path), error.strerror or str(error)) from error


def arguments(item: list[Any], is_root: bool) -> Arguments:
    """Return what the mapper of an item is given."""
    if is_root:
        return Arguments({values.freeze(name): value for name, value in item}, True)
    key, value = item
    if type(key) is list:
        key = values.freeze(key)
    return Arguments({key: value})
