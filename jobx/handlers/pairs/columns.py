"""Keys that have one value each, packed as two columns: a list of keys and one of values.

Items of runs are ``[key, values]``; where many keys have one value each, a run has blocks
``[count, keys, values]`` instead. They take a third of the time to pack, unpack and sort, since
no list is made for each key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from jobx import values
from jobx.handlers.pairs.ordering import BY_KEY, OF_KEY, Columns
from jobx.values import Key, Pair, Value

#: Packs a value.
Pack: TypeAlias = Callable[[object], bytes]

#: Most pairs of a block, and its most bytes; runs of fewer keys have no blocks.
BLOCK: Final = 256
_BLOCK_BYTES: Final = 1 << 15
#: Members of a packed block, and of an item.
_BLOCK_MEMBERS: Final = 3
_ITEM_MEMBERS: Final = 2


class Block(NamedTuple):
    """Neighbouring items of a run, in memory, as columns.

    Attributes:
        keys: The keys.
        held: A list of values for each; one value if they are pairs.
        are_pairs: Whether they are pairs.
    """

    keys: list[Key]
    held: list[Any]
    are_pairs: bool

    def lists(self) -> list[list[Value]]:
        """Return a list of values for each key."""
        return list(map(list, zip(self.held, strict=True))) if self.are_pairs else self.held

    def items(self) -> Iterator[tuple[Key, list[Value]]]:
        """Return the keys, each with a list of values; no Python runs for each."""
        if self.are_pairs:
            return singles(self.keys, self.held)
        return zip(self.keys, self.held, strict=True)

    def pairs(self) -> Iterable[Pair]:
        """Return all pairs."""
        if self.are_pairs:
            return zip(self.keys, self.held, strict=True)
        items = zip(self.keys, self.held, strict=True)
        return [(key, value) for key, listed in items for value in listed]


class Packer:
    """Packs pairs, as blocks if these are small: a reader has to unpack all of one at once.

    Args:
        pack: Packs as ``values.pack`` does, but quicker.
    """

    def __init__(self, pack: Pack | None = None) -> None:
        self._pack = pack or values.packer()
        self._are_small = True

    def pack(self, keys: Sequence[Key], column: Sequence[Value]) -> bytes:
        """Return up to ``BLOCK`` keys, each with its value, packed."""
        if self._are_small and keys:
            packed = self._pack((len(keys), keys, column))
            if len(packed) <= _BLOCK_BYTES:
                return packed
            self._are_small = False  # later ones hardly are
        pairs = zip(keys, column, strict=True)
        return b"".join([self._pack((key, (value,))) for key, value in pairs])

    def packed(self, block: Block) -> Iterator[bytes]:
        """Yield a block of any length, packed in pieces."""
        if not block.are_pairs:
            yield from map(self._pack, block.items())
            return
        for start in range(0, len(block.keys), BLOCK):
            part = slice(start, start + BLOCK)
            yield self.pack(block.keys[part], block.held[part])


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
        return Block(*_checked(found), False)
    are_pairs = members == {_BLOCK_MEMBERS}
    keys: list[Key] = []
    held: list[Any] = []
    for one in found:
        is_item = len(one) == _ITEM_MEMBERS
        more, column = _checked([one]) if is_item else unpacked(one)
        keys += more
        held += column if is_item or are_pairs else Block(more, column, True).lists()
    return Block(keys, held, are_pairs)


def _checked(items: Sequence[list[Any]]) -> Columns:
    """Return the keys of items and their values, if each has a list of those."""
    lists = list(map(OF_KEY, items))
    if set(map(type, lists)) <= {list}:
        return list(map(BY_KEY, items)), lists
    raise ValueError("it contains an item without a list of values")


def unpacked(packed: Sequence[Any]) -> Columns:
    """Return the keys of an unpacked block and their values.

    Raises:
        ValueError: It is not one.
    """
    if len(packed) == _BLOCK_MEMBERS:
        count, keys, column = packed
        if type(keys) is list and type(column) is list and len(keys) == len(column) == count:
            return keys, column
    raise ValueError("it contains something that is not an item")
