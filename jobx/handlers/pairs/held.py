"""Pairs in memory, grouped by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, Final

import msgspec

from jobx import values
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.pairs.checking import (
    SHORT,
    SLICE,
    SLICE_BYTES,
    SMALL_BITS,
    checked,
    is_plain,
    no_pair,
)
from jobx.handlers.pairs.columns import BLOCK, Block
from jobx.handlers.pairs.ordering import BY_KEY, are_distinct, ordered
from jobx.key_hashes import HashCounts
from jobx.values import Key, Pair, Value

#: Approximate memory of a short value.
VALUE_BYTES: Final = 64
#: Approximate memory of a key.
_KEY_BYTES: Final = 200
#: In place of the value of a key that has several.
_SEVERAL: Final = object()
_PAIR: Final = 2
_PLAIN: Final = msgspec.msgpack.Encoder()


class Held:
    """Pairs in memory, which can be iterated more than once: keys with lists of their values.

    Plain pairs whose keys ascend, as they do behind a reducer whose input is sorted, stay as they
    are. All others are in a dict. Most keys of large results have one value, for which no list is
    made there.

    Attributes:
        size_bytes: Estimated memory.
    """

    __slots__ = (
        "_hashes",
        "_is_plain",
        "_is_sorted",
        "_lists",
        "_names",
        "_one",
        "_pairs",
        "size_bytes",
    )

    def __init__(self) -> None:
        #: Pairs whose keys are all text or all integers; if there are any, ``_one`` is empty.
        self._pairs: list[Any] = []
        #: Whether their keys ascend.
        self._is_sorted = True
        #: The value of a key, or _SEVERAL if those are in ``_lists``, by the key's identity.
        self._one: dict[Any, Any] = {}
        self._lists: dict[Any, list[Value]] = {}
        self._names: dict[Any, Key] = {}  # for identities that are not the key itself
        self._hashes: HashCounts | None = None  # for keys that may share theirs, if there are any
        #: All keys and values are of types that msgspec packs as ``values.pack`` does.
        self._is_plain = True
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._pairs or self._one)

    def take(self, yielded: Iterator[object], first: int) -> tuple[int, bool]:
        """Take the next pairs; return how many, and whether there may be more.

        ``first`` is the position of the first.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value, or too many keys have
                the same hash.
        """
        pairs, keys = len(self._pairs), len(self._pairs) + len(self._one)
        part = islice(yielded, SLICE)
        is_ascending = self._is_sorted and not self._one
        others = self._take_ascending(part) if is_ascending else part
        count, weight_bytes = len(self._pairs) - pairs, 0
        is_more = count == SLICE
        if others is not None:
            self._scatter()
            more, weight_bytes = self._take_any(others, first + count)
            count += more
            is_more = count == SLICE or weight_bytes > SLICE_BYTES
        keys = len(self._pairs) + len(self._one) - keys
        self.size_bytes += count * VALUE_BYTES + keys * _KEY_BYTES + weight_bytes
        return count, is_more

    def _take_ascending(self, yielded: Iterator[object]) -> Iterator[object] | None:
        """Take plain pairs as long as their keys ascend; return the others, if there are any.

        A pair is plain if it is a short key and a number or short text, as most are. The loop
        recognises those without a call for each, since there may be millions.
        """
        pairs = self._pairs
        ascending, last = (type(pairs[-1][0]), pairs[-1][0]) if pairs else (None, None)
        for pair in yielded:
            if type(pair) is tuple and len(pair) == _PAIR:
                key, value = pair
                kind, key_kind = type(value), type(key)
                if (
                    (
                        (key_kind is ascending and key > last)
                        or (ascending is None and (key_kind is str or key_kind is int))
                    )
                    and (
                        len(key) < SHORT and key.isascii()
                        if key_kind is str
                        else key.bit_length() <= SMALL_BITS
                    )
                    and (
                        (kind is int and value.bit_length() <= SMALL_BITS)
                        or (kind is str and len(value) < SHORT and value.isascii())
                        or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                        or kind is bool
                        or value is None
                    )
                ):
                    pairs.append(pair)
                    ascending, last = key_kind, key
                    continue
            return chain((pair,), yielded)
        return None

    def _take_any(self, yielded: Iterator[object], first: int) -> tuple[int, int]:
        """Take pairs into the dict, plain ones in the loop; return how many, and their weight."""
        one, lists = self._one, self._lists
        listed_under = lists.get
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
                    (kind is int and value.bit_length() <= SMALL_BITS)
                    or (kind is str and len(value) < SHORT and value.isascii())
                    or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                    or kind is bool
                    or value is None
                ):
                    kind = type(key)
                    if kind is str or kind is int:
                        listed = listed_under(key)
                        if listed is not None:
                            listed.append(value)
                            continue
                        if key in one:
                            lists[key] = [one[key], value]
                            one[key] = _SEVERAL
                            continue
                        if is_plain(key):
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
        one, pairs = self._one, self._pairs
        self._pairs = []
        if self._is_sorted:
            one.update(pairs)
            return
        self._is_sorted = True
        for key, value in pairs:
            if key in one:
                self._extend(key, [value])
            else:
                one[key] = value

    def absorb(self, other: Held) -> bool:
        """Take over the pairs of another, behind those here; it is not used after that.

        Returns False, and changes nothing, if too many keys would have the same hash.
        """
        if self._hashes is None:
            self._hashes = other._hashes
        elif other._hashes is not None and not self._hashes.joined(other._hashes):
            return False
        self._is_plain &= other._is_plain
        self.size_bytes += other.size_bytes
        if not self:
            self._pairs, self._is_sorted = other._pairs, other._is_sorted
            self._one, self._lists, self._names = other._one, other._lists, other._names
        elif self._pairs and other._pairs and _kind(self._pairs) is _kind(other._pairs):
            self._is_sorted = False
            self._pairs += other._pairs
        else:
            self._scatter()
            other._scatter()
            self._absorb_dict(other)
        return True

    def _absorb_dict(self, other: Held) -> None:
        one, lists, theirs = self._one, self._lists, other._lists
        self._names = other._names | self._names
        if one.keys().isdisjoint(other._one):
            one |= other._one
            lists |= theirs
            return
        for identity, value in other._one.items():
            if identity in one:
                self._extend(identity, theirs[identity] if value is _SEVERAL else [value])
                continue
            one[identity] = value
            if value is _SEVERAL:
                lists[identity] = theirs[identity]

    def __iter__(self) -> Iterator[tuple[Key, list[Value]]]:
        """Yield the keys in the order of their arrival, each with all its values."""
        if self._pairs and not self._is_sorted:
            self._scatter()
        if self._pairs:
            return ((key, [value]) for key, value in self._pairs)
        one, lists, names = self._one, self._lists, self._names
        if not names and not lists:
            return ((key, [value]) for key, value in one.items())
        return (
            (names.get(identity, identity), lists[identity] if value is _SEVERAL else [value])
            for identity, value in one.items()
        )

    def in_order(self) -> Block:
        """Return the keys in order, each with all its values."""
        if self._pairs and not self._is_sorted:
            self._pairs.sort(key=BY_KEY)
            self._is_sorted = are_distinct(self._pairs)
            if not self._is_sorted:
                self._scatter()
        if self._pairs:
            return Block(self._pairs, True)
        if not self._lists:
            return Block(ordered(self._one, self._names), True)
        one = {key: [value] for key, value in self._one.items()}
        return Block(ordered(one | self._lists, self._names), False)

    def packed(self, pack: Callable[[object], bytes]) -> bytes:
        """Return the keys with their values, packed, in no order.

        That is a map, or a list of a block, or a list of [key, values], for which ``pack`` is
        needed.
        """
        if not self._is_plain:
            return pack(self.in_order().listed())
        if self._lists or len(self._pairs) + len(self._one) <= BLOCK:
            return _PLAIN.encode(dict(self))
        keys, column = zip(*(self._pairs or self._one.items()), strict=True)
        return _PLAIN.encode([(len(keys), keys, column)])


def _kind(pairs: list[Pair]) -> type:
    return type(pairs[0][0])
