"""Keys whose hashes are equal: a dict or set of many of them takes time that is quadratic.

Text and bytes have a hash that nobody outside knows; of numbers, lists and timestamps anybody can
make as many with one hash as he likes. Only such keys are ever equal in more than a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, Final

#: Keys of one map, or one group of pairs, that may share a hash.
MAX_EQUAL: Final = 100
#: Integers below have a hash that is theirs alone.
LEAST_SHARED: Final = (1 << 61) - 1

_REASON: Final = f"more than {MAX_EQUAL} keys have the same hash"


def check(keys: Collection[Any]) -> None:
    """Check that not too many of the keys of one map share a hash, in linear time.

    Raises:
        ValueError: They do.
    """
    if len(keys) <= MAX_EQUAL or len(set(map(hash, keys))) > len(keys) - MAX_EQUAL:
        return
    ((_, count),) = Counter(map(hash, keys)).most_common(1)
    if count > MAX_EQUAL:
        raise ValueError(_REASON)


class HashCounts:
    """Counts the keys of a growing map by hash, as far as others may have theirs."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, key: Any) -> None:
        """Count a key that is new.

        Raises:
            ValueError: Too many have its hash.
        """
        if type(key) is str or type(key) is bytes:
            return
        hashed = hash(key)
        count = self._counts[hashed] = self._counts[hashed] + 1
        if count > MAX_EQUAL:
            raise ValueError(_REASON)

    def joined(self, other: HashCounts) -> bool:
        """Take over the counts of another; False, with nothing done, when that is too many."""
        mine, theirs = self._counts, other._counts
        if any(count + mine[hashed] > MAX_EQUAL for hashed, count in theirs.items()):
            return False
        mine.update(theirs)
        return True

    def clear(self) -> None:
        """Begin anew."""
        self._counts.clear()
