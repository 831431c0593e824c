"""Many plain pairs whose keys ascend, as a list of keys and one of values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from jobx.handlers.pairs.checking import SHORT, SMALL_INT
from jobx.handlers.pairs.ordering import Columns, sort_columns

_PAIR: Final = 2
#: Pairs that are sorted at once: few enough for a processor's cache.
_ROUND: Final = 1 << 13
#: Most parts that are merged in rounds. Each round looks at all parts, which takes longer than to
#: sort more of them at once; if their keys do not overlap, hundreds of times.
_MERGED: Final = 16


class Ascending:
    """Plain pairs whose keys are all text or all integers, in parts of which each ascends.

    A pair is plain if it is a short key and a number or short text, as most are. No tuples are
    kept: the collector of garbage would look at each of them.

    Attributes:
        parts: The parts, none of them empty.
    """

    __slots__ = ("parts",)

    def __init__(self, *parts: Columns) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return sum([len(keys) for keys, _ in self.parts])

    @property
    def kind(self) -> type | None:
        """The type of all keys; None without any."""
        return type(self.parts[0][0][0]) if self.parts else None

    def take(self, yielded: Iterator[object]) -> Iterator[object] | None:
        """Take plain pairs as long as their keys ascend; return the others, if there are any.

        There is one part at most. The loop recognises plain pairs without a call for each, since
        there may be millions; where a type is compared in place, compiled code knows it from there.
        """
        is_ascii, least, most = str.isascii, -SMALL_INT, SMALL_INT
        keys, column = self.parts[0] if self.parts else ([], [])
        ascending, last = (type(keys[-1]), keys[-1]) if keys else (None, None)
        others: Iterator[object] | None = None
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
                        len(key) < SHORT and is_ascii(key)
                        if type(key) is str
                        else type(key) is int and least < key < most
                    )
                    and (
                        (type(value) is int and least < value < most)
                        or (kind is str and len(value) < SHORT and is_ascii(value))
                        or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                        or kind is bool
                        or value is None
                    )
                ):
                    keys.append(key)
                    column.append(value)
                    ascending, last = key_kind, key
                    continue
            others = chain((pair,), yielded)
            break
        if keys and not self.parts:
            self.parts.append((keys, column))
        return others

    def columns(self) -> Columns:
        """Return the columns of all parts, one after the other."""
        if len(self.parts) == 1:
            return self.parts[0]
        keys = chain.from_iterable([keys for keys, _ in self.parts])
        return list(keys), list(chain.from_iterable([column for _, column in self.parts]))

    def in_order(self) -> Columns:
        """Return the columns of all by key; those of one key are in the order of the parts."""
        if 1 < len(self.parts) <= _MERGED:
            return self._merged()
        keys, column = self.columns()
        if len(self.parts) > 1:
            sort_columns(keys, column)
        return keys, column

    def _merged(self) -> Columns:
        """Return the columns in order, by rounds: each takes all keys up to one from all parts."""
        merged: Columns = [], []
        step = _ROUND // len(self.parts)
        rest = [(keys, column, 0) for keys, column in self.parts]
        while rest:
            bound = min([keys[min(at + step, len(keys)) - 1] for keys, _, at in rest])
            found: list[Any] = []
            values: list[Any] = []
            left = []
            for keys, column, at in rest:
                end = bisect_right(keys, bound, at, min(at + step, len(keys)))
                found += keys[at:end]
                values += column[at:end]
                if end < len(keys):
                    left.append((keys, column, end))
            sort_columns(found, values)
            merged[0].extend(found)
            merged[1].extend(values)
            rest = left
        return merged
