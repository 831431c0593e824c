"""What author code yields: grouped by key, sorted, spilled if it is much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from jobx import values
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.pairs.checking import (
    SHORT,
    SLICE,
    SLICE_BYTES,
    SMALL_INT,
    TEXTS,
    checked,
    is_plain,
    no_pair,
)
from jobx.handlers.pairs.held import KEY_BYTES, PLAIN, VALUE_BYTES, Held
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.ordering import ordered
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.key_hashes import HashCounts
from jobx.payload import Payload
from jobx.values import Key, Value

#: Output that is larger in memory is partitioned, so that it can be reduced in parallel.
SECTIONS_BYTES: Final = 256 << 10
#: No lists are made beyond this many keys, if so many of the last slice of pairs are new. Fewer
#: may well come again from the next invocation, as words of a text do.
_MANY_KEYS: Final = 4 * SLICE
_MANY_NEW: Final = SLICE * 7 // 8


class Groups:
    """Values grouped by key, in their order; groups beyond the limit are written as sorted runs.

    They begin as a dict of lists, which is the quickest for the few pairs of most invocations.
    Beyond some thousand keys that hardly repeat they are ``Held``, which makes no lists.

    Args:
        writer: Writes the runs.
        spill_bytes: Limit of the estimated memory.

    Attributes:
        runs: The runs written so far.
        held_bytes: Estimated memory of the groups.
    """

    __slots__ = (
        "_hashes",
        "_is_plain",
        "_lists",
        "_many",
        "_names",
        "_spill_bytes",
        "_writer",
        "held_bytes",
        "runs",
    )

    def __init__(self, writer: RunWriter, spill_bytes: int) -> None:
        self._writer = writer
        self._spill_bytes = spill_bytes
        self._lists: dict[Any, list[Value]] = {}
        self._names: dict[Any, Key] = {}  # for identities that are not the key itself
        self._hashes: HashCounts | None = None  # for keys that may share theirs, if there are any
        self._many: Held | None = None  # all groups instead of ``_lists``
        #: All keys and values are of types that msgspec packs as ``values.pack`` does.
        self._is_plain = True
        self.runs: list[Payload] = []
        self.held_bytes = 0

    def fill(self, yielded: Iterator[object]) -> None:
        """Take all pairs that author code yields.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value, or too many keys have
                the same hash.
            StoreFull: There is no room for a run.
        """
        taken, is_more = 0, True
        while is_more:
            if self._many is None:
                count, is_more = self._take(yielded, taken)
            else:
                count, is_more = self._many.take(yielded, taken)
                self.held_bytes = self._many.size_bytes
            taken += count
            if self.held_bytes > self._spill_bytes:
                self.spill()

    def _take(self, yielded: Iterator[object], first: int) -> tuple[int, bool]:
        """Take the next pairs; return how many, and whether there may be more.

        Most pairs are a short key and a number or short text; the loop recognises those without a
        call for each, since there may be millions.
        """
        lists, before = self._lists, len(self._lists)
        count = weight_bytes = 0
        is_last = False
        for pair in islice(yielded, SLICE):
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
                        if (
                            -SMALL_INT < key < SMALL_INT
                            if type(key) is int
                            else len(key) < SHORT and key.isascii()
                        ):
                            lists[key] = [value]
                            continue
            weight_bytes += self._take_checked(pair, first + count - 1)
            if weight_bytes > SLICE_BYTES:
                break
        else:
            is_last = count < SLICE
        keys = len(lists) - before
        self.held_bytes += count * VALUE_BYTES + keys * KEY_BYTES + weight_bytes
        if keys > _MANY_NEW and len(lists) >= _MANY_KEYS:
            self._as_many()
        return count, not is_last

    def _take_checked(self, pair: object, index: int) -> int:
        """Take a pair that needs a full check; return its weight in bytes."""
        key, value, weight_bytes = checked(pair, index)
        if type(value) not in TEXTS or not is_plain(key):
            self._is_plain = False
        identity = values.key_identity(key)
        listed = self._lists.get(identity)
        if listed is not None:
            listed.append(value)
            return weight_bytes
        try:
            self._hashes = self._hashes or HashCounts()
            self._hashes.add(identity)
        except ValueError as error:
            raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
        if identity is not key:
            self._names[identity] = key
        self._lists[identity] = [value]
        return weight_bytes

    def absorb(self, other: Groups) -> None:
        """Take over the groups of another; its values come after the present ones."""
        if other.runs:
            self.spill()
            self.runs += other.runs
        if self._many is None and other._many is None:
            self._absorb_lists(other)
        else:
            self._absorb_many(other)
        if self.held_bytes > self._spill_bytes:
            self.spill()

    def _absorb_lists(self, other: Groups) -> None:
        self._is_plain &= other._is_plain
        if other._hashes is not None:
            self._join_hashes(other._hashes)
        lists = self._lists
        if lists:
            for identity, more in other._lists.items():
                listed = lists.get(identity)
                if listed is None:
                    lists[identity] = more
                elif len(more) == 1:  # as a reducer gives it
                    listed.append(more[0])
                else:
                    listed += more
        else:
            self._lists = other._lists
        if other._names:
            self._names = other._names | self._names
        self.held_bytes += other.held_bytes

    def _absorb_many(self, other: Groups) -> None:
        more = other._as_many()
        if not self._as_many().absorb(more):
            self.spill()
            self._many = more
        self.held_bytes = self._as_many().size_bytes

    def _as_many(self) -> Held:
        if self._many is None:
            self._many = Held.of_lists(self._lists, self._names, self._hashes, self._is_plain)
            self._many.size_bytes = self.held_bytes
            self._lists, self._names, self._hashes = {}, {}, None
        return self._many

    def _join_hashes(self, others: HashCounts) -> None:
        if self._hashes is not None and not self._hashes.joined(others):
            self.spill()
        if self._hashes is None:
            self._hashes = others

    def spill(self) -> None:
        """Write the groups in memory as one run, in sections."""
        self._write(in_sections=True)

    def _write(self, in_sections: bool) -> None:
        if self._many is not None:
            self._write_many(self._many, in_sections)
        elif self._lists:
            items = ordered(self._lists, self._names)
            pack = PLAIN.encode if self._is_plain else None
            self.runs.append(self._writer.run(items, in_sections, pack))
            self._lists, self._names, self._hashes = {}, {}, None
            self.held_bytes = 0

    def _write_many(self, many: Held, in_sections: bool) -> None:
        if many:
            self.runs.append(self._writer.run_of(many.in_order(), in_sections, many.pack))
            self._many = Held()
            self.held_bytes = 0

    def grouped(self, *, in_order: bool) -> Iterable[tuple[Key, Sequence[Value]]]:
        """Return all keys with all their values; can be iterated more than once.

        Args:
            in_order: Keys are sorted; otherwise they may have any order.
        """
        if self.runs:
            self.spill()
            return Merged(self.runs, self._writer.folder, self._spill_bytes)
        if self._many is not None:
            return list(self._many.in_order().items()) if in_order else self._many
        if in_order or self._names:
            return ordered(self._lists, self._names)
        return self._lists.items()

    def packed(self, pack: Callable[[object], bytes]) -> bytes | None:
        """Return all keys with their values, packed, in no order; None if some are in runs.

        See ``Held.packed``.
        """
        if self.runs:
            return None
        if self._many is not None:
            return self._many.packed(pack)
        if self._is_plain:
            return PLAIN.encode(self._lists)
        return pack(ordered(self._lists, self._names))

    def payloads(self) -> list[Payload]:
        """Return everything as runs; no groups are left in memory."""
        self._write(in_sections=bool(self.runs) or self.held_bytes > SECTIONS_BYTES)
        return self.runs
