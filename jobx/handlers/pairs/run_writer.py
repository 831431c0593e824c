"""Writing runs and chunks: inline when they are small, else blobs."""

from __future__ import annotations

import os
import zlib
from builtins import len, sum  # bound here: author code may replace those there
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, chain, islice
from types import NoneType
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from jobx import values
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.forked import Forked
from jobx.handlers.pairs import columns, sequences
from jobx.handlers.pairs.columns import Block, Pack
from jobx.handlers.pairs.ordering import Columns
from jobx.payload import Payload, pack_offsets
from jobx.values import Key, Value

#: A packed item is split when it is larger, so that readers need not hold all values of a key.
_ITEM_BYTES: Final = 1 << 18
#: Most values of a key in one item.
ITEM_VALUES: Final = 1024
BUFFER_BYTES: Final = 1 << 20
#: Keys of a run that are packed at once.
_BLOCK: Final = 256
#: Values of these types are small, so that many of them can be packed together.
SMALL: Final = frozenset({int, float, bool, NoneType})
_Block: TypeAlias = list[tuple[Key, Sequence[Value]]]
_Piece: TypeAlias = bytes | bytearray | memoryview
#: What is written of a run or a section: pieces of it, of which the last can grow.
_Body: TypeAlias = list[Any]


class RunWriter:
    """Writes payloads of one work frame.

    Args:
        folder: Where blobs go; made when it is missing.
        stem: Blobs are named ``<stem>-<n>``.
        inline_bytes: Payloads up to this size stay inline.
        sections: Of a run that is asked for in sections.
        sync: Blobs are synced to disk.
        forked: Ends a process that author code forked, before it writes a blob.

    Attributes:
        written: Blobs that were written so far.
    """

    def __init__(
        self,
        folder: str,
        stem: str,
        inline_bytes: int,
        sections: int = 1,
        sync: bool = False,
        *,
        forked: Forked | None = None,
    ) -> None:
        self.sections = sections
        self.folder = folder
        self._stem = stem
        self._inline_bytes = inline_bytes
        self._sync = sync
        self.written = 0
        self._forked = forked

    def run(
        self,
        items: Iterable[tuple[Key, Sequence[Value]]],
        in_sections: bool,
        pack: Pack | None = None,
    ) -> Payload:
        """Write a run.

        Args:
            items: Keys with their values, sorted by key.
            in_sections: Partition it by key hash.
            pack: Packs them as ``values.pack`` does, but quicker.
        """
        pack = pack or values.packer()
        if in_sections and self.sections > 1:
            return self._run_in_sections(items, pack)
        body: _Body = [bytearray()]
        count = pairs = 0
        is_small = True
        rest = iter(items)
        while block := list(islice(rest, _BLOCK)):
            lengths = [len(listed) for _, listed in block]
            pairs += sum(lengths)
            if max(lengths) == 1 or (is_small and _is_few(block, lengths)):
                packed = sequences.pack(pack, block)
                is_small = len(packed) <= _ITEM_BYTES  # else later blocks hardly are
                if is_small or max(lengths) == 1:
                    count += len(block)
                    _add(body, packed)
                    continue
                del packed
            _, split = _pack_each(pack, block, lengths)
            count += len(split)
            _add(body, b"".join(split))
        return self._payload([body], count, pairs)

    def _run_in_sections(self, items: Iterable[tuple[Key, Sequence[Value]]], pack: Pack) -> Payload:
        bodies: list[_Body] = [[bytearray()] for _ in range(self.sections)]
        count = pairs = 0
        rest = iter(items)
        while block := list(islice(rest, _BLOCK)):
            lengths = [len(listed) for _, listed in block]
            pairs += sum(lengths)
            keys, packed = _pack_each(pack, block, lengths)
            count += len(packed)
            parts = values.partitions_of(keys, self.sections)
            for part, item in zip(parts, packed, strict=True):
                _add(bodies[part], item)
        return self._payload(bodies, count, pairs, sections=tuple(_ends(bodies)))

    def run_of(self, block: Block, in_sections: bool, pack: Pack | None = None) -> Payload:
        """Write a run of a sorted block; of many pairs, it has columns. See ``run``."""
        keys, held = block.keys, block.held
        if not block.are_pairs or len(keys) <= columns.BLOCK:
            return self.run(block.items(), in_sections, pack)
        sections = self.sections if in_sections else 1
        packer = columns.Packer(pack)
        bodies: list[_Body] = [[bytearray()] for _ in range(sections)]
        step = columns.BLOCK * sections
        for start in range(0, len(keys), step):
            part = slice(start, start + step)
            parts = _parts(keys[part], held[part], sections)
            for body, (some, column) in zip(bodies, parts, strict=True):
                _add(body, packer.pack(some, column))
        ends = tuple(_ends(bodies)) if sections > 1 else ()
        return self._payload(bodies, len(keys), len(keys), sections=ends)

    def chunk(self, items: Sequence[bytes], offsets: bytes) -> Payload:
        """Write a chunk of packed items, ``offsets`` being their packed end offsets."""
        written = self._payload([[b"".join(items)]], len(items), offsets=offsets)
        if written.blob is None:
            return written
        return replace(written, sums=pack_offsets(list(map(zlib.crc32, items))))

    def _payload(
        self,
        bodies: Sequence[_Body],
        count: int,
        pairs: int = 0,
        offsets: bytes = b"",
        sections: tuple[int, ...] = (),
    ) -> Payload:
        size = sum(map(_size, bodies))
        if size <= self._inline_bytes:
            inline = b"".join(chain.from_iterable(bodies))
            return Payload(count, size, inline, None, 0, offsets, sections, b"", pairs)
        if self._forked is not None:  # a copy would write in the place of the one that was asked
            self._forked.check()
        name = f"{self._stem}-{self.written}"
        self.written += 1
        with BlobFile(self.folder, name, self._sync) as blob:
            for piece in chain.from_iterable(bodies):
                blob.write(piece)
        packed = pack_offsets(_checksums(bodies, blob.checksum)) if sections else b""
        return Payload(count, size, None, name, blob.checksum, offsets, sections, packed, pairs)

    def undo(self, mark: int) -> None:
        """Remove the blobs that were written since ``written`` was ``mark``."""
        for number in range(mark, self.written):
            with suppress(OSError):
                os.unlink(os.path.join(self.folder, f"{self._stem}-{number}"))
        self.written = mark


