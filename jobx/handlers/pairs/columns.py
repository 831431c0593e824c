"""Keys that have one value each, packed as two columns: a list of keys and one of values.

Items of runs are ``[key, values]``; where many keys have one value each, a run has blocks
``[count, keys, values]`` instead. They take a third of the time to pack, unpack and sort, since
no list is made for each key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from jobx import values
from jobx.handlers.pairs.ordering import OF_KEY
from jobx.values import Key, Pair, Value

#: Most pairs of a block, and its most bytes; runs of fewer keys have no blocks.
BLOCK: Final = 256
_BLOCK_BYTES: Final = 1 << 15
#: Members of a packed block, and of an item.
_BLOCK_MEMBERS: Final = 3
_ITEM_MEMBERS: Final = 2


class Block(NamedTuple):
    """Neighbouring items of a run, in memory.

    Attributes:
        items: Keys, each with a list of values; with one value if they are pairs.
        are_pairs: Whether they are pairs.
    """

    items: list[Any]
    are_pairs: bool

    def listed(self) -> list[Any]:
        """Return the keys, each with a list of values."""
        if self.are_pairs:
            return [(key, [value]) for key, value in self.items]
        return self.items

    def pairs(self) -> list[Pair]:
        """Return all pairs."""
        if self.are_pairs:
            return self.items
        return [(key, value) for key, listed in self.items for value in listed]


class Packer:
    """Packs pairs, as blocks if these are small: a reader has to unpack all of one at once."""

    def __init__(self) -> None:
        self._pack = values.packer()
        self._are_small = True

    def pack(self, pairs: Sequence[Pair]) -> bytes:
        """Return up to ``BLOCK`` pairs, packed."""
        if self._are_small and pairs:
            keys, column = zip(*pairs, strict=True)
            packed = self._pack((len(keys), keys, column))
            if len(packed) <= _BLOCK_BYTES:
                return packed
            self._are_small = False  # later ones hardly are
        return b"".join([self._pack((key, (value,))) for key, value in pairs])

    def packed(self, block: Block) -> Iterator[bytes]:
        """Yield a block of any length, packed in pieces."""
        if not block.are_pairs:
            yield from map(self._pack, block.items)
            return
        for start in range(0, len(block.items), BLOCK):
            yield self.pack(block.items[start : start + BLOCK])


def singles(keys: Iterable[Key], column: Iterable[Value]) -> Iterator[tuple[Key, list[Value]]]:
    """Yield keys, each with a list of its value; no Python runs for each."""
    return zip(keys, map(list, zip(column, strict=True)), strict=True)


def block_of(found: Sequence[list[Any]]) -> Block:
    """Return what has been unpacked of a run, items or blocks, as one block.

    Raises:
        ValueError: It is neither.
    """
    if set(map(type, found)) - {list}:
        raise ValueError("it contains something that is not an item")
    members = set(map(len, found))
    if members <= {_ITEM_MEMBERS}:
        return Block(_checked(found), False)
    if members == {_BLOCK_MEMBERS}:
        pairs: list[Pair] = []
        for packed in found:
            pairs += unpacked(packed)
        return Block(pairs, True)
    items: list[Any] = []
    for one in found:
        is_item = len(one) == _ITEM_MEMBERS
        items += _checked([one]) if is_item else Block(unpacked(one), True).listed()
    return Block(items, False)


def _checked(items: Sequence[list[Any]]) -> list[Any]:
    """Return items if each has a list of values."""
    if set(map(type, map(OF_KEY, items))) <= {list}:
        return list(items)
    raise ValueError("it contains an item without a list of values")


def unpacked(packed: Sequence[Any]) -> list[Pair]:
    """Return the pairs of an unpacked block.

    Raises:
        ValueError: It is not one.
    """
    if len(packed) == _BLOCK_MEMBERS:
        count, keys, column = packed
        if type(keys) is list and type(column) is list and len(keys) == len(column) == count:
            return list(zip(keys, column, strict=True))
    raise ValueError("it contains something that is not an item")
