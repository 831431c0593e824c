"""Encoded pairs in transit: inside a frame and an event, or in a blob.

Two encodings, both a plain sequence of msgpack items without head or foot:

* a *run*: items ``[key, [value, …]]`` sorted by ``values.sort_key``; neighbours may share a key;
  a block ``[count, [key, …], [value, …]]`` may stand for many keys that have one value each;
* a *chunk*: items ``[key, value]`` in the order they were yielded, with the end offset of each
  in ``offsets``, so that a range of them can be cut out without decoding.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from msgspec import Meta, Struct

#: A number of things, or of one of them.
Number: TypeAlias = Annotated[int, Meta(ge=0)]
#: One that a sum of many still holds.
Bounded: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 48)]
#: A CRC-32.
Checksum: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
#: How the names of blobs with what stages yielded end; no other blob has such a name.
STAGE_DATA: Final = "-stages"
#: In place of what a stage yielded, before the payloads that have it.
IN_PAYLOADS: Final = "payloads"
#: What ``Payload.to_wire`` gives: its fields in their order.
PayloadWire: TypeAlias = tuple[
    Number,
    Number,
    bytes | None,
    str | None,
    Checksum,
    bytes,
    tuple[Number, ...],
    bytes,
    Number,
]


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """Encoded pairs, inline or in a blob.

    Attributes:
        count: Number of items; each pair of a block is one.
        size_bytes: Size of the encoded items.
        inline: The encoded items, or None when they are in a blob.
        blob: Name of the blob inside the request's blob folder, or None.
        checksum: CRC-32 of the encoded items when they are in a blob, else 0.
        offsets: For a chunk, the end offset of each item as packed unsigned 32-bit integers;
            empty for a run.
        sections: For a run partitioned by key hash, the end offset of each partition; empty
            when the run is not partitioned.
        sums: For a chunk or sections in a blob, the CRC-32 of each item or section, packed as
            offsets are; empty in old data.
        pairs: For a run, the number of its pairs; 0 in runs of 1.0.0, which lack it.
    """

    count: int
    size_bytes: int
    inline: bytes | None = None
    blob: str | None = None
    checksum: int = 0
    offsets: bytes = b""
    sections: tuple[int, ...] = ()
    sums: bytes = b""
    pairs: int = 0

    @property
    def pair_count(self) -> int:
        """Number of pairs: an item of a run has all values of its key, or some."""
        return self.pairs or self.count

    def to_wire(self) -> PayloadWire:
        """Return the payload as plain values."""
        return (
            self.count,
            self.size_bytes,
            self.inline,
            self.blob,
            self.checksum,
            self.offsets,
            self.sections,
            self.sums,
            self.pairs,
        )

    @staticmethod
    def from_wire(wire: Sequence[Any]) -> Payload:
        """Return the payload of what ``to_wire`` gave, as a list or a tuple."""
        count, size_bytes, inline, blob, checksum, offsets, sections, *rest = wire
        sums = rest[0] if rest else b""
        pairs = rest[1] if len(rest) > 1 else 0
        ends = tuple(sections)
        return Payload(count, size_bytes, inline, blob, checksum, offsets, ends, sums, pairs)


class StageData(NamedTuple):
    """The blob with what stages of mappers yielded; without a name, there was no room for it.

    It is compressed by zlib, unless that saves little of much. In it are packed lists, one after
    the other: a vertex, the stage (mapper, combiner, reducer), its attempt, and what it yielded:
    packed, a map of values by key or a list of what runs consist of; nothing where it is the same
    as that of the stage before; ``IN_PAYLOADS`` and their wires where it is in other blobs.
    """

    blob: str = ""
    size_bytes: Bounded = 0
    checksum: Checksum = 0


def pack_offsets(ends: Sequence[int]) -> bytes:
    """Return end offsets, or checksums, as packed unsigned 32-bit integers, native order."""
    return array.array("I", ends).tobytes()


def unpack_offsets(packed: bytes) -> array.array[int]:
    """Return the numbers that ``pack_offsets`` packed."""
    ends = array.array("I")
    ends.frombytes(packed)
    return ends


def cut(chunk: Payload, start: int, stop: int) -> tuple[int, int]:
    """Return the byte range of items ``start`` to ``stop`` (exclusive) of a chunk."""
    ends = unpack_offsets(chunk.offsets[: 4 * stop])
    return (ends[start - 1] if start else 0), ends[stop - 1]
