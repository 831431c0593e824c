"""Check of the write-ahead log after its last user was killed: is every commit still there?

SQLite reads such a log up to the first frame with a wrong checksum, and ignores all later frames.
So one flipped bit would silently remove all later commits. This module reads the later frames as
well: the checksum of each is computed from the stored checksum of the frame before, so an intact
frame after a damaged one can be recognised.

The format is described at https://www.sqlite.org/fileformat2.html#walformat.
"""

from __future__ import annotations

import struct
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jobx.errors import StoreRefused
from jobx.system.errors import translate

_HEADER: Final = struct.Struct(">IIIIIIII")
_FRAME: Final = struct.Struct(">IIIIII")
_MAGIC: Final = 0x377F0682
_MASK: Final = 0xFFFF_FFFF
#: Number of equal reads of a log that are needed, since another process may be writing it.
_LOOKS: Final = 3
_PAUSE_S: Final = 0.05


class _Frame(NamedTuple):
    """One frame of the current generation of the log, or the bytes in its place."""

    is_whole: bool
    is_commit: bool


class Damage(NamedTuple):
    """Damage of a log.

    Attributes:
        offset: Where the damage begins.
        commits: Commits after it, which SQLite would not see; 0 if the number is not known.
    """

    offset: int
    commits: int


def check(store: Path) -> None:
    """Refuse a store whose log lacks commits that were durable; before SQLite opens it.

    Damage in the last commit cannot be detected: a power cut may leave the same bytes.

    Raises:
        StoreRefused: The log is damaged.
    """
    path = store.with_name(f"{store.name}-wal")
    damage = find(path)
    for _ in range(_LOOKS - 1):
        if damage is None:
            return
        time.sleep(_PAUSE_S)
        damage = find(path) if find(path) == damage else None
    if damage is not None:
        lost = f"{damage.commits} commits" if damage.commits else "all commits"
        reason = (
            f"it is damaged at byte {damage.offset}, and {lost} behind that cannot be read; restore"
            f" a backup, or go on without them: truncate -s {damage.offset} {path}"
        )
        raise StoreRefused(str(path), reason)


def find(path: Path) -> Damage | None:
    """Return the damage of a log; None if it is intact or missing."""
    try:
        log = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translate(error, str(path)) from error
    if len(log) < _HEADER.size or not any(log[: _HEADER.size]):
        return None
    magic, _, page_bytes, _, salt1, salt2, *sums = _HEADER.unpack_from(log)
    is_big = bool(magic & 1)
    if magic & ~1 != _MAGIC or _sum(log[: _HEADER.size - 8], (0, 0), is_big) != tuple(sums):
        return Damage(0, 0)
    size = _FRAME.size + page_bytes
    wrong: int | None = None
    beyond: list[_Frame] = []
    for number, frame in enumerate(_frames(log, size, (salt1, salt2), is_big)):
        if wrong is not None:
            beyond.append(frame)
        elif not frame.is_whole:
            wrong = number
    if wrong is None:
        return None
    while beyond and not beyond[-1].is_whole:
        beyond.pop()
    commits = sum(frame.is_whole and frame.is_commit for frame in beyond)
    # The first commit after the damage was durable if anything was written after it.
    is_sure = commits > 1 or (commits == 1 and not beyond[-1].is_commit)
    return Damage(_HEADER.size + wrong * size, commits) if is_sure else None


def _frames(log: bytes, size: int, salts: tuple[int, int], is_big: bool) -> Iterator[_Frame]:
    """Yield the bytes at the places of frames."""
    before = _HEADER.unpack_from(log)[6:8]
    for at in range(_HEADER.size, len(log) - size + 1, size):
        _, pages, salt1, salt2, *sums = _FRAME.unpack_from(log, at)
        is_whole = False
        if (salt1, salt2) == salts:
            body = log[at : at + 8] + log[at + _FRAME.size : at + size]
            is_whole = _sum(body, before, is_big) == tuple(sums)
        before = (sums[0], sums[1])
        yield _Frame(is_whole, pages > 0)


def _sum(body: bytes, before: tuple[int, ...], is_big: bool) -> tuple[int, int]:
    """Return SQLite's checksum of a body, continued from the checksum before it."""
    words = array("I", body)
    if is_big != (sys.byteorder == "big"):
        words.byteswap()
    first, second = before
    pairs = iter(words)
    for one, other in zip(pairs, pairs, strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