def _parts(keys: list[Any], column: list[Any], sections: int) -> Sequence[Columns]:
    """Return keys and their values by section."""
    if sections == 1:
        return [(keys, column)]
    parts: list[Columns] = [([], []) for _ in range(sections)]
    numbers = values.partitions_of(keys, sections)
    for number, key, value in zip(numbers, keys, column, strict=True):
        part = parts[number]
        part[0].append(key)
        part[1].append(value)
    return parts


def _pack_each(
    pack: Pack, block: _Block, lengths: Sequence[int]
) -> tuple[Sequence[Key], Sequence[bytes]]:
    """Return the keys of packed items, and these; quick when no key has many values."""
    if _is_few(block, lengths):
        packed = list(map(pack, block))
        if max(lengths) == 1 or max(map(len, packed)) <= _ITEM_BYTES:
            return [key for key, _ in block], packed
    items = [(key, item) for key, listed in block for item in pack_items(pack, key, listed)]
    keys, packed_items = zip(*items, strict=True)
    return keys, packed_items


def _is_few(block: _Block, lengths: Sequence[int]) -> bool:
    """Tell whether no key has more values than one item holds."""
    return max(lengths) == 1 or (
        sum(lengths) <= ITEM_VALUES and {type(listed) for _, listed in block} == {list}
    )


def _add(body: _Body, packed: _Piece) -> None:
    """Append to a body; what is large becomes a piece of its own, which is not copied."""
    if len(packed) >= BUFFER_BYTES:
        body += packed, bytearray()
    else:
        body[-1] += packed


def _size(body: _Body) -> int:
    return sum(map(len, body))


def _checksums(bodies: Sequence[_Body], whole: int) -> list[int]:
    """Return the CRC-32 of each body; ``whole`` is that of all together."""
    if sum(map(bool, map(_size, bodies))) == 1:
        return [whole if _size(body) else 0 for body in bodies]
    return list(map(_checksum, bodies))


def _checksum(body: _Body) -> int:
    checksum = 0
    for piece in body:
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _ends(bodies: Iterable[_Body]) -> Iterator[int]:
    return accumulate(map(_size, bodies))


def pack_items(pack: Pack, key: Key, listed: Sequence[Value]) -> Iterator[bytes]:
    """Yield packed items of a run that together hold all values of a key."""
    held: list[Value] = []
    for value in listed:
        held.append(value)
        if len(held) == ITEM_VALUES:
            yield from _split(pack, key, held)
            held = []
    if held:
        yield from _split(pack, key, held)


def _split(pack: Pack, key: Key, listed: list[Value]) -> Iterator[bytes]:
    packed = pack((key, listed))
    if len(packed) <= _ITEM_BYTES or len(listed) == 1:
        yield packed
        return
    middle = len(listed) // 2
    yield from _split(pack, key, listed[:middle])
    yield from _split(pack, key, listed[middle:])


def write_run(folder: str, name: str, blocks: Iterable[Block]) -> Payload:
    """Write a run of any size as a blob while its blocks come."""
    packer = columns.Packer()
    count = 0
    buffer = bytearray()
    with BlobFile(folder, name) as blob:
        for block in blocks:
            count += len(block.keys)
            for packed in packer.packed(block):
                buffer += packed
                if len(buffer) > BUFFER_BYTES:
                    blob.write(buffer)
                    buffer.clear()
        blob.write(buffer)
    return Payload(count, blob.size_bytes, None, name, blob.checksum)
