"""Many pairs in memory, grouped by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

import msgspec

from jobx import values
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.pairs.ascending import Ascending
from jobx.handlers.pairs.checking import (
    SHORT,
    SLICE,
    SLICE_BYTES,
    SMALL_INT,
    checked,
    no_pair,
)
from jobx.handlers.pairs.columns import BLOCK, Block, Pack, singles
from jobx.handlers.pairs.ordering import (
    BY_KEY,
    OF_KEY,
    Columns,
    are_distinct,
    is_ascending,
    ordered,
)
from jobx.key_hashes import HashCounts
from jobx.values import Key, Value

#: Approximate memory of a short value.
VALUE_BYTES: Final = 64
#: Approximate memory of a key.
KEY_BYTES: Final = 200
#: In place of the value of a key that has several.
_SEVERAL: Final = object()
#: Packs what is plain, quicker than ``values.pack`` does.
PLAIN: Final = msgspec.msgpack.Encoder()


class Held:
    """Pairs in memory, which can be iterated more than once: keys with lists of their values.

    Plain pairs whose keys ascend, as they do behind a reducer whose input is sorted, are in two
    columns. All others are in a dict. Most keys of large results have one value, for which no list
    is made there.

    Attributes:
        size_bytes: Estimated memory.
    """

    __slots__ = (
        "_ascending",
        "_hashes",
        "_is_plain",
        "_lists",
        "_names",
        "_one",
        "size_bytes",
    )

    def __init__(self) -> None:
        #: If there are any, ``_one`` is empty.
        self._ascending = Ascending()
        #: The value of a key, or _SEVERAL if those are in ``_lists``, by the key's identity.
        self._one: dict[Any, Any] = {}
        self._lists: dict[Any, list[Value]] = {}
        self._names: dict[Any, Key] = {}  # for identities that are not the key itself
        self._hashes: HashCounts | None = None  # for keys that may share theirs, if there are any
        #: All keys and values are of types that msgspec packs as ``values.pack`` does.
        self._is_plain = True
        self.size_bytes = 0

    @classmethod
    def of_lists(
        cls,
        lists: dict[Any, list[Value]],
        names: dict[Any, Key],
        hashes: HashCounts | None,
        is_plain: bool,
    ) -> Held:
        """Return the pairs of a dict of lists, which is not used after that.

        Args:
            lists: Values by the identity of their key.
            names: The keys of identities that are not the key itself.
            hashes: Of keys that may share theirs, if there are any.
            is_plain: All keys and values are of types that msgspec packs as ``values.pack`` does.
        """
        held = cls()
        held._names, held._hashes, held._is_plain = names, hashes, is_plain
        held._lists = {key: listed for key, listed in lists.items() if len(listed) > 1}
        held._one = {
            key: _SEVERAL if len(listed) > 1 else listed[0] for key, listed in lists.items()
        }
        if is_plain and not held._lists and is_ascending(list(lists)):
            if lists:
                held._ascending = Ascending(_columns(held._one))
            held._one = {}
        return held

    @property
    def pack(self) -> Pack | None:
        """What packs a block of these pairs quicker than ``values.pack``; None if nothing does."""
        return PLAIN.encode if self._is_plain else None

    def __bool__(self) -> bool:
        return bool(self._ascending.parts or self._one)

    def take(self, yielded: Iterator[object], first: int) -> tuple[int, bool]:
        """Take the next pairs; return how many, and whether there may be more.

        ``first`` is the position of the first.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value, or too many keys have
                the same hash.
        """
        ascending = self._ascending
        pairs, keys = len(ascending), len(ascending) + len(self._one)
        part = islice(yielded, SLICE)
        may_ascend = not self._one and len(ascending.parts) <= 1
        others = ascending.take(part) if may_ascend else part
        count, weight_bytes = len(ascending) - pairs, 0
        is_more = count == SLICE
        if others is not None:
            self._scatter()
            more, weight_bytes = self._take_any(others, first + count)
            count += more
            is_more = count == SLICE or weight_bytes > SLICE_BYTES
        keys = len(self._ascending) + len(self._one) - keys
        self.size_bytes += count * VALUE_BYTES + keys * KEY_BYTES + weight_bytes
        return count, is_more

    def _take_any(self, yielded: Iterator[object], first: int) -> tuple[int, int]:
        """Take pairs into the dict, plain ones in the loop; return how many, and their weight.

        The loop is that of ``Groups``, but for where a pair goes: to call something for each pair
        would take longer than all else that is done for it.
        """
        one, lists = self._one, self._lists
        count = weight_bytes = 0
        for pair in yielded:
            count += 1
            if type(pair) is tuple:
                try:
                    key, value = pair
                except ValueError as error:
                    raise no_pair(pair, first + count - 1) from error
                kind = type(value)
                if (
                    (type(value) is int and -SMALL_INT < value < SMALL_INT)
                    or (kind is str and len(value) < SHORT and value.isascii())
                    or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                    or kind is bool
                    or value is None
                ):
                    kind = type(key)
                    if kind is str or kind is int:
                        listed = lists.get(key)
                        if listed is not None:
                            listed.append(value)
                            continue
                        if key in one:
                            lists[key] = [one[key], value]
                            one[key] = _SEVERAL
                            continue
                        if (
                            -SMALL_INT < key < SMALL_INT
                            if type(key) is int
                            else len(key) < SHORT and key.isascii()
                        ):
                            one[key] = value
                            continue
            weight_bytes += self._take_checked(pair, first + count - 1)
            if weight_bytes > SLICE_BYTES:
                break
        return count, weight_bytes

    def _take_checked(self, pair: object, index: int) -> int:
        """Take a pair that needs a full check; return its weight in bytes."""
        self._is_plain = False
        key, value, weight_bytes = checked(pair, index)
        identity = values.key_identity(key)
        if identity in self._one:
            self._extend(identity, [value])
            return weight_bytes
        try:
            self._hashes = self._hashes or HashCounts()
            self._hashes.add(identity)
        except ValueError as error:
            raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
        if identity is not key:
            self._names[identity] = key
        self._one[identity] = value
        return weight_bytes

    def _extend(self, identity: Any, more: list[Value]) -> None:
        """Append to the values of a key that is there."""
        listed = self._lists.get(identity)
        if listed is not None:
            listed += more
            return
        self._lists[identity] = [self._one[identity], *more]
        self._one[identity] = _SEVERAL

    def _scatter(self) -> None:
        """Put the pairs into the dict."""
        parts = self._ascending.parts
        if parts:
            self._ascending = Ascending()
            if len(parts) == 1:
                self._one.update(zip(*parts[0], strict=True))
            else:
                self._spread(parts)

    def _spread(self, parts: Iterable[Columns]) -> None:
        """Put plain pairs into the dict, behind what is there."""
        one, lists = self._one, self._lists
        pairs = chain.from_iterable([zip(*part, strict=True) for part in parts])
        for key, value in pairs:
            listed = lists.get(key)
            if listed is not None:
                listed.append(value)
            elif key in one:
                lists[key] = [one[key], value]
                one[key] = _SEVERAL
            else:
                one[key] = value

    def absorb(self, other: Held) -> bool:
        """Take over the pairs of another, behind those here; it is not used after that.

        Returns False, and changes nothing, if too many keys would have the same hash.
        """
        if other._hashes is not None:
            if self._hashes is None:
                self._hashes = other._hashes
            elif not self._hashes.joined(other._hashes):
                return False
        self._is_plain &= other._is_plain
        self.size_bytes += other.size_bytes
        ascending, more = self._ascending, other._ascending
        if not self:
            self._ascending = more
            self._one, self._lists, self._names = other._one, other._lists, other._names
        elif len(ascending) > BLOCK < len(more) and ascending.kind is more.kind:
            ascending.parts += more.parts
        else:
            self._scatter()
            if more.parts:
                self._spread(more.parts)
            else:
                self._absorb_dict(other)
        return True

    def _absorb_dict(self, other: Held) -> None:
        one, lists, theirs = self._one, self._lists, other._lists
        if other._names:
            self._names = other._names | self._names
        if one.keys().isdisjoint(other._one):
            one |= other._one
            lists |= theirs
            return
        for identity, value in other._one.items():
            listed = lists.get(identity)
            if listed is None and identity not in one:
                one[identity] = value
                if value is _SEVERAL:
                    lists[identity] = theirs[identity]
                continue
            if listed is None:
                listed = lists[identity] = [one[identity]]
                one[identity] = _SEVERAL
            if value is _SEVERAL:
                listed += theirs[identity]
            else:
                listed.append(value)

    def __iter__(self) -> Iterator[tuple[Key, list[Value]]]:
        """Yield the keys in the order of their arrival, each with all its values."""
        parts = self._ascending.parts
        if len(parts) == 1:
            return singles(*parts[0])
        self._scatter()
        one, lists, names = self._one, self._lists, self._names
        if not lists and not names:
            return singles(one.keys(), one.values())
        if not names:
            return (
                (key, lists[key] if value is _SEVERAL else [value]) for key, value in one.items()
            )
        return (
            (names.get(identity, identity), lists[identity] if value is _SEVERAL else [value])
            for identity, value in one.items()
        )

    def in_order(self) -> Block:
        """Return the keys in order, each with all its values."""
        parts = self._ascending.parts
        if parts:
            keys, column = self._ascending.in_order()
            if len(parts) == 1 or are_distinct(keys):
                return Block(keys, column, True)
            self._scatter()
        lists, held = self._lists, self._one
        if lists:
            held = {key: lists[key] if of is _SEVERAL else [of] for key, of in held.items()}
        items = ordered(held, self._names)
        return Block(list(map(BY_KEY, items)), list(map(OF_KEY, items)), not lists)

    def packed(self, pack: Callable[[object], bytes]) -> bytes:
        """Return the keys with their values, packed, in no order.

        That is a map, or a list of a block, or a list of [key, values], for which ``pack`` is
        needed.
        """
        if not self._is_plain:
            return pack(list(self.in_order().items()))
        if self._lists or len(self._ascending) + len(self._one) <= BLOCK:
            return PLAIN.encode(dict(self))
        keys, column = self._ascending.columns() if self._ascending.parts else _columns(self._one)
        return PLAIN.encode([(len(keys), keys, column)])


def _columns(held: Mapping[Any, Any]) -> Columns:
    return list(held), list(held.values())
