"""Keys with equal hashes: a dict or set of many of them takes quadratic time.

The hashes of text and bytes are secret. But anybody can make many numbers, lists and timestamps
with one hash. Only such keys ever share a hash in more than a few cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, Final

#: Keys of one map, or one group of pairs, that may share a hash.
MAX_EQUAL: Final = 100
#: Integers below this have unique hashes.
LEAST_SHARED: Final = (1 << 61) - 1

#: Maps of up to so many keys are quick, whatever the keys.
_FEW: Final = 4096
#: Average probes per key until it finds a place; ordinary keys take up to 45.
_MAX_STEPS: Final = 100
_ANY: Final = 10_000
_TEXT: Final = frozenset({str, bytes})
_PERTURB_BITS: Final = 5
_HASH_MASK: Final = (1 << 64) - 1

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


def check_ways(keys: Collection[Any], few: int = _FEW) -> None:
    """Check that keys of different hashes do not probe the same places of a dict.

    The check probes like a dict, in linear time. It skips small maps and text keys.

    Raises:
        ValueError: They do.
    """
    if len(keys) <= few or _TEXT.issuperset(map(type, keys)):
        return
    steps, size = 0, 8
    taken = bytearray(size)
    hashes = list(map(hash, keys))
    for count, hashed in enumerate(hashes):
        if count >= 2 * size // 3:  # a dict grows
            size = 1 << (3 * count - 1).bit_length()
            taken = bytearray(size)
            for before in hashes[:count]:
                steps += _place(taken, before)
        steps += _place(taken, hashed)
        if steps > _MAX_STEPS * count + _ANY:
            raise ValueError("too many keys take the same ways through their hashes")


def _place(taken: bytearray, hashed: int) -> int:
    """Take a place as a dict does; return the number of probed places."""
    mask = len(taken) - 1
    at, rest, steps = hashed & mask, hashed & _HASH_MASK, 0
    while taken[at]:
        rest >>= _PERTURB_BITS
        at = (5 * at + rest + 1) & mask
        steps += 1
    taken[at] = 1
    return steps


class HashCounts:
    """Counts the keys of a growing map by hash, except keys with unique hashes."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}  # a Counter takes ten times as long to make

    def add(self, key: Any) -> None:
        """Count a new key.

        Raises:
            ValueError: Too many keys have its hash.
        """
        if type(key) is str or type(key) is bytes:
            return
        hashed = hash(key)
        count = self._counts[hashed] = self._counts.get(hashed, 0) + 1
        if count > MAX_EQUAL:
            raise ValueError(_REASON)

    def joined(self, other: HashCounts) -> bool:
        """Add the counts of another; return False, and change nothing, if that is too many."""
        mine, theirs = self._counts, other._counts
        if not theirs:  # as nearly always
            return True
        counts = {hashed: count + mine.get(hashed, 0) for hashed, count in theirs.items()}
        if max(counts.values()) > MAX_EQUAL:
            return False
        mine.update(counts)
        return True
